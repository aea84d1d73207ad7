"""The likeliest symbol each time."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from loopwise.codec.search.frames import BLANK, checked_frames, checked_log_probs
from loopwise.codec.search.spoken import Spoken
from loopwise.codec.search.transducer.predictor import TransducerPredictor


class GreedyTransducer:
    """Takes the likeliest symbol, of equal ones the first, until it is the blank.

    `Spoken.log_probability` and `score` are those of this way to say the text.

    Args:
        predictor: the transducer.
        max_symbols: units that may be said in a frame; behind them it is left without a blank.

    Attributes:
        frames: how many were taken.
    """

    def __init__(self, predictor: TransducerPredictor, max_symbols: int = 4):
        self.predictor, self.max_symbols = predictor, max_symbols
        self.reset()

    def reset(self) -> None:
        """Begin a new utterance."""
        self.frames = 0
        self._state = self.predictor.start()
        self._log_probability = 0.0
        self._ids: list[int] = []
        self._starts: list[int] = []
        self._logs: list[float] = []

    def push(self, encoded: ArrayLike) -> None:
        """Take the encoder's frames ``[n, E]``; cuts between calls make no difference.

        Raises:
            ShapeError: if they are not ``[n, E]``, or the predictor's answer is not ``[1, V]``.
            DataError: if a log probability is NaN or +inf, or all of a frame are -inf.
        """
        for frame in checked_frames(encoded):
            self._take(frame)
            self.frames += 1

    def _take(self, frame: NDArray[Any]) -> None:
        for _ in range(self.max_symbols):
            answer = self.predictor.join(frame, [self._state])
            row = checked_log_probs(answer, self.predictor.size, self.frames, rows=1)[0]
            symbol = int(row.argmax())
            log = float(row[symbol])
            self._log_probability += log
            if symbol == BLANK:
                return
            self._ids.append(symbol)
            self._starts.append(self.frames)
            self._logs.append(log)
            [self._state] = self.predictor.advance([self._state], [symbol])

    def best(self) -> Spoken:
        """What was heard so far."""
        starts = np.array(self._starts, np.intp)
        ends = np.minimum(starts + 1, np.append(starts[1:], self.frames))
        return Spoken(
            tuple(self._ids),
            tuple(self._starts),
            tuple(ends.tolist()),
            tuple(min(1.0, math.exp(log)) for log in self._logs),
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
