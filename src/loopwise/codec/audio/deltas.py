"""Slopes of features over time, beside the features."""

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.float32]

REACH = 2
"""Frames to both sides that a slope is taken over."""


class DeltaStream:
    """A stream of frames with their slopes, and the slopes of these.

    The slope at t is that of the line of least squares through five frames; before the first and
    after the last of a stream, these two are repeated::

        d_t = sum_n n (c_t+n - c_t-n) / (2 sum_n n^2)      n = 1, 2

    Args:
        order: 0 for none, 1 for slopes, 2 for their slopes too. A frame comes out ``2 * order``
            frames after it went in.
        size: features of a frame, B.
    """

    def __init__(self, order: int, size: int):
        self.order, self.size = order, size
        self.reset()

    def reset(self) -> None:
        """Begin anew, with the next frame as the first."""
        self._slopes = [_Slope(self.size) for _ in range(self.order)]
        self._waiting = [np.zeros((0, self.size), np.float32) for _ in range(self.order + 1)]

    def push(self, base: Frames) -> Frames:
        """Take frames [n, B] and return those [m, B * (1 + order)] whose slopes are known."""
        found = [base]
        for slope in self._slopes:
            found.append(slope.push(found[-1]))
        return self._ready(found)

    def finish(self) -> Frames:
        """The frames [m, B * (1 + order)] that were waiting; the stream is then as new."""
        found = [np.zeros((0, self.size), np.float32)]
        for slope in self._slopes:
            found.append(np.concatenate([slope.push(found[-1]), slope.finish()]))
        ready = self._ready(found)
        self.reset()
        return ready

    def _ready(self, found: list[Frames]) -> Frames:
        """What is known of all orders, of what waited and what was found now."""
        waiting = [np.concatenate(both) for both in zip(self._waiting, found, strict=True)]
        count = len(waiting[-1])
        self._waiting = [frames[count:].copy() for frames in waiting]
        return np.concatenate([frames[:count] for frames in waiting], axis=1)


class _Slope:
    """Slopes of frames, `REACH` frames after them."""

    def __init__(self, size: int):
        self._near = np.zeros((0, size), np.float32)

    def push(self, frames: Frames) -> Frames:
        if not len(self._near):
            self._near = np.repeat(frames[:1], REACH, axis=0)
        near = np.concatenate([self._near, frames])
        self._near = near[max(0, len(near) - 2 * REACH) :].copy()
        return _slopes(near)

    def finish(self) -> Frames:
        return self.push(np.repeat(self._near[-1:], REACH, axis=0))


def _slopes(frames: Frames) -> Frames:
    """Of all frames [n, B] but the first and last `REACH` ones."""
    count = max(0, len(frames) - 2 * REACH)
    wide = frames.astype(np.float64)
    total = np.zeros((count, frames.shape[1]))
    for n in range(1, REACH + 1):
        ahead, behind = wide[REACH + n :][:count], wide[REACH - n :][:count]
        total += n * (ahead - behind)
    return (total / (2 * sum(n * n for n in range(1, REACH + 1)))).astype(np.float32)
