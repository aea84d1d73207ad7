"""Dropout whose masks stay the same over time, and the penalties on activations."""

import pytest
import torch
from torch import nn

from loopwise.nn.layers import GRU, LSTM, RNN
from loopwise.nn.regularize import (
    DrawsOnce,
    activation_penalty,
    drop_embeddings,
    locked_dropout,
    same_masks,
)
from nn.oracle import assert_near


def test_locked_dropout_draws_one_mask_for_all_steps():
    y = locked_dropout(torch.ones(6, 5, 400), 0.25, True)
    assert y.unique().tolist() == pytest.approx([0, 4 / 3])
    assert all(torch.equal(step, y[0]) for step in y)
    assert not torch.equal(y[0, 0], y[0, 1])
    assert abs(y.mean().item() - 1) < 0.05


def test_drop_embeddings_drops_whole_tokens():
    embedding = nn.Embedding(500, 8)
    nn.init.ones_(embedding.weight)
    ids = torch.arange(500).repeat(2, 1).T
    y = drop_embeddings(embedding.weight, ids, 0.5, True)
    assert set(y.unique().tolist()) == {0.0, 2.0}
    assert (y == y[..., :1]).all()  # all features of a token together
    assert torch.equal(y[:, 0], y[:, 1])  # wherever it stands in the batch
    assert 0.4 < (y > 0).float().mean() < 0.6
    y.sum().backward()
    kept = y[:, 0, 0] > 0
    assert torch.equal(embedding.weight.grad.any(1), kept)


@pytest.mark.parametrize("kind", [RNN, LSTM, GRU])
@pytest.mark.parametrize("option", ["recurrent_dropout", "weight_drop"])
def test_a_sequence_in_pieces_keeps_its_masks(kind, option):
    layer = kind(4, 7, num_layers=2, **{option: 0.5})
    x = torch.randn(6, 3, 4)
    with same_masks(layer):
        whole, end = layer(x)
        first, state = layer(x[:1])
        rest, last = layer(x[1:], state)
    torch.testing.assert_close(torch.cat([first, rest]), whole)
    torch.testing.assert_close(last, end)
    with same_masks(layer):
        assert not torch.equal(layer(x)[0], whole)  # another sequence
    assert not torch.equal(layer(x)[0], layer(x)[0])


class Dropping(nn.Module, DrawsOnce):
    def forward(self, x, name):
        return locked_dropout(x, 0.5, self.training, lambda draw: self.once(name, draw))


def test_masks_are_kept_by_name_in_each_module_and_blocks_join():
    x, both = torch.ones(2, 3, 50), nn.ModuleList([Dropping(), Dropping()])
    with same_masks(both):
        first = both[0](x, "a")
        with same_masks(both[0]):
            assert torch.equal(both[0](x[:1], "a"), first[:1])
        assert torch.equal(both[0](x, "a"), first)
        assert not torch.equal(both[0](x, "b"), first)
        assert not torch.equal(both[1](x, "a"), first)
    assert not torch.equal(both[0](x, "a"), first)


def test_zoneout_is_drawn_each_step_all_the_same():
    layer = RNN(4, 50, zoneout=0.5)
    x, ones = torch.zeros(1, 2, 4), torch.ones(1, 2, 50)
    with same_masks(layer):
        assert not torch.equal(layer(x, ones)[0], layer(x, ones)[0])


@pytest.mark.parametrize(("p", "training"), [(0.0, True), (0.5, False)])
def test_off_is_the_identity(p, training):
    x, embedding, ids = torch.randn(3, 2, 4), nn.Embedding(5, 4), torch.tensor([[0, 4]])
    assert locked_dropout(x, p, training) is x
    assert torch.equal(drop_embeddings(embedding.weight, ids, p, training), embedding(ids))


def test_penalties_are_mean_squares():
    output, dropped = torch.randn(5, 3, 4).double(), torch.randn(5, 3, 4).double()
    change = (output[1:] - output[:-1]).pow(2).sum() / (4 * 3 * 4)
    size = dropped.pow(2).sum() / (5 * 3 * 4)
    assert_near(activation_penalty(dropped, output, 2.0, 0.5), 2 * size + 0.5 * change)
    assert_near(activation_penalty(dropped, output, 2.0, 0.0), 2 * size)
    assert_near(activation_penalty(dropped, output, 0.0, 0.5), 0.5 * change)
    assert activation_penalty(dropped, output, 0.0, 0.0).item() == 0
    assert_near(activation_penalty(dropped[:1], output[:1], 0.0, 0.5), torch.tensor(0.0))
