"""Histories of different lengths, one after the other in one array, and where each begins."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from loopwise.codec.numbers import is_integer
from loopwise.errors import ConfigError, ShapeError


def check_offsets(
    values: ArrayLike, offsets: ArrayLike, season: int = 1
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Values [total] and offsets [N + 1] as arrays.

    Raises:
        ShapeError: the offsets do not rise from 0 to the number of values.
        ConfigError: the season is not at least 1 and whole.
    """
    flat, at = np.asarray(values, np.float64), np.asarray(offsets, np.int64)
    if flat.ndim != 1 or at.ndim != 1 or not len(at) or at[0] != 0 or at[-1] != len(flat):
        raise ShapeError(f"offsets must go from 0 to the number of values, {flat.size}")
    if np.any(np.diff(at) < 0):
        raise ShapeError("offsets must not fall")
    if not (is_integer(season) and season >= 1):
        raise ConfigError(f"season={season!r}: must be at least 1 and whole")
    return flat, at
