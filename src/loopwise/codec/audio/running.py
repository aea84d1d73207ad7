"""A mean that follows a stream of frames, known at every frame without what comes after it."""

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.audio.mel import Floats

_BLOCK = 128  # frames whose sums are taken by one product of matrices


class RunningMean:
    """Means of the frames so far, in which old frames count less and less.

    It begins as if `count` frames of the value `mean` had been heard::

        s_t = keep s_t-1 + x_t      n_t = keep n_t-1 + 1      mean_t = s_t / n_t

    Args:
        mean: [F].
        count: above 0; frames that `mean` counts for at first.
        memory: frames after which one counts 1/e of what it did; ``keep = exp(-1 / memory)``.
    """

    def __init__(self, mean: Floats, count: float, memory: float):
        self._mean, self._count = mean, count
        age = np.arange(_BLOCK + 1)
        self._keep = np.exp(-age / memory)
        self._weights = np.tril(self._keep[np.abs(age[:-1, None] - age[:-1])])
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self._sum, self._number = self._mean * self._count, self._count

    def push(self, frames: NDArray[np.float32]) -> Floats:
        """The means [n, F] at each of the next frames [n, F]."""
        blocks = [frames[at : at + _BLOCK] for at in range(0, len(frames), _BLOCK)]
        return np.concatenate([np.zeros((0, len(self._mean))), *map(self._means, blocks)])

    def _means(self, frames: NDArray[np.float32]) -> Floats:
        n = len(frames)
        keep, weights = self._keep[1 : n + 1], self._weights[:n, :n]
        sums = keep[:, None] * self._sum + weights @ frames.astype(np.float64)
        numbers = keep * self._number + weights.sum(1)
        self._sum, self._number = sums[-1].copy(), float(numbers[-1])
        return sums / numbers[:, None]
