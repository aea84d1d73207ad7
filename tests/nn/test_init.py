"""Initial values: the properties that each scheme is defined by."""

import math

import pytest
import torch

from loopwise.nn.cells import GRUCell, LSTMCell
from loopwise.nn.layers import GRU, LSTM, RNN
from nn.cases import INPUT

GATES = {RNN: 1, LSTM: 4, GRU: 3}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", GATES)
def test_orthogonal_blocks(kind, dtype):
    layer = kind(INPUT, 16, 2, bidirectional=True, init="orthogonal", dtype=dtype)
    for index in range(4):
        blocks = layer.weights(index).hh.double().chunk(GATES[kind])
        for block in blocks:
            product = block @ block.T
            assert torch.allclose(product, torch.eye(16).double(), atol=10 * torch.finfo(dtype).eps)
        assert not any(torch.equal(blocks[0], other) for other in blocks[1:])


@pytest.mark.parametrize("kind", GATES)
def test_orthogonal_blocks_under_a_projection(kind):
    """A tall block [H, P] has orthonormal columns."""
    layer = kind(INPUT, 16, proj_size=6, init="orthogonal", dtype=torch.float64)
    for block in layer.weight_hh_l0.chunk(GATES[kind]):
        assert torch.allclose(block.T @ block, torch.eye(6).double())


@pytest.mark.parametrize(("kind", "gates"), [(LSTM, 4), (GRU, 3)])
def test_forget_bias_is_the_sum_of_both(kind, gates):
    layer = kind(INPUT, 16, 2, bidirectional=True, forget_bias=1.5)
    bound = 1 / math.sqrt(16)
    for index in range(4):
        w = layer.weights(index)
        sums = (w.bias_ih + w.bias_hh).detach().chunk(gates)
        assert torch.equal(sums[1], torch.full((16,), 1.5))
        for other in (0, *range(2, gates)):  # the rest is torch's
            assert sums[other].unique().numel() > 1
            assert sums[other].abs().max() <= 2 * bound


@pytest.mark.parametrize("longest", [2, 3, 784])
def test_chrono_of_an_lstm(longest):
    """b_f = log(U(1, longest - 1)) and b_i = -b_f."""
    layer = LSTM(INPUT, 4000, chrono=longest, dtype=torch.float64)
    i, f, *_ = (layer.bias_ih_l0 + layer.bias_hh_l0).detach().chunk(4)
    assert torch.equal(i, -f)
    times = f.exp()
    assert times.min() >= 1 - 1e-9
    assert times.max() <= max(longest - 1, 1) + 1e-9
    assert abs(times.mean() - longest / 2) <= 0.05 * longest


def test_chrono_of_a_gru():
    layer = GRU(INPUT, 4000, chrono=50, dtype=torch.float64)
    r, z, _ = (layer.bias_ih_l0 + layer.bias_hh_l0).detach().chunk(3)
    assert 1 <= z.exp().min() <= z.exp().max() <= 49
    assert abs(z.exp().mean() - 25) < 1
    assert r.abs().max() <= 2 / math.sqrt(4000)


def test_gains_begin_at_one_and_shifts_at_zero():
    layer = LSTM(INPUT, 16, layer_norm=True, peephole=True, learn_initial_state=True)
    for name, value in layer.named_parameters():
        if name.startswith("norm_weight"):
            assert torch.equal(value, torch.ones_like(value)), name
        elif name.startswith(("norm_bias", "initial")):
            assert not value.any(), name
        else:
            assert 0 < value.abs().max() <= 0.25, name
            assert value.unique().numel() > 1, name


def test_options_draw_after_torchs_own_weights():
    """With one layer, the weights that torch has too are those that torch draws."""
    torch.manual_seed(0)
    rich = LSTM(INPUT, 8, peephole=True, layer_norm=True)
    torch.manual_seed(0)
    plain = torch.nn.LSTM(INPUT, 8)
    for name, value in plain.named_parameters():
        assert torch.equal(getattr(rich, name), value)


def test_reset_parameters_restores_the_scheme():
    layer = LSTM(INPUT, 16, init="orthogonal", forget_bias=2.0, learn_initial_state=True)
    for parameter in layer.parameters():
        torch.nn.init.constant_(parameter, 7.0)
    layer.reset_parameters()
    block = layer.weight_hh_l0[:16]
    assert torch.allclose(block @ block.T, torch.eye(16), atol=1e-5)
    assert torch.equal((layer.bias_ih_l0 + layer.bias_hh_l0)[16:32], torch.full((16,), 2.0))
    assert not layer.initial_h.any()


def test_meta_device_draws_nothing():
    before = torch.random.get_rng_state()
    layer = GRU(INPUT, 8, init="orthogonal", chrono=9, device="meta")
    assert torch.equal(torch.random.get_rng_state(), before)
    layer.to_empty(device="cpu").reset_parameters()
    assert all(parameter.isfinite().all() for parameter in layer.parameters())


@pytest.mark.parametrize("kind", [LSTMCell, GRUCell])
def test_cells_normalise_from_one(kind):
    cell = kind(INPUT, 8, layer_norm=True)
    assert torch.equal(cell.norm_weight_ih, torch.ones_like(cell.norm_weight_ih))
