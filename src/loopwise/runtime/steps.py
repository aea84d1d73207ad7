"""Steps of many streams at once: states in an arena, advanced by the engine or by NumPy.

A stream's results do not depend on which others take part in a call.
"""

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from loopwise.runtime.cells import Array
from loopwise.runtime.description import LayerDescription
from loopwise.runtime.modules import CHUNK, State

LINE = 16
"""Numbers that fill a cache line; each part of a state begins at one."""


class Steps(Protocol):
    """Some streams of one model. Inputs are float32 numbers [I] or int64 token ids [] a step.

    While a thread is in one of them, calls from another raise RuntimeError.
    """

    def push(self, x: Any) -> Array:
        """Steps of the first stream: one, or [n] of them; as many outputs [O]."""
        ...

    def step(self, ids: NDArray[np.int32], x: Any) -> Array:
        """One step of each of the streams `ids` [n], all different, with inputs [n]: [n, O]."""
        ...

    def reset(self, stream: int = 0) -> None:
        """Return to the state before the first step."""
        ...

    def state(self, stream: int = 0) -> bytes:
        """The state of a stream."""
        ...

    def set_state(self, state: bytes, stream: int = 0) -> None:
        """Return to a state."""
        ...

    def reorder(self, rows: NDArray[np.int32]) -> None:
        """Streams 0 to n - 1 take the states of the streams `rows` [n], which may repeat.

        The streams from n on keep theirs. Raises ValueError, and changes nothing, if a row is no
        stream or there are more rows than streams.
        """
        ...

    def __len__(self) -> int:
        """How many streams there are."""
        ...


def layout(layers: Sequence[LayerDescription]) -> dict[str, slice]:
    """Where each part of a stream's state lies: ``"n.k"`` is tensor k of layer n."""
    parts: dict[str, slice] = {}
    begin = 0
    for n, layer in enumerate(layers):
        for k, size in enumerate(layer.state_sizes):
            parts[f"{n}.{k}"] = slice(begin, begin + size)
            begin += -(-size // LINE) * LINE
    return parts


class NumpySteps:
    """`Steps` in NumPy, for whatever the engine does not take.

    Args:
        layers: of the model.
        initial: the state before the first step of one stream.
        run: takes inputs [T, B, ...] and a state, returns outputs [T, B, O] and the state after.
        capacity: number of streams.
    """

    def __init__(
        self,
        layers: Sequence[LayerDescription],
        initial: State,
        run: Callable[[Any, State], tuple[Array, State]],
        capacity: int,
    ):
        self._run = run
        self._parts = list(layout(layers).values())
        self._sizes = [len(layer.state_sizes) for layer in layers]
        end = -(-self._parts[-1].stop // LINE) * LINE
        self._initial = np.zeros(end, initial[0][0].dtype)
        for part, array in zip(self._parts, (a for layer in initial for a in layer), strict=True):
            self._initial[part] = array[0]
        self._arena = np.tile(self._initial, (capacity, 1))
        self._spare = np.empty_like(self._arena)
        self._busy = threading.Lock()

    def push(self, x: Any) -> Array:
        """See `Steps.push`."""
        return self._advance(x[:, np.newaxis], np.zeros(1, np.int32))[:, 0]

    def step(self, ids: NDArray[np.int32], x: Any) -> Array:
        """See `Steps.step`."""
        return self._advance(x[np.newaxis], ids)[0]

    def reset(self, stream: int = 0) -> None:
        """See `Steps.reset`."""
        with self._turn():
            self._arena[stream] = self._initial

    def state(self, stream: int = 0) -> bytes:
        """See `Steps.state`."""
        with self._turn():
            return self._arena[stream].tobytes()

    def set_state(self, state: bytes, stream: int = 0) -> None:
        """See `Steps.set_state`."""
        with self._turn():
            self._arena[stream] = np.frombuffer(state, self._arena.dtype)

    def reorder(self, rows: NDArray[np.int32]) -> None:
        """See `Steps.reorder`."""
        with self._turn():
            n, capacity = len(rows), len(self._arena)
            if n > capacity:
                raise ValueError("rows: more than there are streams")
            if n and not (rows.min() >= 0 and rows.max() < capacity):
                raise ValueError(f"rows: expected numbers from 0 to {capacity - 1}")
            np.take(self._arena, rows, axis=0, out=self._spare[:n], mode="clip")
            self._arena[:n] = self._spare[:n]

    def __len__(self) -> int:
        """See `Steps.__len__`."""
        return len(self._arena)

    @contextmanager
    def _turn(self) -> Generator[None]:
        if not self._busy.acquire(blocking=False):
            raise RuntimeError("these streams are in use by another thread: give each its own")
        try:
            yield
        finally:
            self._busy.release()

    def _advance(self, x: Any, ids: NDArray[np.int32]) -> Array:
        with self._turn():
            return self._advance_alone(x, ids)

    def _advance_alone(self, x: Any, ids: NDArray[np.int32]) -> Array:
        rows = self._arena[ids]
        parts = iter(self._parts)
        state = tuple(tuple(rows[:, next(parts)] for _ in range(n)) for n in self._sizes)
        outputs: list[Array] = []
        for begin in range(0, max(len(x), 1), CHUNK):  # of no step the shape is still known
            y, state = self._run(x[begin : begin + CHUNK], state)
            outputs.append(y)
        for part, array in zip(self._parts, (a for layer in state for a in layer), strict=True):
            rows[:, part] = array
        self._arena[ids] = rows
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs)
