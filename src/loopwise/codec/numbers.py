"""What counts as a number where a caller sets an option."""

import math
import numbers
from typing import TypeGuard


def is_integer(value: object) -> TypeGuard[int]:
    """Whether this is an integer, of Python or NumPy, and no truth value."""
    return not isinstance(value, bool) and isinstance(value, numbers.Integral)


def is_number(value: object) -> TypeGuard[float]:
    """Whether this is a real number that a float can hold, so neither infinite nor NaN."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond every float
        return False
