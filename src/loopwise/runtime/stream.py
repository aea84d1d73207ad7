"""Streams: a model and the states of those who use it, a step at a time."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from loopwise.errors import ConfigError, DataError
from loopwise.runtime.cells import Array
from loopwise.runtime.description import LayerDescription
from loopwise.runtime.modules import CHUNK
from loopwise.runtime.steps import NumpySteps, Steps, layout

SNAPSHOT_FORMAT = 1

_KEY = "loopwise-session"

DAMAGE = (SafetensorError, ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What safetensors, JSON and NumPy raise, each on another kind of damage."""


class Inputs(Protocol):
    """What a model reads at a step."""

    def array(self, given: Any, what: str) -> tuple[NDArray[Any], bool]:
        """Steps [n, ...] as the model takes them, and whether only one was given.

        Raises:
            DataError: it is nothing that the model reads; the message begins with `what`.
        """
        ...


@dataclass(frozen=True)
class TokenIds:
    """Token ids below `vocabulary`."""

    vocabulary: int

    def array(self, given: Any, what: str) -> tuple[NDArray[Any], bool]:
        """See `Inputs.array`: int64 [n]."""
        try:
            ids = np.asarray(given)
        except ValueError as error:  # rows of different lengths
            raise DataError(f"{what}: token ids must be integers [n]: {error}") from None
        if ids.shape == (0,):  # an empty list has no type of its own
            return np.zeros(0, np.int64), False
        if ids.ndim > 1 or not np.issubdtype(ids.dtype, np.integer):
            raise DataError(
                f"{what}: token ids must be integers [n], not {ids.dtype} {list(ids.shape)}"
            )
        outside = ids[(ids < 0) | (ids >= self.vocabulary)]
        if outside.size:
            raise DataError(
                f"{what}: token id {outside.flat[0]} is not in the vocabulary: allowed are 0 to "
                f"{self.vocabulary - 1}"
            )
        return np.ascontiguousarray(np.atleast_1d(ids), np.int64), ids.ndim == 0


@dataclass(frozen=True)
class Numbers:
    """`size` numbers of type `dtype`."""

    size: int
    dtype: np.dtype[Any]

    def array(self, given: Any, what: str) -> tuple[NDArray[Any], bool]:
        """See `Inputs.array`: [n, size]."""
        try:
            numbers = np.ascontiguousarray(given, self.dtype)
        except (ValueError, TypeError) as error:
            raise DataError(f"{what}: expected numbers: {error}") from None
        if numbers.ndim not in (1, 2) or numbers.shape[-1] != self.size:
            raise DataError(
                f"{what}: expected [{self.size}] or [n, {self.size}], given {list(np.shape(given))}"
            )
        return np.atleast_2d(numbers), numbers.ndim == 1


