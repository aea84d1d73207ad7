"""The engine in float32 against the reference in float64, on the same numbers."""

import math
from unittest import mock

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.func import jvp, vmap

from loopwise import engine
from loopwise.nn import native
from loopwise.nn.backend import backend
from loopwise.nn.layers import GRU, LSTM
from loopwise.nn.problem import Problem
from nn.cases import OWN, PLAIN, STRUCTURES, Case, ids, sample
from nn.oracle import assert_near
from nn.oracle import solve as solve_layer
from nn.problems import CELLS, OPTIONS, draw, exact, solve, threads

pytestmark = pytest.mark.skipif(not engine.available(), reason="no native engine here")

every_case = pytest.mark.parametrize("case", OWN, ids=ids(OWN))
every_cell = pytest.mark.parametrize("cell", CELLS)


@pytest.fixture
def calls():
    """The calls of the engine's `forward`."""
    with mock.patch.object(engine, "forward", wraps=engine.forward) as forward:
        yield forward


def assert_accurate(found, expected, results=1e-6, gradients=1e-5, rounded=None):
    """Compare two solutions: largest error of results, relative L2 error of gradients.

    Layer norm over nearly equal numbers magnifies what is rounded away: `found` may err by eight
    times the worst of `rounded` more, the definition in float32.
    """
    assert found.keys() == expected.keys()
    allowed, worst = {_largest: results, _relative: gradients}, {_largest: 0.0, _relative: 0.0}
    if rounded is not None:
        for name, measure, want in _measures(expected):
            worst[measure] = max(worst[measure], measure(rounded[name], want))
    for name, measure, want in _measures(expected):
        error, most = measure(found[name], want), allowed[measure] + 8 * worst[measure]
        assert error <= most, f"{name}: error {error:.3g} is above {most:.3g}"


def _measures(expected):
    for name, want in expected.items():
        yield name, _relative if name.startswith("gradient") else _largest, want


def _largest(found, want):
    """Of the errors, in units of 1 + the largest value."""
    return ((found - want).abs().max() / (1 + want.abs().max())).item()


def _relative(found, want):
    """Relative error as a vector; 0.01 a number counts as nothing."""
    return ((found - want).norm() / (want.norm() + 0.01 * want.numel() ** 0.5)).item()


@pytest.mark.parametrize("ragged", [False, True], ids=["whole", "ragged"])
@pytest.mark.parametrize("structure", STRUCTURES, ids=["one", "stacked"])
@every_case
def test_layers(case, structure, ragged, calls):
    layer = case.make(dtype=torch.float32, **structure)
    data = sample(layer).to(torch.float32)
    calls.reset_mock()
    request = {"lengths": data.lengths, "reset": data.reset} if ragged else {}
    requests = [{**request, **more} for more in ({}, {"return_all": "gates"})]
    found = [solve_layer(layer, data.x, data.hx, on="native", **each) for each in requests]
    able = not (case.kind is GRU and layer.proj_size)
    assert calls.call_count == (2 * layer.num_layers * layer.num_directions if able else 0)
    layer, data = layer.double(), data.to(torch.float64)
    for each, some in zip(requests, found, strict=True):
        expected = solve_layer(layer, data.x, data.hx, on="reference", **each)
        assert_accurate(some, expected, results=3e-6, gradients=3e-5)


@pytest.mark.parametrize("units", [1, 2, 3, 15, 16, 17, 31, 33, 64, 65, 100, 130])
@every_cell
@settings(max_examples=8)
@given(data=st.data())
def test_sizes_and_options(cell, units, data):
    """Around the widths of vectors and tiles, and past the steps that are taken at once."""

    def some(*values):
        return data.draw(st.sampled_from(values))

    steps, rows, inputs = some(70, 5, 2, 1), some(17, 49, *range(16, 0, -1)), some(40, 3, 1)
    options = data.draw(st.sets(st.sampled_from(OPTIONS), max_size=4))
    project = cell != "gru" and units > 1 and some(False, False, True)
    outputs = data.draw(st.integers(1, units - 1)) if project else None
    problem = draw(cell, steps, rows, inputs, units, outputs=outputs, options=options)
    assert native.can_solve(problem)
    rounded = solve(problem, "reference")
    gradients = 1e-4 if "norm" in options else 1e-5
    found, expected = solve(problem), exact(problem)
    if cell == "rnn_relu":  # where rounding passes the kink the gradient jumps
        assume(torch.equal(found["output"] > 0, expected["output"] > 0))
    assert_accurate(found, expected, gradients=gradients, rounded=rounded)


