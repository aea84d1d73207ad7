"""`checkpoint`: the same results and gradients, with less in memory."""

from unittest import mock

import pytest
import torch
from torch import nn
from torch.func import grad, jvp

from loopwise import engine
from loopwise.errors import ConfigError, ShapeError
from loopwise.nn import checkpoint
from loopwise.nn.backend import backend
from loopwise.nn.layers import GRU, LSTM, RNN
from loopwise.nn.recurrent import Recurrent
from nn.cases import CASES, INPUT, OWN, PLAIN, STRUCTURES, USERS, Case, ids, sample
from nn.oracle import BACKENDS, AsOperator, assert_agree, assert_near
from nn.oracle import solve as solve_layer
from nn.problems import CELLS, draw, solve

OPTIONS = (
    (),
    ("ragged",),
    ("ragged", "reverse"),
    ("ragged", "trace", "reverse"),
    ("norm", "peephole", "mask", "zoneout"),
    ("norm", "peephole", "mask", "zoneout", "ragged", "reverse", "trace", "unbiased"),
)
RICH = (Case(LSTM, {"layer_norm": True, "zoneout": 0.25}), Case(GRU, {"proj_size": 2}), USERS)
every_cell = pytest.mark.parametrize("cell", CELLS)
every_case = pytest.mark.parametrize("case", CASES, ids=ids(CASES))
every_rich = pytest.mark.parametrize("case", RICH, ids=ids(RICH))


@pytest.fixture
def two_steps():
    """Pieces of two steps, so that short sequences have several."""
    with (
        mock.patch.object(checkpoint, "STEPS", 2),
        mock.patch("loopwise.nn.recurrent.STEPS", 2),
    ):
        yield


def pair(case, **structure):
    """A layer, and the same with checkpoints."""
    if case.kind is Recurrent:
        return case.make(**structure), case.make(checkpoint=True, **structure)
    small = Case(case.kind, {**case.options, "checkpoint": True})
    return case.make(**structure), small.make(**structure)


