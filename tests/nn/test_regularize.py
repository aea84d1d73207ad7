"""Dropout whose masks stay the same over time, and the penalties on activations."""

import pytest
import torch
from torch import nn

from loopwise.nn.regularize import activation_penalty, drop_embeddings, locked_dropout
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
