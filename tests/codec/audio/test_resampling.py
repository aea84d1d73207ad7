import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwise.codec.audio.resampling import Resampler, resample
from loopwise.errors import ConfigError

from .signals import noise, pieces, tone

RATES = [(8000, 16_000), (16_000, 8000), (44_100, 16_000), (22_050, 16_000), (16_000, 16_000)]


@given(
    rates=st.sampled_from(RATES),
    length=st.integers(0, 3000),
    cuts=st.lists(st.integers(0, 3000), max_size=8),
)
def test_a_stream_gives_the_samples_of_the_whole_however_it_is_cut(rates, length, cuts):
    samples, stream = noise(length), Resampler(*rates)
    whole = resample(samples, *rates)
    for _ in range(2):  # finish makes it as new
        parts = [stream.push(part) for part in pieces(samples, cuts)]
        streamed = np.concatenate([*parts, stream.finish()])
        assert streamed.dtype == np.float32
        np.testing.assert_array_equal(streamed, whole)
    assert abs(len(whole) - length * rates[1] / rates[0]) <= 1


@pytest.mark.parametrize("rates", RATES)
def test_a_tone_stays_the_same_tone(rates):
    rate, to = rates
    found = resample(tone(440, rate), rate, to)
    inside = slice(to // 20, -to // 20)  # the ends ring
    np.testing.assert_allclose(found[inside], tone(440, to)[inside], atol=1e-4)


def test_what_the_lower_rate_cannot_hold_is_gone():
    found = resample(tone(6000), 16_000, 8000)
    assert np.abs(found[400:-400]).max() < 1e-4


def test_a_reset_stream_has_forgotten():
    stream = Resampler(8000, 16_000)
    stream.push(noise(1000))
    stream.reset()
    again = np.concatenate([stream.push(noise(500, seed=1)), stream.finish()])
    np.testing.assert_array_equal(again, resample(noise(500, seed=1), 8000, 16_000))


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf"), "8000", None])
def test_rates_that_are_none(rate):
    with pytest.raises(ConfigError, match="rate="):
        resample(noise(10), rate, 8000)
    with pytest.raises(ConfigError, match="to="):
        Resampler(8000, rate)