def kept(run):
    """The bytes that autograd keeps of a call, each tensor once."""
    found = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        found[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = run()
    return sum(found.values()), result


@pytest.mark.skipif(not engine.available(), reason="no native engine here")
@pytest.mark.parametrize("steps", [1, 64, 65, 150])
@pytest.mark.parametrize("options", OPTIONS, ids=ids(OPTIONS))
@every_cell
def test_the_engine_gives_the_same_bits(cell, options, steps):
    """But for what is summed over time: pieces are added up in another order."""
    outputs = 3 if "mask" in options and cell != "gru" else None
    problem = draw(cell, steps, 4, 5, 17, outputs=outputs, options=options, seed=steps)
    expected, found = solve(problem), solve(problem._replace(checkpoint=True))
    assert found.keys() == expected.keys()
    for name, want in expected.items():
        kind = name.removeprefix("gradient of ").split()[0]
        if name == kind or kind in ("x", "state", "states", "output"):
            assert torch.equal(found[name], want), name
        else:
            assert (found[name] - want).norm() <= 1e-6 * want.norm(), name


@pytest.mark.parametrize("on", BACKENDS)
@pytest.mark.parametrize("structure", STRUCTURES, ids=["one", "stacked"])
@every_case
def test_layers(case, structure, on, two_steps):
    layer, small = pair(case, **structure)
    data = sample(layer)
    ragged = {"lengths": data.lengths, "reset": data.reset}
    history = {"return_all": "states" if case is USERS else "gates"}
    for request in ({}, ragged, {**ragged, **history}):
        expected = solve_layer(layer, data.x, data.hx, on=on, **request)
        assert_agree(solve_layer(small, data.x, data.hx, on=on, **request), expected)


@pytest.mark.parametrize("case", OWN, ids=ids(OWN))
def test_training(case, two_steps):
    """With noise: what was drawn forwards is in force backwards."""
    layer, small = pair(case, num_layers=2, bidirectional=True, dropout=0.5)
    data = sample(layer)
    found = []
    for each in (layer, small):
        torch.manual_seed(0)
        found.append(solve_layer(each.train(), data.x, data.hx, lengths=data.lengths))
    assert_agree(found[1], found[0])


@pytest.mark.parametrize("steps", [0, 1, 2])
@every_case
def test_smallest_batches(case, steps, two_steps):
    layer, small = pair(case, bidirectional=True)
    data = sample(layer, steps=steps, rows=2)
    for request in ({}, {"lengths": [steps, 0], "reset": data.reset}):
        expected = solve_layer(layer, data.x, data.hx, **request)
        assert_agree(solve_layer(small, data.x, data.hx, **request), expected)


@every_rich
def test_packed_sequences(case, two_steps):
    layer, small = pair(case, batch_first=True, bidirectional=True)
    x = [torch.randn(steps, INPUT, dtype=torch.float64) for steps in (3, 7, 4)]
    packed = nn.utils.rnn.pack_sequence(x, enforce_sorted=False)
    found = []
    for each in (layer, small):
        y, _ = each(packed)
        found.append(torch.autograd.grad(y.data.square().sum(), list(each.parameters())))
    for part, want in zip(found[1], found[0], strict=True):
        assert_near(part, want)


@every_rich
def test_second_derivatives(case, two_steps):
    found = []
    for each in pair(case, bidirectional=True):
        data = sample(each)
        x = data.x.clone().requires_grad_()
        y, _ = each(x, data.hx, lengths=data.lengths, reset=data.reset)
        (first,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
        found.append(torch.autograd.grad(first.square().sum(), [x, *each.parameters()]))
    for part, want in zip(found[1], found[0], strict=True):
        assert_near(part, want)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("case", [*PLAIN, *RICH], ids=ids([*PLAIN, *RICH]))
@pytest.mark.parametrize("on", BACKENDS)
def test_what_is_kept(case, on, dtype):
    """Of a long sequence less than half of its output, besides the input and the weights."""
    layer, small = pair(case, dtype=dtype)
    x = torch.randn(640, 3, INPUT, dtype=dtype)
    given = sum(part.nbytes for part in (x, *layer.parameters()))
    with backend(on):
        plain, (y, _) = kept(lambda: layer(x))
        few, _ = kept(lambda: small(x))
    noise = 2 * y.nbytes if "zoneout" in case.options else 0  # an input of the recurrence
    assert few - given - noise < 0.5 * y.nbytes
    assert plain - given - noise > 0.9 * y.nbytes


@pytest.mark.skipif(not engine.available(), reason="no native engine here")
@pytest.mark.parametrize("wrap", [lambda layer: layer, AsOperator], ids=["eager", "operator"])
def test_a_piece_at_a_time(wrap):
    layer = wrap(LSTM(3, 4, checkpoint=True))
    x = torch.randn(130, 2, 3)

    def steps(calls):
        return [call.kwargs["x"].shape[0] for call in calls.call_args_list]

    with (
        backend("native"),
        mock.patch.object(engine, "forward", wraps=engine.forward) as forwards,
        mock.patch.object(engine, "backward", wraps=engine.backward) as backwards,
    ):
        y, _ = layer(x)
        assert steps(forwards) == [64, 64, 2]
        assert not any("kept" in call.kwargs for call in forwards.call_args_list)
        forwards.reset_mock()
        y.sum().backward()
        assert steps(forwards) == steps(backwards) == [2, 64, 64]
        forwards.reset_mock()
        with torch.no_grad():
            layer(x)
        assert steps(forwards) == [130]


def test_the_backend_of_the_forward_pass_is_that_of_the_backward_pass():
    layer = LSTM(3, 4, checkpoint=True)
    x = torch.randn(5, 2, 3)
    for on in BACKENDS:
        with backend(on):
            y, _ = layer(x)
        with mock.patch.object(checkpoint, "backward", wraps=checkpoint.backward) as backward:
            y.sum().backward()
        assert backward.call_args.args[-1].keywords == {"backend": on}


@every_rich
def test_compiled(case, two_steps):
    layer, small = pair(case, num_layers=2, bidirectional=True)
    data = sample(layer)
    torch.compiler.reset()
    fast = torch.compile(small, fullgraph=True, backend="aot_eager")
    fast.named_parameters = small.named_parameters
    request = {} if case is USERS else {"lengths": data.lengths, "reset": data.reset}
    expected = solve_layer(layer, data.x, data.hx, **request)
    assert_agree(solve_layer(fast, data.x, data.hx, **request), expected)
    torch.compiler.reset()


def test_exported(two_steps):
    """What an exported program learns is the same, though it keeps no states."""
    layer, small = pair(RICH[0], bidirectional=True)
    data = sample(layer)
    program = torch.export.export(small, (data.x, data.hx), {"lengths": data.lengths}).module()
    found = solve_layer(program, data.x, data.hx, lengths=data.lengths)
    assert_agree(found, solve_layer(layer, data.x, data.hx, lengths=data.lengths))


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
@every_rich
def test_transforms(case, two_steps):
    layer, small = pair(case)
    x = sample(layer).x
    found, expected = (
        (grad(lambda x: each(x)[0].square().sum())(x), jvp(lambda x: each(x)[0], (x,), (x,))[1])  # noqa: B023
        for each in (small, layer)
    )
    for part, want in zip(found, expected, strict=True):
        assert_near(part, want)


@every_rich
def test_autocast(case, two_steps):
    layer, small = pair(case, dtype=torch.float32)
    x = sample(layer).x.float()
    found = []
    for each in (layer, small):
        with torch.autocast("cpu", torch.bfloat16):
            y, _ = each(x)
        found.append(torch.autograd.grad(y.float().square().sum(), list(each.parameters())))
    for part, want in zip(found[1], found[0], strict=True):
        assert part.dtype == torch.float32
        assert_near(part, want, 0.02)


@pytest.mark.parametrize("changed", ["input", "weight"])
def test_a_change_before_the_backward_is_found(changed):
    layer = LSTM(3, 4, checkpoint=True)
    x = torch.randn(5, 2, 3)
    y, _ = layer(x)
    with torch.no_grad():
        (x if changed == "input" else layer.weight_hh_l0).add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_only_what_is_wanted_is_differentiated(two_steps):
    layer, small = pair(PLAIN[2])
    x = sample(layer).x
    found = []
    for each in (layer, small):
        each.weight_ih_l0.requires_grad_(False)
        each(x)[0].square().sum().backward()
        assert each.weight_ih_l0.grad is None
        found.append(each.weight_hh_l0.grad)
    assert_near(*found)


def test_lengths_out_of_range_are_refused():
    layer = GRU(3, 4, checkpoint=True)
    for wrong in ([0, 71], [-1, 3]):
        with pytest.raises(ShapeError, match=f"0 to T=70, given {min(wrong)} to {max(wrong)}"):
            layer(torch.zeros(70, 2, 3), lengths=wrong)


@pytest.mark.parametrize("kind", [RNN, LSTM, GRU])
def test_it_is_an_option_like_any_other(kind):
    layer = kind(3, 4, checkpoint=True)
    assert repr(layer) == f"{kind.__name__}(3, 4, checkpoint=True)"
    assert layer.state_dict().keys() == kind(3, 4).state_dict().keys()
    with pytest.raises(ConfigError, match="checkpoint=64: expected True or False"):
        kind(3, 4, checkpoint=64)
    with pytest.raises(ConfigError, match="checkpoint='yes': expected True or False"):
        Recurrent(nn.Identity(), 3, checkpoint="yes")
