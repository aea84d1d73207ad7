import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from loopwise.codec.search.sample import Sampling, sample
from loopwise.errors import ConfigError, DataError, ShapeError

LOGITS = np.log([0.1, 0.4, 0.2, 0.05, 0.25])
DRAWS = 20_000


def softmax(logits):
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


def frequencies(logits, **options):
    rng = np.random.default_rng(0)
    drawn = [sample(logits, Sampling(**options), rng) for _ in range(DRAWS)]
    return np.bincount(drawn, minlength=len(logits)) / DRAWS


def assert_drawn_from(observed, expected):
    # Five standard deviations of a binomial share, and exactly none of what is excluded.
    np.testing.assert_array_less(
        np.abs(observed - expected), 5 * np.sqrt(expected * (1 - expected) / DRAWS) + 1e-12
    )


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_frequencies_are_the_softmax_of_logits_over_temperature(temperature):
    observed = frequencies(LOGITS + 700, temperature=temperature)
    assert_drawn_from(observed, softmax(LOGITS / temperature))


def test_excluded_tokens_are_never_drawn():
    logits = np.array([-np.inf, 0.0, -np.inf, 1.0, -np.inf])
    assert_drawn_from(frequencies(logits), softmax(logits))


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"top_k": 1}, [1]),
        ({"top_k": 3}, [1, 4, 2]),
        ({"top_k": 99}, [0, 1, 2, 3, 4]),
        ({"top_p": 0.39}, [1]),
        ({"top_p": 0.41}, [1, 4]),
        ({"top_p": 0.84}, [1, 4, 2]),
        ({"top_p": 0.86}, [1, 4, 2, 0]),
        ({"top_k": 2, "top_p": 0.6}, [1]),  # of the two kept, 1 has 0.4 / 0.65 > 0.6
        ({"top_k": 2, "top_p": 0.62}, [1, 4]),
    ],
)
def test_top_k_and_top_p_keep_the_most_likely_and_rescale(options, kept):
    expected = np.zeros(5)
    expected[kept] = np.exp(LOGITS[kept])
    assert_drawn_from(frequencies(LOGITS, **options), expected / expected.sum())


def test_top_k_keeps_exactly_k_of_equal_tokens_the_first_ones():
    assert set(np.flatnonzero(frequencies(np.zeros(6), top_k=2))) == {0, 1}


@given(
    arrays(np.float64, st.integers(1, 20), elements=st.floats(-50, 50)),
    st.floats(0.05, 5),
    st.floats(0.01, 0.99),
    st.integers(0, 2**32),
)
def test_top_p_draws_from_the_smallest_set_that_reaches_it(logits, temperature, top_p, seed):
    token = sample(logits, Sampling(temperature, 0, top_p), np.random.default_rng(seed))
    probabilities = softmax(logits / temperature)
    likelier = probabilities[probabilities > probabilities[token]].sum()
    assert likelier < top_p + 1e-12  # tokens before it did not reach top_p yet


@given(
    arrays(np.float64, st.integers(1, 20), elements=st.floats(-1e300, 1e300)),
    st.integers(0, 20),
    st.floats(0.01, 1),
)
def test_temperature_zero_and_top_k_one_are_greedy(logits, top_k, top_p):
    rng = np.random.default_rng(0)
    best = int(np.argmax(logits))
    assert sample(logits, Sampling(0.0, top_k, top_p), rng) == best
    assert sample(logits, Sampling(1.0, 1, top_p), rng) == best


def test_a_tiny_temperature_is_greedy_without_overflow():
    assert sample(LOGITS, Sampling(temperature=1e-308), np.random.default_rng(0)) == 1


def test_the_generator_decides_alone():
    draws = [
        [sample(LOGITS, Sampling(top_p=0.9), rng) for _ in range(20)]
        for rng in (np.random.default_rng(7), np.random.default_rng(7), np.random.default_rng(8))
    ]
    assert draws[0] == draws[1] != draws[2]


def test_results_are_python_integers():
    for options in (Sampling(), Sampling(0.0)):
        assert type(sample(LOGITS, options, np.random.default_rng(0))) is int


@pytest.mark.parametrize(
    ("logits", "error", "message"),
    [
        ([0.0, np.nan], DataError, r"logits\[1\] is nan"),
        ([np.inf, 0.0], DataError, r"logits\[0\] is inf"),
        ([-np.inf, -np.inf], DataError, "all 2 logits are -inf"),
        ([], ShapeError, r"not \[0\]"),
        ([[1.0]], ShapeError, r"not \[1, 1\]"),
    ],
)
def test_logits_without_a_distribution_are_errors(logits, error, message):
    for temperature in (0.0, 1.0):
        with pytest.raises(error, match=message):
            sample(np.array(logits), Sampling(temperature), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -0.1}, "temperature=-0.1"),
        ({"temperature": float("nan")}, "temperature=nan"),
        ({"temperature": float("inf")}, "temperature=inf"),
        ({"top_k": -1}, "top_k=-1"),
        ({"top_p": 0.0}, "top_p=0.0"),
        ({"top_p": 1.01}, "top_p=1.01"),
        ({"top_p": float("nan")}, "top_p=nan"),
        ({"temperature": "1"}, "temperature='1'"),
        ({"temperature": 10**400}, "temperature=1000"),
        ({"temperature": True}, "temperature=True"),
        ({"top_k": 2.5}, "top_k=2.5"),
        ({"top_k": None}, "top_k=None"),
        ({"top_p": "0.9"}, "top_p='0.9'"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": 1.0}, "seed=1.0"),
    ],
)
def test_options_outside_their_range_are_errors(options, message):
    with pytest.raises(ConfigError, match=message):
        Sampling(**options)


def test_numbers_of_numpy_are_numbers():
    options = Sampling(np.float32(0.5), np.int64(2), np.float64(0.9))
    assert sample(LOGITS, options, np.random.default_rng(0)) in (1, 4)
