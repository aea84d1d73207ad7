"""The largest numbers of long rows."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwise.errors import DataError

DEPTH = 8
"""Columns that are looked at as one; of 4, 8 and 16 the quickest for 6 of 6,000."""
NARROW, FEW = 32, 1 << 14
"""Columns are looked at one by one where they are at most NARROW times as many as those sought, or
the numbers of all rows at most FEW."""


def largest(values: NDArray[Any], k: int) -> NDArray[np.intp]:
    """Where the largest numbers of each row are, equal ones by their column.

    A pass over the rows takes the maximum of every block of columns, and only the best blocks are
    looked into; which these are is found in the same way. That is several times as fast as
    `numpy.argpartition` of whole rows.

    Args:
        values: ``[N, C]``.
        k: how many, from 1 to C.

    Returns:
        ``[N, k]``, columns, the largest number first.

    Raises:
        DataError: if a number is NaN or +inf.
    """
    if k == values.shape[1]:
        require_below_infinity(values, values.max(axis=1))
        return np.argsort(-values, axis=1, kind="stable")
    best, numbers = _best(values, k + 1)
    require_below_infinity(values, numbers)
    others, best, numbers = numbers[:, 0], best[:, 1:], numbers[:, 1:]
    rows = np.arange(len(values))[:, np.newaxis]
    result = best[rows, np.lexsort((best, -numbers), axis=1)]
    # Of numbers that equal the least of them, those in the first columns may have been left out.
    for row in np.flatnonzero(others == numbers.min(axis=1)):
        result[row] = np.argsort(-values[row], kind="stable")[:k]
    return result


def _best(values: NDArray[Any], count: int) -> tuple[NDArray[np.intp], NDArray[Any]]:
    """Where the largest numbers of each row are, and these: [N, count], the least of them first.

    NaN counts as the largest. Columns where -inf was found may be none.
    """
    columns = values.shape[1]
    rows = np.arange(len(values))[:, np.newaxis]
    if columns <= NARROW * count or values.size <= FEW:
        best = values.argpartition(-count, axis=1)[:, -count:]
        return best, values[rows, best]
    blocks = -(-columns // DEPTH)
    chosen, maxima = _best(_block_maxima(values, blocks), count)
    depth = np.arange(DEPTH)[:, np.newaxis]
    inside = (chosen[:, np.newaxis] + blocks * depth).reshape(len(values), DEPTH * count)
    found = values[rows, np.minimum(inside, columns - 1)]
    found[(inside >= columns) | np.tile(maxima == -np.inf, DEPTH)] = -np.inf
    best = found.argpartition(-count, axis=1)[:, -count:]
    return inside[rows, best], found[rows, best]


def require_below_infinity(values: NDArray[Any], maxima: NDArray[Any]) -> None:
    """Raise DataError if one of `values` [N, C] is NaN or +inf, as some maxima of them then are."""
    if not (maxima < np.inf).all():  # false for NaN too
        row, column = np.argwhere(~(values < np.inf))[0]
        raise DataError(
            f"row {row}, column {column}: {values[row, column]}; must be finite or -inf"
        )


def _block_maxima(values: NDArray[Any], blocks: int) -> NDArray[Any]:
    """The maxima [N, M] of M blocks of columns: of m, m + M, m + 2 M, ... for each m below M."""
    rows, columns = values.shape
    whole = columns // blocks * blocks
    maxima = values[:, :whole].reshape(rows, columns // blocks, blocks).max(axis=1)
    rest = maxima[:, : columns - whole]
    np.maximum(rest, values[:, whole:], out=rest)
    return maxima