class Stream:
    """One stream of a model, or many: inputs go in, outputs come out, states stay inside.

    Weights are shared with the other streams of a model, states never are. Time and memory of a
    step do not depend on how many came before. One by one, in chunks or at once gives the same,
    and so does a stream alone or beside others. An object is for one thread at a time.

    Args:
        steps: what advances the states.
        inputs: what a step reads.
        layers: of the model.
        dtype: of its states and outputs.
        fingerprint: names the model in snapshots.
    """

    def __init__(
        self,
        steps: Steps,
        inputs: Inputs,
        layers: Sequence[LayerDescription],
        dtype: np.dtype[Any],
        fingerprint: str,
    ):
        self._steps, self._inputs = steps, inputs
        self._engine_push = None if isinstance(steps, NumpySteps) else steps.push
        self._layout, self._dtype, self._fingerprint = layout(layers), dtype, fingerprint

    def push(self, x: ArrayLike) -> Array:
        """Take one step of the first stream, or several.

        Args:
            x: a step's input, [I] numbers or a token id; or several of them, [n, I] or [n].

        Returns:
            The output [O] after the step, for a language model the logits of what may come next;
            or [n, O], after each of the steps.

        Raises:
            DataError: it is nothing that the model reads; the state then stays as it was.
        """
        if self._engine_push is not None:
            try:
                return self._engine_push(x)
            except (TypeError, ValueError):  # it takes only what it need not convert
                pass
        steps, single = self._inputs.array(x, "x")
        y = self._steps.push(steps)
        return y[0] if single else y

    def feed(self, x: ArrayLike) -> Array:
        """Take any number of steps of the first stream in flat memory: only the last output [O].

        Args:
            x: as in `push`, at least one step.

        Raises:
            DataError: as in `push`, or no step.
        """
        steps, _ = self._inputs.array(x, "x")
        if not len(steps):
            raise DataError("x: no steps given: at least one is needed")
        for begin in range(0, len(steps), CHUNK):
            y = self._steps.push(steps[begin : begin + CHUNK])
        return y[-1]  # pyright: ignore[reportPossiblyUnboundVariable]

    def step(self, streams: ArrayLike, x: ArrayLike) -> Array:
        """Take one step of each of several streams.

        Args:
            streams: [n] numbers of streams from 0 to ``len(self) - 1``, all different.
            x: [n, I] numbers, or [n] token ids: an input for each of them.

        Returns:
            [n, O].

        Raises:
            DataError: a stream that is not there or named twice, or inputs that do not fit; all
                states then stay as they were.
        """
        ids = np.ascontiguousarray(streams, np.int32)
        steps, _ = self._inputs.array(x, "x")
        if ids.ndim != 1 or len(steps) != len(ids):
            raise DataError(f"x: {len(steps)} inputs for streams of shape {list(ids.shape)}")
        if ids.size and not (ids.min() >= 0 and ids.max() < len(self._steps)):
            raise DataError(f"streams: expected numbers from 0 to {len(self._steps) - 1}")
        if len(np.unique(ids)) != len(ids):
            raise DataError("streams: each may be named once in a call")
        return self._steps.step(ids, steps)

    def __len__(self) -> int:
        """How many streams there are."""
        return len(self._steps)

    def reset(self, stream: int = 0) -> None:
        """Return a stream to the state before its first step."""
        self._steps.reset(self._checked(stream))

    def snapshot(self, stream: int = 0) -> bytes:
        """The state of a stream as safetensors bytes, for `restore` in any stream of the model."""
        state = np.frombuffer(self._steps.state(self._checked(stream)), self._dtype)
        tensors = {name: state[np.newaxis, part].copy() for name, part in self._layout.items()}
        label = {"format": SNAPSHOT_FORMAT, "model": self._fingerprint}
        return labelled(tensors, label)

    def restore(self, snapshot: bytes | bytearray | memoryview, stream: int = 0) -> None:
        """Return a stream to the state of a snapshot.

        Raises:
            DataError: bytes that are damaged, no snapshot, of a newer format or of another model;
                the state then stays as it was.
        """
        try:
            data = bytes(memoryview(snapshot))
            tensors, label = load(data), label_of(data)
        except DAMAGE as error:
            raise DataError(f"damaged, or not a snapshot of a stream: {error}") from error
        if label.get("format") != SNAPSHOT_FORMAT:
            raise DataError(
                f"snapshot format {label.get('format')!r}; this loopwise reads {SNAPSHOT_FORMAT}"
            )
        if label.get("model") != self._fingerprint:
            raise DataError(
                f"a snapshot of another model: {label.get('model')}, not {self._fingerprint}"
            )
        self._steps.set_state(self._fitting(tensors), self._checked(stream))

    def _fitting(self, tensors: dict[str, Array]) -> bytes:
        state = np.frombuffer(self._steps.state(), self._dtype).copy()
        for name, part in self._layout.items():
            given, shape = tensors.pop(name, None), (1, part.stop - part.start)
            if given is None or (given.shape, given.dtype) != (shape, self._dtype):
                raise DataError(f"damaged snapshot: no state {name} of shape {shape}")
            state[part] = given[0]
        if tensors:
            raise DataError(f"damaged snapshot: unknown state {min(tensors)}")
        return state.tobytes()

    def _checked(self, stream: int) -> int:
        if not 0 <= stream < len(self._steps):
            raise DataError(f"stream {stream}: expected 0 to {len(self._steps) - 1}")
        return stream


def require_streams(streams: object) -> int:
    """The number of streams that a caller asked for; raises ConfigError if it is none."""
    if not isinstance(streams, int) or isinstance(streams, bool) or streams < 1:
        raise ConfigError(f"streams={streams!r}: expected an integer of at least 1")
    return streams


def fingerprint_of(tensors: Mapping[str, Array]) -> str:
    """32 hexadecimal digits that name some tensors."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype.str} {tensor.shape}\n".encode())
        digest.update(np.ascontiguousarray(tensor).data)
    return digest.hexdigest()


def labelled(tensors: Mapping[str, NDArray[Any]], label: Mapping[str, Any]) -> bytes:
    """Tensors as safetensors bytes, with a label that `label_of` reads."""
    return save(dict(tensors), {_KEY: json.dumps(label)})


def label_of(snapshot: bytes) -> dict[str, Any]:
    """The label of snapshot bytes; raises one of `DAMAGE` where there is none."""
    # `safetensors` checks the header but gives the metadata only of a file, not of bytes.
    length = int.from_bytes(snapshot[:8], "little")
    label = json.loads(json.loads(snapshot[8 : 8 + length])["__metadata__"][_KEY])
    if not isinstance(label, dict):
        raise TypeError(f"its label is a {type(label).__name__}")
    return cast(dict[str, Any], label)
