"""Which tokens may not come next."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.search.options import Search


def forbid(log_probs: NDArray[Any], ids: NDArray[np.int32], end: int, options: Search) -> None:
    """Set to -inf what a `Search` excludes.

    Args:
        log_probs: ``[N, V]``, of the next token.
        ids: ``[N, t]``, the tokens before.
        end: the end token.
        options: its `min_length` and `block_ngram` are looked at.
    """
    if ids.shape[1] < options.min_length:
        log_probs[:, end] = -np.inf
    if 0 < options.block_ngram <= ids.shape[1]:
        log_probs[repetitions(ids, options.block_ngram)] = -np.inf


def repetitions(ids: NDArray[np.int32], n: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rows, and tokens that would complete an n-gram there for the second time; n at most t."""
    places = ids.shape[1] - n + 1
    same = np.ones((len(ids), places), np.bool_)
    for k in range(n - 1):  # does an n-gram there begin like the one to be completed?
        same &= ids[:, k : k + places] == ids[:, k - n + 1, np.newaxis]
    rows, at = same.nonzero()
    return rows, ids[rows, at + n - 1]
