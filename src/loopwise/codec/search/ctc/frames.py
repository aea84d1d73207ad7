"""What a network gives for frames, checked."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from loopwise.errors import DataError, ShapeError

BLANK = 0


def checked(log_probs: ArrayLike, size: int, first: int) -> NDArray[Any]:
    """Log probabilities ``[n, V]`` of frames.

    Args:
        log_probs: of each symbol.
        size: V.
        first: the number of the first of these frames, for messages.

    Raises:
        ShapeError: if they are not ``[n, size]``.
        DataError: if one is NaN or +inf, or all of a frame are -inf; names the frame.
    """
    frames = np.asarray(log_probs)
    if frames.ndim != 2 or frames.shape[1] != size:
        raise ShapeError(f"log_probs: must be [n, {size}], not {list(frames.shape)}")
    if not len(frames):
        return frames
    peaks = frames.max(axis=1)
    wrong = np.flatnonzero(~np.isfinite(peaks))  # the maximum is NaN where one is
    if wrong.size:
        frame = int(wrong[0])
        raise DataError(
            f"frame {first + frame}: the largest log probability is {peaks[frame]}; must be finite"
        )
    return frames
