"""The likeliest path."""

import numpy as np
from numpy.typing import ArrayLike

from loopwise.codec.search.frames import BLANK, checked_log_probs
from loopwise.codec.search.spoken import Spoken


class GreedySearch:
    """Takes the likeliest symbol of each frame, of equal ones the first.

    `Spoken.log_probability` and `score` are those of the path.

    Args:
        size: of the vocabulary, the blank among it.
    """

    def __init__(self, size: int):
        self.size = size
        self.reset()

    def reset(self) -> None:
        """Begin a new utterance."""
        self.frames = 0
        self._last = BLANK
        self._log_probability = 0.0
        self._ids: list[int] = []
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._peaks: list[float] = []

    def push(self, log_probs: ArrayLike) -> None:
        """Take frames ``[n, V]``; cuts between calls make no difference.

        Raises:
            ShapeError: if they are not ``[n, size]``.
            DataError: if one is NaN or +inf, or all of a frame are -inf.
        """
        rows = checked_log_probs(log_probs, self.size, self.frames)
        symbols = rows.argmax(axis=1)
        logs = np.take_along_axis(rows, symbols[:, np.newaxis], axis=1)[:, 0]
        for symbol, log in zip(symbols.tolist(), logs.tolist(), strict=True):
            self._take(symbol, log)

    def _take(self, symbol: int, log: float) -> None:
        if symbol != BLANK and symbol == self._last:
            self._ends[-1] += 1
            self._peaks[-1] = max(self._peaks[-1], log)
        elif symbol != BLANK:
            self._ids.append(symbol)
            self._starts.append(self.frames)
            self._ends.append(self.frames + 1)
            self._peaks.append(log)
        self._last = symbol
        self._log_probability += log
        self.frames += 1

    def best(self) -> Spoken:
        """What was heard so far."""
        return Spoken(
            tuple(self._ids),
            tuple(self._starts),
            tuple(self._ends),
            tuple(np.exp(self._peaks).clip(0, 1).tolist()),
            None,
            (-1,) * len(self._ids),
            self._log_probability,
            self._log_probability,
        )

    def n_best(self, count: int) -> list[Spoken]:
        """`best` alone."""
        return [self.best()][:count]

    def finish(self, count: int = 1) -> list[Spoken]:
        """What was heard, as a list of one; then `reset`."""
        found = self.n_best(count)
        self.reset()
        return found
