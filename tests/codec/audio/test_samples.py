import numpy as np
import pytest

from loopwise.codec.audio.samples import as_samples, is_silent
from loopwise.errors import DataError


@pytest.mark.parametrize(
    ("values", "samples"),
    [
        (np.array([-32768, 0, 16384], np.int16), [-1, 0, 0.5]),
        (np.array([0, 128, 192], np.uint8), [-1, 0, 0.5]),
        (np.array([-(2**31), 2**30], np.int32), [-1, 0.5]),
        (np.array([0.25, -1.5]), [0.25, -1.5]),
        ([[1.0, 0.0], [0.5, -0.5]], [0.5, 0.0]),
        (np.array([[32767, 32767]], np.int16), [32767 / 32768]),
        (np.zeros(0), []),
    ],
)
def test_full_scale_of_any_type_is_one(values, samples):
    found = as_samples(values)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.array(samples, np.float32))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (np.zeros((2, 2, 2)), r"float64 \[2, 2, 2\]"),
        (np.zeros((2, 0)), r"float64 \[2, 0\]"),
        (0.5, r"float64 \[\]"),
        (["a"], "real numbers"),
        ([1j], "complex128"),
        ([True], "bool"),
        ([0.0, np.nan], "number 1 is nan"),
        ([0.0, 0.0, -np.inf], "number 2 is -inf"),
        ([1e300], "number 0 is inf"),
    ],
)
def test_what_is_no_sound_is_refused(values, told):
    with pytest.raises(DataError, match=told):
        as_samples(values)


def test_silence():
    assert is_silent(as_samples([]))
    assert is_silent(as_samples(np.full(9, 0.25)))
    assert is_silent(as_samples(np.array([0, 1, 0], np.int16)))
    assert not is_silent(as_samples(np.array([-1, 1, 0], np.int16)))
