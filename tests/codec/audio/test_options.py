import pytest

from loopwise.codec.audio.options import FeatureOptions
from loopwise.errors import ConfigError


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"kind": "plp"}, "must be one of logmel, mfcc"),
        ({"normalise": "max"}, "utterance, global, running, none"),
        ({"ready": 1}, "true or false"),
        ({"rate": 999}, "from 1000"),
        ({"rate": 16e3}, "whole"),
        ({"bins": 1}, "from 2"),
        ({"bins": True}, "whole"),
        ({"coefficients": 41, "kind": "mfcc"}, "from 1 to 40"),
        ({"deltas": 3}, "from 0 to 2"),
        ({"window": 0.0}, "2 samples or more"),
        ({"window": float("nan")}, "finite"),
        ({"hop": 0.0}, "above 0"),
        ({"hop": 0.03}, "at most window=0.025"),
        ({"rate": 11_025}, "a whole number of samples of 11025 Hz, and is 110.25"),
        ({"low": 8000}, "below half the rate, 8000"),
        ({"low": -1}, "at least 0"),
        ({"high": 10.0}, "above low=20.0"),
        ({"high": 8001}, "half the rate, 8000"),
        ({"preemphasis": 1}, "below 1"),
        ({"memory": 0.001}, "at least hop=0.01"),
        ({"prior": -1}, "at least 0"),
        ({"prior": "1"}, "finite"),
    ],
)
def test_what_is_not_allowed(given, told):
    name = "hop" if given == {"rate": 11_025} else next(iter(given))
    with pytest.raises(ConfigError, match=rf"^{name}=.*{told}"):
        FeatureOptions(**given)


def test_sizes():
    assert FeatureOptions().size == 40
    both = FeatureOptions(kind="mfcc", deltas=2)
    assert (both.base_size, both.size, both.lag) == (13, 39, 4)


def test_ready_frames_have_no_samples_to_fit():
    options = FeatureOptions(kind="logmel", ready=True, bins=80, hop=0.04, rate=11_025)
    assert options.size == 80