@pytest.mark.parametrize("options", [(), ("norm", "peephole")], ids=["plain", "normed"])
@every_cell
def test_accuracy_of_one_step(cell, options):
    for rows in (15, 16):  # vectors and, where the machine has them, tiles
        problem = draw(cell, 1, rows, 130, 130, options=options)
        assert_accurate(solve(problem), exact(problem))


@pytest.mark.parametrize("rows", [3, 16])
@every_cell
def test_accuracy_of_a_long_sequence(cell, rows):
    problem = draw(cell, 1000, rows, 16, 128)
    assert_accurate(solve(problem), exact(problem), results=1e-5, gradients=1e-4)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("options", [(), ("norm",)], ids=["plain", "normed"])
@every_cell
def test_what_is_no_number_stays_in_its_row(cell, options, value):
    clean = draw(cell, 6, 5, 20, 20, options=options)
    x = clean.x.clone()
    x[2, 3, 1] = value
    problem = clean._replace(x=x)
    found, expected = (solve(problem, on, gradients=False) for on in ("native", "reference"))
    undisturbed = solve(clean, gradients=False)
    for name, part in found.items():
        assert torch.allclose(part, expected[name], atol=1e-5, equal_nan=True), name
        others = [0, 1, 2, 4]
        axis = part.dim() - 2
        rows = torch.tensor(others)
        assert torch.equal(
            part.index_select(axis, rows), undisturbed[name].index_select(axis, rows)
        ), name
    if math.isnan(value):
        assert found["output"][2:, 3].isnan().all()


@pytest.mark.parametrize("value", [math.nan, math.inf, 3.4e38])
@pytest.mark.parametrize("where", ["x", "weight", "state"])
@every_cell
def test_numbers_that_tiles_cannot_hold(cell, where, value):
    """A batch for which the machine may use tiles; the largest floats have no bfloat16."""
    steps = 1 if math.isfinite(value) else 4  # two sums that overflow have no certain sum
    problem = draw(cell, steps, 18, 20, 130)
    x, state, hh = problem.x.clone(), [part.clone() for part in problem.state], problem.weights.hh
    hh = hh.clone()
    {"x": x[0, 3], "weight": hh[5], "state": state[0][3]}[where][1] = value
    problem = problem._replace(x=x, state=tuple(state), weights=problem.weights._replace(hh=hh))
    found, expected = (solve(problem, on) for on in ("native", "reference"))
    for name, part in found.items():
        if not name.startswith("gradient"):
            assert torch.allclose(part, expected[name], rtol=1e-5, atol=1e-5, equal_nan=True), name
        finite = expected[name].isfinite()
        assert torch.equal(part.isfinite(), finite), name


@every_cell
def test_denormals_are_harmless_and_remain_outside(cell):
    problem = draw(cell, 40, 8, 64, 64)
    tiny = problem.over(iter([1e-40 * part for part in problem.tensors()]))
    with threads(2):
        found = solve(tiny)
    assert all(part.isfinite().all() for part in found.values())
    many = torch.full((1 << 20,), 1e-38)  # enough for every thread of torch's
    assert (many * 0.1 > 0).all()


