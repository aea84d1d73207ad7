"""Samples as all of the codec takes them: one channel, float32, full scale at -1 and 1."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from loopwise.codec.numbers import is_number
from loopwise.errors import ConfigError, DataError

Samples = NDArray[np.float32]

LOWEST_RATE, HIGHEST_RATE = 1_000, 1_000_000
"""Of sound, Hz."""

SILENCE = 2.0**-15
"""The least step of 16 bits: what never leaves a range of this size is silent."""


def as_samples(values: ArrayLike) -> Samples:
    """Samples [N] of any numbers.

    Args:
        values: [N], or [N, C] of several channels, which are averaged. Floats are full scale at
            -1 and 1; integers at the ends of their type, so that int16 are divided by 32768 and
            unsigned ones are taken about their middle.

    Raises:
        DataError: they have another shape or type, or one is infinite or NaN; names its position.
    """
    try:
        array: NDArray[Any] = np.asarray(values)
    except ValueError as error:  # rows of several lengths
        raise DataError(f"samples: no array ({error})") from None
    if array.ndim not in (1, 2) or array.dtype.kind not in "fiu" or array.shape[1:] == (0,):
        raise DataError(
            f"samples: {array.dtype} {list(array.shape)}; wanted are real numbers [N], or [N, C] "
            "of C channels"
        )
    scaled = _full_scale(array)
    mono = scaled if scaled.ndim == 1 else scaled.mean(1, dtype=np.float64)
    with np.errstate(over="ignore"):
        samples = np.ascontiguousarray(mono, np.float32)
    wrong = np.flatnonzero(~np.isfinite(samples))
    if wrong.size:
        raise DataError(f"samples: number {wrong[0]:,} is {samples[wrong[0]]}; all must be finite")
    return samples


def _full_scale(array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind == "f":
        return array
    bits = 8 * array.dtype.itemsize
    middle = 2.0 ** (bits - 1) if array.dtype.kind == "u" else 0.0
    return (array.astype(np.float64) - middle) / 2.0 ** (bits - 1)


def require_rate(rate: object) -> None:
    """Raise ConfigError unless this is a rate that sound may have."""
    if not (is_number(rate) and LOWEST_RATE <= rate <= HIGHEST_RATE):
        raise ConfigError(
            f"rate={rate!r}: must be a number from {LOWEST_RATE:,} to {HIGHEST_RATE:,}, in Hz"
        )


def is_silent(samples: Samples) -> bool:
    """Whether there is nothing to hear in samples [N]: none, or a constant but for one step of 16
    bits.
    """
    return not samples.size or float(np.ptp(samples)) <= SILENCE
