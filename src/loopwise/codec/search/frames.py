"""What a network gives for frames, checked."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from loopwise.errors import DataError, ShapeError

BLANK = 0


def checked_log_probs(
    log_probs: ArrayLike, size: int, first: int, *, rows: int | None = None
) -> NDArray[Any]:
    """Log probabilities ``[n, V]``, of the symbols of each frame or, in one frame, of each text.

    Args:
        log_probs: of each symbol.
        size: V.
        first: the number of the first of these frames, for messages.
        rows: n where it is known: then all are of one frame.

    Raises:
        ShapeError: if they are not ``[n, size]``.
        DataError: if one is NaN or +inf, or all of a row are -inf; names the frame.
    """
    found = np.asarray(log_probs)
    if found.ndim != 2 or found.shape[1] != size or rows not in (None, len(found)):
        count = "n" if rows is None else rows
        raise ShapeError(f"log_probs: must be [{count}, {size}], not {list(found.shape)}")
    if not len(found):
        return found
    peaks = found.max(axis=1)
    wrong = np.flatnonzero(~np.isfinite(peaks))  # the maximum is NaN where one is
    if wrong.size:
        row = int(wrong[0])
        frame = first + (row if rows is None else 0)
        raise DataError(
            f"frame {frame}: the largest log probability is {peaks[row]}; must be finite"
        )
    return found


def checked_frames(encoded: ArrayLike) -> NDArray[Any]:
    """An encoder's frames; raises ShapeError if they are not ``[n, E]``."""
    frames = np.asarray(encoded)
    if frames.ndim != 2:
        raise ShapeError(f"encoded: must be [n, E], not {list(frames.shape)}")
    return frames
