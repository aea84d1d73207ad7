"""Calls of few steps: short ways through the engine compute the same, whatever they are given."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from loopwise import engine
from loopwise.nn import native
from loopwise.nn.backend import backend
from loopwise.nn.layers import GRU, LSTM, RNN
from nn.problems import CELLS, draw, rows_of, solve, threads

pytestmark = pytest.mark.skipif(not engine.available(), reason="no native engine here")

every_cell = pytest.mark.parametrize("cell", CELLS)
every_kind = pytest.mark.parametrize("kind", [RNN, LSTM, GRU])


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("sizes", [(33, 19), (16, 64), (40, 530)], ids=str)
@every_cell
def test_steps_alone_and_together(cell, sizes, count):
    """Weights that are not packed, and packed ones: the same bits, on any number of threads."""
    problem = draw(cell, 6, 8, *sizes)
    with threads(1):
        whole = solve(problem, gradients=False)
    with threads(count):
        for rows in ([0], [2, 5, 7], list(range(8))):
            some, outputs = rows_of(problem, rows), []
            state = some.state
            for t in range(6):
                found = solve(some._replace(x=some.x[t : t + 1], state=state), gradients=False)
                outputs.append(found["output"])
                state = tuple(found[f"state {k}"] for k in range(len(state)))
            assert torch.equal(torch.cat(outputs), whole["output"][:, rows])


@every_kind
def test_weights_changed_between_calls(kind):
    layer, x = kind(5, 7), torch.randn(1, 2, 5)
    for change in (lambda w: w.mul_(2), lambda w: w.data.add_(1), lambda w: w[1:].zero_()):
        with torch.no_grad():
            change(layer.weight_hh_l0)
            change(layer.weight_ih_l0)
            found = layer(x)[0]
            with backend("reference"):
                torch.testing.assert_close(found, layer(x)[0])


@every_kind
def test_tensors_that_lie_anywhere(kind):
    """Offsets, gaps, steps backwards, and numbers of which memory holds the negative."""
    layer = kind(5, 7)
    numbers = torch.randn(400)
    inputs = {
        "offset": numbers[3:43].view(2, 4, 5),
        "gaps": numbers.view(2, 4, 50)[..., 10:20:2],
        "transposed": numbers[:40].view(4, 2, 5).transpose(0, 1),
        "expanded": numbers[:5].expand(2, 4, 5),
        "negative": torch._neg_view(numbers[:40].view(2, 4, 5)),
    }
    for name, x in inputs.items():
        assert torch.equal(
            layer(x)[0], layer(x.clone(memory_format=torch.contiguous_format) * 1)[0]
        ), name


@every_kind
def test_gradients_reach_only_what_asks_for_them(kind):
    layer, x = kind(5, 7), torch.randn(1, 2, 5)
    layer(x)[0].sum().backward()
    full = {name: part.grad for name, part in layer.named_parameters()}
    for name in full:
        layer.zero_grad(set_to_none=True)
        for other, part in layer.named_parameters():
            part.requires_grad_(other == name)
        layer(x)[0].sum().backward()
        for other, part in layer.named_parameters():
            if other == name:
                assert torch.equal(part.grad, full[name])
            else:
                assert part.grad is None


@every_kind
def test_one_layer_in_several_threads(kind):
    layer, xs = kind(5, 70), torch.randn(8, 1, 2, 5)
    with torch.no_grad():
        expected = [layer(x)[0] for x in xs]

    def call(x):
        with torch.no_grad():
            return [layer(x)[0] for _ in range(50)][-1]

    with ThreadPoolExecutor(4) as pool:
        for found, want in zip(pool.map(call, xs), expected, strict=True):
            assert torch.equal(found, want)


@pytest.mark.skipif(not native.SHOWN, reason="torch does not show its tensors")
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(4).double(), "x: expected type 'f', given 'd'"),
        (torch.zeros(8)[::2], "x: expected an array"),
        (torch.zeros(4, device="meta"), "x: expected an array"),
    ],
    ids=["type", "gaps", "elsewhere"],
)
def test_the_engine_looks_at_tensors(x, message):
    y = torch.zeros(4)
    with pytest.raises((TypeError, ValueError), match=message):
        engine.activate("tanh", x=x, y=y)
    engine.activate("tanh", x=torch.ones(4), y=y)
    torch.testing.assert_close(y, torch.ones(4).tanh())
