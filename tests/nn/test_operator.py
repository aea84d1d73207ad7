"""The operator that stands for a recurrence while torch compiles or exports."""

from unittest import mock

import pytest
import torch

from loopwise import engine
from loopwise.nn import operators
from loopwise.nn.backend import backend
from loopwise.nn.layers import LSTM, RNN
from nn.cases import HIDDEN, OWN, ROWS, STEPS, Case, ids, sample
from nn.oracle import BACKENDS, AsOperator, assert_agree, assert_near, solve
from nn.problems import CELLS, draw, in_type
from nn.problems import solve as solve_problem

CHECKED = (
    (),
    ("ragged", "reverse"),
    ("norm", "peephole", "mask", "zoneout"),
    ("unbiased", "ragged", "trace"),
)
native = pytest.mark.skipif(not engine.available(), reason="no native engine here")
every_case = pytest.mark.parametrize("case", OWN, ids=ids(OWN))


@every_case
def test_operator_equals_eager(case):
    layer = case.make(num_layers=2, bidirectional=True)
    data = sample(layer)
    for request in (
        {},
        {"lengths": data.lengths, "reset": data.reset},
        {"lengths": data.lengths, "return_all": "gates"},
    ):
        expected = solve(layer, data.x, data.hx, **request)
        assert_agree(solve(AsOperator(layer), data.x, data.hx, **request), expected)


@every_case
def test_operator_equals_eager_in_training(case):
    layer = case.make(bidirectional=True).train()
    data = sample(layer)
    torch.manual_seed(0)
    expected = solve(layer, data.x, data.hx)
    torch.manual_seed(0)
    assert_agree(solve(AsOperator(layer), data.x, data.hx), expected)


@pytest.mark.parametrize(("steps", "rows"), [(0, ROWS), (STEPS, 0), (1, 1)])
@every_case
def test_operator_on_empty_and_smallest_batches(case, steps, rows):
    layer = case.make()
    data = sample(layer, steps=steps, rows=rows)
    for request in ({}, {"lengths": data.lengths}):
        expected = solve(layer, data.x, data.hx, **request)
        assert_agree(solve(AsOperator(layer), data.x, data.hx, **request), expected)


@every_case
def test_double_backward(case):
    layer = case.make(bidirectional=True)
    data = sample(layer)
    found = []
    for run in (AsOperator(layer), layer):
        x = data.x.clone().requires_grad_()
        y, _ = run(x, data.hx, lengths=data.lengths, reset=data.reset)
        (grad,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
        inputs = [x, *layer.parameters()]
        found.append(torch.autograd.grad(grad.square().sum(), inputs, materialize_grads=True))
    assert any(part.any() for part in found[1])
    for part, want in zip(*found, strict=True):
        assert_near(part, want)


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_weight_in_two_places_gets_each_share_once(create_graph):
    layer = Case(RNN).make(input_size=HIDDEN)
    layer.weight_hh_l0 = layer.weight_ih_l0
    x = sample(layer, input_size=HIDDEN).x
    found, expected = (
        torch.autograd.grad(
            run(x)[0].square().sum(), layer.weight_ih_l0, create_graph=create_graph
        )[0]
        for run in (AsOperator(layer), layer)
    )
    assert_near(found, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("small", [False, True], ids=["plain", "checkpoint"])
@pytest.mark.parametrize("options", CHECKED, ids=ids(CHECKED))
@pytest.mark.parametrize("cell", CELLS)
def test_torchs_own_check_of_operators(cell, options, small, dtype):
    """Schema, registration, fake against real, and the traced gradient; of both operators."""
    problem = draw(
        cell, outputs=2 if "mask" in options and cell != "gru" else None, options=options
    )
    problem = in_type(problem, dtype)._replace(checkpoint=small)
    problem = problem.over(iter([part.requires_grad_() for part in problem.tensors()]))
    arguments = operators._flatten(problem)
    opcheck = torch.library.opcheck
    for learns in (True, False):
        opcheck(torch.ops.loopwise.recurrence.default, (*arguments, learns))
    problem = problem.over(iter([part.detach() for part in problem.tensors()]))
    arguments = operators._flatten(problem)
    outputs = torch.ops.loopwise.recurrence(*arguments, True)
    count = len(problem.scan(outputs).tensors())
    grads = [torch.randn_like(part) for part in outputs[:count]]
    saved = outputs[count:]
    if saved and not small:
        saved = outputs
    wanted = [k % 3 != 1 for k, _ in enumerate(problem.tensors())]
    backward = torch.ops.loopwise.recurrence_backward.default
    for given in (grads, [None, *grads[1:]]):
        opcheck(backward, (given, wanted, saved, *arguments))
    opcheck(backward, (grads, wanted, [], *arguments))


@native
@pytest.mark.parametrize("options", CHECKED[:-1], ids=ids(CHECKED[:-1]))
@pytest.mark.parametrize("cell", CELLS)
def test_the_engine_gives_the_same_bits_as_in_eager_mode(cell, options):
    problem = draw(cell, 9, 4, 5, 17, options=options)
    expected = solve_problem(problem)
    with mock.patch("torch.compiler.is_compiling", return_value=True):
        found = solve_problem(problem)
    for name, want in expected.items():
        assert torch.equal(found[name], want), name


@native
def test_the_engine_runs_once_forwards_and_once_backwards():
    layer = LSTM(3, 4)
    with (
        backend("native"),
        mock.patch.object(engine, "forward", wraps=engine.forward) as forwards,
        mock.patch.object(engine, "backward", wraps=engine.backward) as backwards,
    ):
        y, _ = AsOperator(layer)(torch.randn(5, 2, 3))
        y.sum().backward()
        assert (forwards.call_count, backwards.call_count) == (1, 1)
        assert "d_x" not in backwards.call_args.kwargs  # nobody wants it
        with torch.no_grad():
            AsOperator(layer)(torch.randn(5, 2, 3))
        assert "kept" not in forwards.call_args.kwargs


@pytest.mark.parametrize("small", [False, True], ids=["plain", "checkpoint"])
def test_operator_runs_on_the_backend_in_force(small):
    """Backwards on that of its forward pass, whatever is in force then."""
    layer = LSTM(3, 4, checkpoint=small)
    x = torch.randn(5, 2, 3)
    for on in BACKENDS:
        with mock.patch.object(operators, "solve", wraps=operators.solve) as solved:
            with backend(on):
                y, _ = AsOperator(layer)(x)
            with backend("reference" if on == "torch" else "torch"):
                y.sum().backward()
        used = {call.kwargs["backend"] for call in solved.call_args_list}
        assert used == (set() if on == "native" and not small else {on})
