"""The neural cache against equations 2 to 4 of Grave et al. 2017, pair by pair."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loopwise.errors import ConfigError
from loopwise.runtime.cache import CacheMemory, NeuralCache

N, V = 14, 4
RNG = np.random.default_rng(3)
HIDDEN = RNG.normal(size=(N, 5))
TARGETS = RNG.integers(0, V, N)
NATS = RNG.uniform(0.1, 3.0, N)


def brute_force(options, t):
    """Surprisal of target t: HIDDEN[i] predicted TARGETS[i] for each i before it."""
    window = range(max(0, t - options.size), t)
    weights = {i: math.exp(options.theta * HIDDEN[t] @ HIDDEN[i]) for i in window}
    if not weights:
        return NATS[t]
    hit = sum(w for i, w in weights.items() if TARGETS[i] == TARGETS[t])
    cache = hit / sum(weights.values())
    share = options.interpolation
    return -math.log((1 - share) * math.exp(-NATS[t]) + share * cache)


def mixed(options, cuts=(), dtype=np.float64):
    memory = CacheMemory(options)
    parts = [np.split(a, sorted(cuts)) for a in (NATS, HIDDEN.astype(dtype), TARGETS)]
    return np.concatenate([memory.mix(*part) for part in zip(*parts, strict=True)])


@settings(deadline=None)
@given(
    cuts=st.sets(st.integers(0, N)),
    size=st.integers(1, 2 * N),
    theta=st.floats(0, 3),
    interpolation=st.floats(0, 0.99),
)
def test_mixture_is_its_definition_however_it_is_cut(cuts, size, theta, interpolation):
    options = NeuralCache(size, theta, interpolation)
    expected = [brute_force(options, t) for t in range(N)]
    np.testing.assert_allclose(mixed(options, cuts), expected, rtol=1e-10, atol=1e-12)


def test_no_share_is_the_model():
    np.testing.assert_allclose(mixed(NeuralCache(5, 1.0, 0.0)), NATS, rtol=1e-14)


def test_large_products_do_not_overflow():
    nats = mixed(NeuralCache(5, 1e4, 0.5), dtype=np.float32)
    assert np.isfinite(nats).all()


def test_memory_keeps_only_the_window():
    memory = CacheMemory(NeuralCache(size=3))
    for t in range(N):
        memory.mix(NATS[t : t + 1], HIDDEN[t : t + 1], TARGETS[t : t + 1])
    assert sum(a.size for a in vars(memory).values() if isinstance(a, np.ndarray)) == 3 * 5 + 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 0},
        {"theta": -0.1},
        {"theta": math.inf},
        {"interpolation": 1.0},
        {"interpolation": -0.1},
        {"interpolation": math.nan},
        {"size": 2.5},
        {"size": True},
        {"size": None},
        {"theta": "0.3"},
        {"interpolation": "0.1"},
    ],
)
def test_options_are_checked(wrong):
    with pytest.raises(ConfigError, match=f"cache {next(iter(wrong))}"):
        NeuralCache(**wrong)
