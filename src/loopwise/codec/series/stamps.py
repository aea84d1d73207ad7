"""Stamps: when the points of a series are, as whole numbers or as naive times."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Stamps = NDArray[Any]
"""int64, or datetime64[us] without a zone."""

DAY = 86_400_000_000
"""Microseconds of a day."""


def stamp_array(stamps: ArrayLike) -> Stamps:
    """Stamps of any shape as int64 or datetime64[us].

    Args:
        stamps: whole numbers, datetime64 of any unit, or texts such as ``"2024-01-31T12:00"``.
    """
    array = np.asarray(stamps)
    return array.astype(np.int64 if array.dtype.kind in "iu" else "datetime64[us]", copy=False)


def stamp_text(stamp: Any) -> str:
    """A stamp for a message: ``"17"``, ``"2024-01-31"`` or ``"2024-01-31 12:00"``."""
    value = stamp_array(stamp)
    if value.dtype.kind != "M":
        return str(int(value))
    if np.isnat(value):
        return "nothing"
    text = str(value.astype("datetime64[us]")).replace("T", " ")
    for zeros in (".000000", ":00", " 00:00"):
        if not text.endswith(zeros):
            break
        text = text.removesuffix(zeros)
    return text
