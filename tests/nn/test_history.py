"""``return_all``: states and gates of every step, against a loop written by hand."""

import pytest
import torch

from loopwise.nn.layers import GRU
from loopwise.nn.state import leaves
from loopwise.runtime.shapes import GATES
from nn.cases import CASES, OWN, ROWS, STEPS, ids, sample
from nn.oracle import assert_agree, assert_near, solve

every_case = pytest.mark.parametrize("case", CASES, ids=ids(CASES))
# A projected GRU puts out less than its state.
WHOLE = [case for case in OWN if case.kind is not GRU or "proj_size" not in case.options]
own_cases = pytest.mark.parametrize("case", OWN, ids=ids(OWN))


@every_case
def test_states_are_those_of_a_loop(case):
    layer = case.make()
    data = sample(layer)
    y, final, history = layer(data.x, data.hx, return_all="states")
    assert history.gates is None
    state = data.hx
    for t in range(STEPS):
        y_t, state = layer(data.x[t : t + 1], state)
        assert_near(y[t], y_t[0])
        for part, want in zip(leaves(history.states), leaves(state), strict=True):
            assert_near(part[:, t], want)
    for part, want in zip(leaves(history.states), leaves(final), strict=True):
        assert torch.equal(part[:, -1], want)


@own_cases
def test_gates_are_those_of_a_loop(case):
    """What each gate is, `test_reference` holds to NumPy."""
    layer = case.make()
    data = sample(layer)
    gates = layer(data.x, data.hx, return_all="gates")[2].gates
    state = data.hx
    for t in range(STEPS):
        _, state, one = layer(data.x[t : t + 1], state, return_all="gates")
        assert_near(gates[:, t], one.gates[:, 0])


@own_cases
def test_gates_stand_in_the_order_of_states(case):
    """Layer by layer, forward before reverse; beyond a row's length they are zero."""
    layer = case.make(num_layers=2, bidirectional=True)
    data = sample(layer)
    lengths = torch.tensor([3, 0, STEPS])
    _, _, whole = layer(data.x, data.hx, lengths=lengths, return_all="gates")
    count = GATES[layer.options.cell]
    assert whole.gates.shape == (4, STEPS, ROWS, count * layer.hidden_size)
    assert not whole.gates[:, 3:, 0].any()
    assert not whole.gates[:, :, 1].any()
    with torch.no_grad():  # silence one direction of one layer: its gates alone change with it
        for index in range(4):
            layer.weights(index).ih.zero_()
            changed = layer(data.x, data.hx, lengths=lengths, return_all="gates")[2].gates
            same = [torch.equal(a, b) for a, b in zip(changed, whole.gates, strict=True)]
            assert not same[index]
            assert all(same[: index - index % 2])
            whole = whole._replace(gates=changed)


@every_case
def test_history_does_not_change_the_rest(case):
    layer = case.make(num_layers=2, bidirectional=True)
    data = sample(layer)
    request = {"lengths": data.lengths, "reset": data.reset}
    y, state = layer(data.x, data.hx, **request)
    found, last, _ = layer(data.x, data.hx, return_all="states", **request)
    assert_near(found, y)
    for part, want in zip(leaves(last), leaves(state), strict=True):
        assert_near(part, want)


@every_case
def test_last_state_stands_at_each_rows_end(case):
    layer = case.make(bidirectional=True)
    data = sample(layer)
    lengths = torch.tensor([3, 1, STEPS])
    _, state, history = layer(data.x, data.hx, lengths=lengths, return_all="states")
    for part, every in zip(leaves(state), leaves(history.states), strict=True):
        assert torch.equal(part[0], every[0, lengths - 1, torch.arange(ROWS)])
        assert torch.equal(part[1], every[1, 0])  # the reverse direction ends at the beginning


@pytest.mark.parametrize("case", WHOLE, ids=ids(WHOLE))
def test_states_hold_the_output(case):
    layer = case.make(bidirectional=True)
    data = sample(layer)
    y, _, history = layer(data.x, data.hx, return_all="states")
    assert torch.equal(y, torch.cat(list(next(leaves(history.states))), -1))


@own_cases
def test_histories_have_gradients(case):
    """A loss on states and gates reaches what came before, as a loop's would."""
    layer = case.make()
    data = sample(layer)
    whole = solve(layer, data.x, data.hx, return_all="gates")
    x = data.x.clone().requires_grad_()
    state, history = data.hx, []
    for t in range(STEPS):
        _, state, one = layer(x[t : t + 1], state, return_all="gates")
        history.append(torch.cat([one.gates, *leaves(one.states)], -1))
    looped = torch.autograd.grad(torch.cat(history, 1).square().sum(), x)[0]
    x = data.x.clone().requires_grad_()
    _, _, every = layer(x, data.hx, return_all="gates")
    total = torch.cat([every.gates, *leaves(every.states)], -1).square().sum()
    assert_near(torch.autograd.grad(total, x)[0], looped)
    assert_agree(solve(layer, data.x, data.hx, on="reference", return_all="gates"), whole)
