"""What is drawn in training: how often, how large, and over which axes it stays the same."""

import pytest
import torch

from loopwise.nn.backend import backend
from loopwise.nn.layers import GRU, LSTM, RNN
from loopwise.nn.state import leaves
from nn.cases import HIDDEN, INPUT, OWN, Case, ids, sample
from nn.oracle import BACKENDS, assert_near

NOISY = [case for case in OWN if not case.deterministic]


def repeater(**options):
    """A rectified RNN that hands its state on unchanged, so that noise on it can be read off."""
    layer = RNN(INPUT, 64, nonlinearity="relu", bias=False, dtype=torch.float64, **options)
    with torch.no_grad():
        layer.weight_ih_l0.zero_()
        layer.weight_hh_l0.copy_(torch.eye(64))
    return layer


def run(layer, steps=6, rows=5):
    x = torch.zeros(steps, rows, INPUT, dtype=torch.float64)
    return layer(x, torch.ones(1, rows, 64, dtype=torch.float64))[0]


@pytest.mark.parametrize("on", BACKENDS)
def test_recurrent_dropout_draws_one_mask_a_row(on):
    layer = repeater(recurrent_dropout=0.5)
    with backend(on):
        y = run(layer)
        again = run(layer)
    mask = y[0]
    assert set(mask.unique().tolist()) == {0.0, 2.0}  # scaled to the same mean
    for t, step in enumerate(y):
        assert torch.equal(step, mask ** (t + 1))  # the same mask at every step
    assert len(mask.unique(dim=0)) == len(mask)  # another in each row
    assert not torch.equal(again, y)  # and in each call
    assert 0.4 < (mask > 0).double().mean() < 0.6


def test_recurrent_dropout_leaves_the_output_alone():
    """The mask is on what the gates see of h, not on h: the last step's output is whole."""
    layer = repeater(recurrent_dropout=0.5)
    with torch.no_grad():
        layer.weight_ih_l0.fill_(1)
    y = layer(torch.ones(1, 5, INPUT, dtype=torch.float64))[0]
    assert torch.equal(y, torch.full_like(y, INPUT))


@pytest.mark.parametrize("on", BACKENDS)
def test_weight_drop_draws_one_mask_for_all(on):
    layer = repeater(weight_drop=0.5)
    with backend(on):
        y = run(layer)
    mask = y[0, 0]
    assert set(mask.unique().tolist()) == {0.0, 2.0}
    for t, step in enumerate(y):
        assert torch.equal(step, (mask ** (t + 1)).expand_as(step))
    assert torch.equal(layer.weight_hh_l0, torch.eye(64).double())  # the weight itself is whole
    with backend(on):
        assert not torch.equal(run(layer), y)
        assert torch.equal(run(layer.eval()), torch.ones_like(y))


@pytest.mark.parametrize("kind", [RNN, LSTM, GRU])
def test_zoneout_keeps_units_as_they_were(kind):
    """Each unit at each step is either the old one or what the step alone would have made."""
    p = 0.3
    layer = kind(INPUT, 32, zoneout=p, dtype=torch.float64)
    plain = kind(INPUT, 32, dtype=torch.float64)
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(8, 16, INPUT, dtype=torch.float64)
    _, _, history = layer(x, return_all="states")
    state, kept = plain(x[:0])[1], []
    for t in range(len(x)):
        _, fresh = plain(x[t : t + 1], state)
        states = [part[:, t] for part in leaves(history.states)]
        for now, old, new in zip(states, leaves(state), leaves(fresh), strict=True):
            assert torch.where((now - old).abs() < 1e-12, new, now).allclose(new)
            kept.append((now == old).double().mean())
        state = tuple(states) if kind is LSTM else states[0]
    assert 0.25 < sum(kept) / len(kept) < 0.35


@pytest.mark.parametrize("kind", [RNN, LSTM, GRU])
def test_zoneouts_mean_is_its_evaluation(kind):
    layer = kind(INPUT, HIDDEN, zoneout=0.3, dtype=torch.float64)
    x = torch.randn(1, 1, INPUT, dtype=torch.float64).expand(1, 20000, INPUT)
    hx = tuple(torch.randn(1, 1, HIDDEN).double().expand(1, 20000, -1) for _ in range(2))
    state = hx if kind is LSTM else hx[0]
    drawn = layer(x, state)[1]
    expected = layer.eval()(x[:, :1], _first(state))[1]
    for part, want in zip(leaves(drawn), leaves(expected), strict=True):
        assert_near(part.mean(1), want[:, 0], 0.02)


def test_zoneout_has_a_probability_for_each_part_of_an_lstms_state():
    x = torch.randn(6, 4, INPUT)
    hx = tuple(torch.randn(1, 4, 16) for _ in range(2))
    h, c = LSTM(INPUT, 16, zoneout=(1.0, 0.0))(x, hx)[1]
    assert torch.equal(h, hx[0])
    assert not torch.equal(c, hx[1])
    h, c = LSTM(INPUT, 16, zoneout=(0.0, 1.0))(x, hx)[1]
    assert torch.equal(c, hx[1])
    assert not torch.equal(h, hx[0])


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kind", [RNN, LSTM, GRU])
def test_zoneout_of_one_never_changes_the_state(kind, training):
    layer = Case(kind, {"zoneout": 1.0}).make().train(training)
    data = sample(layer)
    for part, want in zip(leaves(layer(data.x, data.hx)[1]), leaves(data.hx), strict=True):
        assert torch.equal(part, want)


@pytest.mark.parametrize("kind", [RNN, LSTM, GRU])
def test_probability_zero_is_off(kind):
    off = {"zoneout": 0, "recurrent_dropout": 0, "weight_drop": 0.0}
    silent, plain = Case(kind, off).make().train(), Case(kind).make().train()
    data = sample(plain)
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    assert torch.equal(silent(data.x, data.hx)[0], plain(data.x, data.hx)[0])
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("case", NOISY, ids=ids(NOISY))
def test_a_seed_fixes_what_is_drawn(case):
    layer = case.make(num_layers=2, bidirectional=True, dropout=0.3).train()
    data = sample(layer)
    found = []
    for on in BACKENDS:
        with backend(on):
            torch.manual_seed(5)
            found.append(layer(data.x, data.hx, lengths=data.lengths)[0])
    assert_near(found[0], found[1])
    assert not torch.equal(layer(data.x, data.hx, lengths=data.lengths)[0], found[0])


def test_directions_and_layers_draw_their_own():
    layer = LSTM(INPUT, 16, 2, bidirectional=True, recurrent_dropout=0.5)
    seen = []
    inner = layer._recurrent_mask
    layer._recurrent_mask = lambda index, x: seen.append(inner(index, x)) or seen[-1]
    layer(torch.zeros(2, 3, INPUT))
    assert len(seen) == 4
    assert not any(torch.equal(seen[0], other) for other in seen[1:])


def _first(state):
    return tuple(part[:, :1] for part in state) if isinstance(state, tuple) else state[:, :1]
