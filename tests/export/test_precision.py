"""A lower precision is measured on a sample, and refused beyond the limit."""

import dataclasses
import math

import numpy as np
import pytest

from loopwise.errors import ConfigError
from loopwise.export.precision import Measurement, lower
from loopwise.runtime.precision import decode, encode
from runtime.tiny import bundle

EXACT = dataclasses.replace(bundle(dtype="float32"), info={"epochs": 3})


@dataclasses.dataclass
class Known:
    """A sample on which the model in float32, then the other one, measures what is said here."""

    metrics: list[float]
    name = "7 numbers"
    metric = "error"
    output = "forecast"

    def __post_init__(self):
        self.models = []

    def measure(self, model):
        self.models.append(model)
        outputs = np.array([1.0, 2.0, 3.0]) if len(self.models) == 1 else np.array([1.0, 2.5, 2.9])
        return Measurement(self.metrics[len(self.models) - 1], outputs)


def test_what_was_measured_is_in_the_info():
    sample = Known([10.0, 10.05])
    lowered = lower(EXACT, "int8", sample)
    before, after = sample.models
    assert before.bundle is EXACT
    assert after.bundle.tensors is lowered.tensors
    assert after.bundle.dtype == lowered.dtype == "int8"
    assert lowered.info == {
        "epochs": 3,
        "precision": {
            "metric": "error",
            "float32": 10.0,
            "lowered": 10.05,
            "rise": pytest.approx(0.005),
            "output": "forecast",
            "outputs": 3,
            "mean_difference": pytest.approx(0.2),
            "largest_difference": 0.5,
        },
    }
    assert EXACT.info == {"epochs": 3}


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_the_matrices_are_rounded(dtype):
    lowered = lower(EXACT, dtype, None, math.inf)
    expected = decode(encode(EXACT.tensors, dtype), dtype)
    for name, tensor in lowered.tensors.items():
        np.testing.assert_array_equal(tensor, expected[name])
    assert lowered.fingerprint != EXACT.fingerprint
    assert "precision" not in lowered.info


@pytest.mark.parametrize(
    ("metrics", "limit", "fine"),
    [
        ([10.0, 10.11], 0.01, False),
        ([10.0, 10.09], 0.01, True),
        ([10.0, 10.11], 0.02, True),
        ([10.0, 9.0], 0, True),
        ([10.0, 99.0], math.inf, True),
        ([0.0, 0.0], 0, True),
        ([0.0, 0.1], 9, False),
        ([10.0, math.inf], math.inf, False),
        ([10.0, math.nan], math.inf, False),
    ],
)
def test_the_limit(metrics, limit, fine):
    if fine:
        assert lower(EXACT, "int8", Known(metrics), limit).dtype == "int8"
        return
    change = "error goes from {:.4g} to {:.4g} on 7 numbers".format(*metrics)
    with pytest.raises(ConfigError, match=change):
        lower(EXACT, "int8", Known(metrics), limit)


def test_a_refusal_says_what_was_found_and_what_is_allowed():
    with pytest.raises(ConfigError) as caught:
        lower(EXACT, "bfloat16", Known([10.0, 12.5]))
    assert str(caught.value) == (
        "dtype='bfloat16': error goes from 10 to 12.5 on 7 numbers: 25 % more, where the limit "
        "allows 1 %; take another precision, or a higher limit"
    )


@pytest.mark.parametrize(
    ("made", "dtype", "limit", "message"),
    [
        (EXACT, "int4", 0.1, r"dtype='int4': expected one of float32, bfloat16, int8"),
        (EXACT, "float32", 0.1, r"dtype='float32': the model is in float32"),
        (lower(EXACT, "int8", None, math.inf), "bfloat16", 0.1, r"the model is in int8; only one"),
        (EXACT, "int8", -0.1, r"limit=-0.1: must be at least 0"),
        (EXACT, "int8", math.nan, r"limit=nan: must be at least 0"),
        (EXACT, "int8", 0.1, r"no sample to measure on; limit=inf goes without"),
    ],
)
def test_mistakes(made, dtype, limit, message):
    with pytest.raises(ConfigError, match=message):
        lower(made, dtype, None, limit)
