"""The best continuations of a beam."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.search.largest import largest


class Beam:
    """Takes the most likely continuations of each lane's hypotheses.

    An end token that is among the `size` best continuations ends its hypothesis; the `size` best
    others go on. Equal ones are ordered by hypothesis, then by token.

    Args:
        size: of the beam, at least 1.
        end: the end token.
    """

    def __init__(self, size: int, end: int):
        self.size, self._end = size, end

    def choose(
        self, log_probs: NDArray[Any], totals: NDArray[np.float64], lanes: NDArray[np.intp]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Choose continuations of N hypotheses.

        Args:
            log_probs: ``[N, V]``, of the next token; -inf excludes one.
            totals: ``[N]``, log probabilities so far; -inf excludes a hypothesis.
            lanes: ``[N]``, ascending: hypotheses of the same lane compete.

        Returns:
            Hypotheses and their tokens, by lane and in each lane the most likely first.
        """
        near = min(self.size + 1, log_probs.shape[1])  # one of a row's candidates may be the end
        tokens = largest(log_probs, near)
        scores = np.take_along_axis(log_probs, tokens, axis=1) + totals[:, np.newaxis]
        first = np.flatnonzero(np.diff(lanes, prepend=-1))
        counts = np.diff(first, append=len(lanes))
        lane = np.repeat(np.arange(len(first)), counts)
        place = np.arange(len(lanes)) - first[lane]
        candidates = np.full((len(first), counts.max(), near), -np.inf)
        candidates[lane, place] = scores
        candidates = candidates.reshape(len(first), -1)
        order = np.argsort(-candidates, axis=1, kind="stable")[:, : 2 * self.size]
        rows = np.minimum(first[:, np.newaxis] + order // near, len(lanes) - 1)
        chosen = tokens[rows, order % near]
        ends = chosen == self._end
        rank = np.arange(order.shape[1])
        taken = np.where(ends, rank, (~ends).cumsum(axis=1) - 1) < self.size
        taken &= np.take_along_axis(candidates, order, axis=1) > -np.inf
        return rows[taken], chosen[taken]
