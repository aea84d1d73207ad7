"""torch.compile and torch.export: one graph, whatever the lengths and resets hold."""

import pytest
import torch
import torch._dynamo
from torch.export import Dim
from torch.func import grad, jvp

from loopwise.errors import ShapeError
from loopwise.nn.layers import GRU, LSTM, RNN
from loopwise.nn.state import leaves
from nn.cases import EVERYTHING, INPUT, PLAIN, USERS, Case, ids, sample
from nn.oracle import BACKENDS, assert_agree, assert_near, solve

RICH = (
    Case(RNN, {"layer_norm": True}),
    Case(LSTM, {**EVERYTHING, "peephole": True}),
    Case(GRU, {"proj_size": 2, "learn_initial_state": True}),
)
SINGLE = (
    Case(RNN, {"layer_norm": True}),
    Case(LSTM, {"peephole": True, "proj_size": 2}),
    Case(GRU),
    Case(LSTM, {"checkpoint": True}),
)
STACKED = {"num_layers": 2, "bidirectional": True}


@pytest.fixture(autouse=True)
def _fresh_compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def compiled(layer, **options):
    """The layer in one graph; its parameters keep their names."""
    fast = torch.compile(layer, fullgraph=True, backend="aot_eager", **options)
    fast.named_parameters = layer.named_parameters
    return fast


@pytest.mark.parametrize("case", RICH, ids=ids(RICH))
def test_compiled_equals_eager(case):
    layer = case.make(batch_first=case.kind is GRU, **STACKED)
    data = sample(layer)
    first = layer.batch_first
    x, reset = (data.x.transpose(0, 1), data.reset.T) if first else (data.x, data.reset)
    request = {"lengths": data.lengths, "reset": reset, "return_all": "gates"}
    expected = solve(layer, x, data.hx, **request)
    assert_agree(solve(compiled(layer), x, data.hx, **request), expected)


@pytest.mark.parametrize("case", [PLAIN[2], USERS], ids=ids([PLAIN[2], USERS]))
def test_compiled_without_requests(case):
    """A user's cell is unrolled by the compiler; lengths need to look at numbers, and break it."""
    layer = case.make()
    data = sample(layer)
    fast = compiled(layer)
    assert_agree(solve(fast, data.x, data.hx), solve(layer, data.x, data.hx))
    assert_agree(solve(fast, data.x), solve(layer, data.x))


def test_one_graph_serves_every_size_and_training():
    layer = Case(LSTM, {"recurrent_dropout": 0.5, "weight_drop": 0.5}).make(dropout=0.5, **STACKED)
    fast = compiled(layer, dynamic=True)
    for steps, rows in ((5, 3), (9, 4), (2, 7)):
        data = sample(layer, steps=steps, rows=rows)
        found = fast(data.x, data.hx, lengths=data.lengths)[0]
        assert_near(found, layer(data.x, data.hx, lengths=data.lengths)[0])
    y, _ = compiled(layer.train(), dynamic=True)(data.x, data.hx)
    y.sum().backward()
    assert layer.weight_hh_l0.grad.any()


@pytest.mark.parametrize("on", BACKENDS)
@pytest.mark.parametrize("case", SINGLE, ids=ids(SINGLE))
def test_dynamic_sizes_compile_once(case, on):
    """Training in float32: one graph for all lengths and batches; the engine gives equal bits.

    Torch takes sizes that are equal at first for the same one: here all are different.
    """
    layer = case.make(dtype=torch.float32, **STACKED)
    fast = compiled(layer, dynamic=True)
    with torch._dynamo.config.patch(error_on_recompile=True):
        for steps, rows in ((5, 6), (9, 7), (130, 8), (6, 9)):
            data = sample(layer, steps=steps, rows=rows).to(torch.float32)
            request = {"lengths": data.lengths, "reset": data.reset}
            found = solve(fast, data.x, data.hx, on=on, **request)
            expected = solve(layer, data.x, data.hx, on=on, **request)
            assert_agree(found, expected, 0 if on == "native" else 1e-6)


@pytest.mark.parametrize("case", SINGLE, ids=ids(SINGLE))
def test_deterministic_algorithms(case):
    """Torch then fills what is only allocated with NaN, so that nobody may read it."""
    layer = case.make(dtype=torch.float32, **STACKED)
    data = sample(layer).to(torch.float32)
    request = {"lengths": data.lengths, "reset": data.reset}
    expected = solve(layer, data.x, data.hx, on=BACKENDS[0], **request)
    torch.use_deterministic_algorithms(True)
    try:
        for each in (layer, compiled(layer)):
            found = solve(each, data.x, data.hx, on=BACKENDS[0], **request)
            assert_agree(found, expected, 0)
    finally:
        torch.use_deterministic_algorithms(False)