@pytest.mark.parametrize("case", PLAIN, ids=ids(PLAIN))
def test_second_derivatives(case):
    layer = case.make(dtype=torch.float32, num_layers=2, bidirectional=True)
    data = sample(layer).to(torch.float32)

    def derive(layer, data, on):
        with backend(on):
            x = data.x.clone().requires_grad_()
            y, _ = layer(x, data.hx, lengths=data.lengths, reset=data.reset)
            (grad,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
            return torch.autograd.grad(
                grad.square().sum(), [x, *layer.parameters()], materialize_grads=True
            )

    found = derive(layer, data, "native")
    expected = derive(layer.double(), data.to(torch.float64), "reference")
    for part, want in zip(found, expected, strict=True):
        assert_near(part, want, 1e-5)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
@pytest.mark.parametrize("case", PLAIN, ids=ids(PLAIN))
def test_transforms_go_through_the_reference(case, calls):
    layer = case.make(dtype=torch.float32)
    x = sample(layer).x.float()
    tangent = torch.randn_like(x)
    calls.reset_mock()

    def run(layer, x):
        return layer(x)[0]

    with backend("native"):
        rows = vmap(lambda row: run(layer, row), in_dims=1, out_dims=1)(x)
        moved = jvp(lambda x: run(layer, x), (x,), (tangent,))[1]
    assert not calls.called
    layer.double()
    assert_near(rows, run(layer, x.double()), 1e-6)
    with backend("reference"):
        want = jvp(lambda x: run(layer, x), (x.double(),), (tangent.double(),))[1]
    assert_near(moved, want, 1e-6)


@every_cell
def test_a_graph_may_be_used_twice(cell):
    problem = draw(cell, options=("ragged", "zoneout", "peephole", "norm"))
    inputs = [part.clone().requires_grad_() for part in problem.tensors()]
    with backend("native"):
        y = native.solve(problem.over(iter(inputs)), mock.Mock()).output
    found = [torch.autograd.grad(y.sum(), inputs, retain_graph=True) for _ in range(2)]
    for one, two in zip(*found, strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("changed", ["input", "weight", "state", "output"])
def test_a_change_before_the_backward_is_found(changed):
    layer = LSTM(3, 4)
    x, h, c = torch.randn(5, 2, 3), torch.randn(1, 2, 4), torch.randn(1, 2, 4)
    x.requires_grad_()
    h.requires_grad_()
    with backend("native"):
        y, _ = layer(x * 1, (h * 1, c)) if changed != "input" else layer(given := x * 1, (h, c))
    with torch.no_grad():
        if changed == "input":
            given.add_(1)
        elif changed == "weight":
            layer.weight_hh_l0.add_(1)
        elif changed == "output":
            y.add_(1)
        else:
            c.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_a_change_of_the_resets_before_the_backward_is_found():
    layer = LSTM(3, 4)
    reset = torch.zeros(5, 2, dtype=torch.bool)
    reset[2] = True
    with backend("native"):
        y, _ = layer(torch.randn(5, 2, 3), reset=reset)
    reset.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_only_what_is_wanted_is_differentiated():
    """Frozen weights, a constant input: the others' gradients are the same."""
    problem = draw("lstm", options=("ragged",))
    full = solve(problem)
    with backend("native"):
        hh = problem.weights.hh.clone().requires_grad_()
        frozen = problem._replace(weights=problem.weights._replace(hh=hh))
        scan = native.solve(frozen, mock.Mock())
        generator = torch.Generator().manual_seed(1)
        results = [scan.output, *scan.state]
        directions = [torch.randn(part.shape, generator=generator) for part in results]
        (found,) = torch.autograd.grad(results, [hh], directions)
    assert torch.equal(found, full["gradient of hh"])


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p.over(iter([part.double() for part in p.tensors()])),
        lambda p: p._replace(x=p.x[:0]),
        lambda p: p._replace(x=p.x.to("meta")),
    ],
    ids=["float64", "empty", "elsewhere"],
)
def test_what_the_engine_leaves_to_others(change):
    problem: Problem = draw("lstm")
    assert native.can_solve(problem)
    assert not native.can_solve(change(problem))


def test_the_projected_gru_is_left_to_others():
    assert not native.can_solve(draw("gru", units=4, outputs=2))
    assert native.can_solve(draw("rnn_tanh", units=4, outputs=2))


def test_inputs_of_any_layout():
    """Transposed, expanded and sliced tensors are the numbers that they show."""
    layer = Case(LSTM).make(dtype=torch.float32, batch_first=True)
    x = torch.randn(6, 4, 6)[::2, :, ::2]
    hx = tuple(torch.randn(1, 1, 4).expand(1, 3, 4) for _ in range(2))
    with backend("native"):
        found = layer(x, hx)[0]
        again = layer(x.contiguous(), tuple(part.contiguous() for part in hx))[0]
    assert torch.equal(found, again)
