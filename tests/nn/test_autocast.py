"""Autocast: a whole recurrence in autocast's type, on every path."""

import pytest
import torch

from loopwise.nn.cells import GRUCell, LSTMCell, RNNCell
from loopwise.nn.layers import GRU, LSTM
from loopwise.nn.state import leaves, map_state
from nn.cases import OWN, USERS, Case, ids, sample
from nn.oracle import BACKENDS, TOLERANCES, AsOperator, assert_agree, assert_near, solve


def autocast():
    return torch.autocast("cpu", torch.bfloat16)


@pytest.mark.parametrize("on", BACKENDS)
@pytest.mark.parametrize("case", OWN, ids=ids(OWN))
def test_every_layer_and_request(case, on):
    layer = case.make(dtype=torch.float32, num_layers=2, bidirectional=True)
    data = sample(layer).to(torch.float32)
    request = {"lengths": data.lengths, "reset": data.reset, "return_all": "gates"}
    for asked in ({}, {"lengths": data.lengths}, request):
        with autocast():
            found = solve(layer, data.x, data.hx, on=on, **asked)
        for name, part in found.items():
            wanted = torch.float32 if name.startswith("gradient") else torch.bfloat16
            assert part.dtype == wanted, name
        expected = solve(layer, data.x, data.hx, on=on, **asked)
        forward = [name for name in expected if not name.startswith("gradient")]
        for name in forward:
            assert_near(found[name], expected[name], TOLERANCES[torch.bfloat16], name)


@pytest.mark.parametrize("case", OWN, ids=ids(OWN))
def test_operator_is_the_same(case):
    layer = case.make(dtype=torch.float32)
    data = sample(layer).to(torch.float32)
    with autocast():
        expected = solve(layer, data.x, data.hx, lengths=data.lengths)
        found = solve(AsOperator(layer), data.x, data.hx, lengths=data.lengths)
    assert_agree(found, expected, 0.01)


@pytest.mark.parametrize("case", OWN, ids=ids(OWN))
def test_training_and_states_carried_on(case):
    """The state comes back in autocast's type and goes in again, inside of autocast."""
    layer = case.make(dtype=torch.float32).train()
    x = sample(layer).x.float()
    with autocast():
        _, state = layer(x[:2])
        y, state = layer(x[2:].bfloat16(), map_state(torch.Tensor.detach, state))
    y.float().sum().backward()
    assert layer.weight_ih_l0.grad.dtype == torch.float32
    assert all(part.dtype == torch.bfloat16 for part in leaves(state))


def test_float64_is_left_alone():
    """As torch leaves it."""
    layer = Case(LSTM).make()
    x = sample(layer).x
    with autocast():
        found = layer(x)[0]
    assert torch.equal(found, layer(x)[0])


@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_disabled_is_off(kind):
    layer = kind(3, 4)
    with torch.autocast("cpu", torch.bfloat16, enabled=False):
        assert layer(torch.zeros(2, 1, 3))[0].dtype == torch.float32


def test_a_users_cell():
    layer = USERS.make(dtype=torch.float32, num_layers=2, bidirectional=True)
    data = sample(layer).to(torch.float32)
    request = {"lengths": data.lengths, "reset": data.reset}
    with autocast():
        y, _ = layer(data.x, data.hx, **request)
    assert_near(y, layer(data.x, data.hx, **request)[0], TOLERANCES[torch.bfloat16])
    y.float().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in layer.parameters())


@pytest.mark.parametrize("kind", [RNNCell, LSTMCell, GRUCell])
@pytest.mark.parametrize("layer_norm", [False, True])
def test_single_cells(kind, layer_norm):
    cell = kind(3, 4, layer_norm=layer_norm)
    x = torch.randn(2, 3)
    with autocast():
        state = cell(x)
        state = cell(x, state)
    for part, want in zip(leaves(state), leaves(cell(x, cell(x))), strict=True):
        assert_near(part, want, TOLERANCES[torch.bfloat16])