def test_a_backend_may_be_chosen_after_compiling():
    layer = PLAIN[2].make(dtype=torch.float32)
    x = sample(layer).x.float()
    fast = compiled(layer)
    for on in (*BACKENDS, *BACKENDS):
        assert_agree(solve(fast, x, on=on), solve(layer, x, on="reference"), 1e-6)


def test_training_compiled_under_autocast():
    layer = Case(LSTM, {"layer_norm": True}).make(dtype=torch.float32)
    x = sample(layer).x.float()
    with torch.autocast("cpu", torch.bfloat16):
        found, expected = solve(compiled(layer), x), solve(layer, x)
    for name, want in expected.items():
        assert found[name].dtype == want.dtype
        assert_near(found[name], want, 0.02, name)


def test_compiled_under_autocast():
    layer = Case(LSTM, {"layer_norm": True}).make(dtype=torch.float32)
    x = sample(layer).x.float()
    with torch.autocast("cpu", torch.bfloat16):
        found, expected = compiled(layer)(x)[0], layer(x)[0]
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, expected)


@pytest.mark.parametrize("case", RICH, ids=ids(RICH))
def test_export_with_dynamic_time_and_batch(case):
    layer = case.make(**STACKED)
    data = sample(layer)
    steps, rows = Dim("steps", min=2), Dim("rows", min=2)
    program = torch.export.export(
        layer,
        (data.x, data.hx),
        {"lengths": data.lengths, "reset": data.reset},
        dynamic_shapes={
            "input": {0: steps, 1: rows},
            "hx": _each(data.hx, {1: rows}),
            "lengths": {0: rows},
            "reset": {0: steps, 1: rows},
        },
    )
    other = sample(layer, steps=9, rows=4, seed=2)
    request = {"lengths": other.lengths, "reset": other.reset}
    y, state = program.module()(other.x, other.hx, **request)
    expected, last = layer(other.x, other.hx, **request)
    assert_near(y, expected)
    for part, want in zip(leaves(state), leaves(last), strict=True):
        assert_near(part, want)


def test_export_of_a_users_cell_with_a_dynamic_batch():
    layer = USERS.make()
    data = sample(layer)
    shapes = {"input": {1: Dim("rows", min=2)}}
    program = torch.export.export(layer, (data.x,), dynamic_shapes=shapes)
    x = torch.randn(5, 4, INPUT, dtype=torch.float64)
    assert_near(program.module()(x)[0], layer(x)[0])


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
@pytest.mark.parametrize("case", PLAIN, ids=ids(PLAIN))
def test_transforms_inside_of_a_compiled_function(case):
    """Derivatives of the definition, where the operator would silently have none."""
    layer = case.make(bidirectional=True)
    x = sample(layer).x
    tangent = torch.randn_like(x)

    def pushed(x):
        return jvp(lambda x: layer(x)[0], (x,), (tangent,))[1]

    def pulled(x):
        return grad(lambda x: layer(x)[0].square().sum())(x)

    for transformed in (pushed, pulled):
        expected = transformed(x)
        assert expected.any()
        fast = torch.compile(transformed, fullgraph=True, backend="aot_eager")
        assert_near(fast(x), expected)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_a_compiled_layer_inside_of_a_transform():
    layer = PLAIN[2].make()
    x = sample(layer).x
    fast = torch.compile(lambda x: layer(x)[0], backend="aot_eager")
    fast(x)  # compiled before there is a transform
    expected = jvp(lambda x: layer(x)[0], (x,), (x,))[1]
    assert_near(jvp(fast, (x,), (x,))[1], expected)


def test_lengths_out_of_range_are_refused_when_they_are_seen():
    layer = PLAIN[2].make()
    data = sample(layer)
    options = {"lengths": data.lengths}
    program = torch.export.export(layer, (data.x,), options).module()
    for run in (compiled(layer), program):
        run(data.x, lengths=data.lengths)
        for wrong in ([0, 3, 6], [-1, 3, 5]):
            with pytest.raises(ShapeError, match=rf"0 to T=5, given {min(wrong)} to {max(wrong)}"):
                run(data.x, lengths=torch.tensor(wrong))


def _each(state, shapes):
    """`shapes` in place of each tensor of `state`."""
    if isinstance(state, torch.Tensor):
        return shapes
    return tuple(_each(part, shapes) for part in state)
