"""A session: a loaded model and the state of one stream."""

import json
from typing import Any, cast, overload

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from loopwise.codec.base import TokenIds
from loopwise.errors import DataError
from loopwise.runtime.bundle import Bundle
from loopwise.runtime.cells import Array
from loopwise.runtime.modules import CHUNK, Ids, LanguageModel, State

SNAPSHOT_FORMAT = 1

_KEY = "loopwise-session"

# What safetensors, JSON and NumPy raise, each on another kind of damage.
_DAMAGE = (SafetensorError, ValueError, TypeError, KeyError, AttributeError, RecursionError)


class Session:
    """One stream: ids go in, the logits of what may come next come out.

    Weights are shared with the other sessions of a model, states never are. Time and memory of a
    step do not depend on how many came before. A session is for one thread at a time.

    Args:
        model: the model.
        bundle: where the model came from; it names the model in snapshots.
    """

    def __init__(self, model: LanguageModel, bundle: Bundle):
        self._model, self._bundle = model, bundle
        self._state = model.initial_state()

    @overload
    def push(self, ids: int) -> Array: ...
    @overload
    def push(self, ids: TokenIds) -> Array: ...
    def push(self, ids: int | TokenIds) -> Array:
        """Take one id or several; one by one, in chunks or at once gives the same.

        Args:
            ids: an id, or integers [n], possibly none.

        Returns:
            Logits [V] after the id, or [n, V] after each of the ids.

        Raises:
            DataError: an id that is not in the vocabulary, or not a vector of integers; the state
                then stays as it was.
        """
        logits = self._model.logits(self._advance(_vector(ids))[:, 0])
        return logits if np.ndim(ids) else logits[0]

    def feed(self, ids: int | TokenIds) -> Array:
        """Take any number of ids in flat memory and return only the logits [V] after the last.

        Args:
            ids: an id, or integers [n], at least one.

        Raises:
            DataError: as in `push`, or no id; ids in front of a wrong one may have been taken.
        """
        vector = _vector(ids)
        if not len(vector):
            raise DataError("no token ids given: at least one is needed")
        *front, last = (vector[start : start + CHUNK] for start in range(0, len(vector), CHUNK))
        for chunk in front:
            self._advance(chunk)
        return self._model.logits(self._advance(last)[-1, 0])

    def reset(self) -> None:
        """Go back to the state before the first id."""
        self._state = self._model.initial_state()

    def snapshot(self) -> bytes:
        """The state as safetensors bytes, for `restore` in any session of the same model."""
        tensors = {
            f"{n}.{k}": a for n, layer in enumerate(self._state) for k, a in enumerate(layer)
        }
        label = {"format": SNAPSHOT_FORMAT, "model": self._bundle.fingerprint}
        return save(tensors, {_KEY: json.dumps(label)})

    def restore(self, snapshot: bytes | bytearray | memoryview) -> None:
        """Go back to the state of a snapshot.

        Raises:
            DataError: bytes that are damaged, no snapshot, of a newer format or of another model;
                the state then stays as it was.
        """
        try:
            data = bytes(memoryview(snapshot))
            tensors, label = load(data), _label(data)
        except _DAMAGE as error:
            raise DataError(f"damaged, or not a snapshot of a session: {error}") from error
        if label.get("format") != SNAPSHOT_FORMAT:
            raise DataError(
                f"snapshot format {label.get('format')!r}; this loopwise reads {SNAPSHOT_FORMAT}"
            )
        if label.get("model") != self._bundle.fingerprint:
            raise DataError(
                f"a snapshot of another model: {label.get('model')}, not {self._bundle.fingerprint}"
            )
        self._state = self._fitting(tensors)

    def _advance(self, ids: Ids) -> Array:
        hidden, self._state = self._model.hidden(ids[:, np.newaxis], self._state)
        return hidden

    def _fitting(self, tensors: dict[str, Array]) -> State:
        initial = self._model.initial_state()
        names = {f"{n}.{k}": a for n, layer in enumerate(initial) for k, a in enumerate(layer)}
        for name, expected in names.items():
            given = tensors.pop(name, None)
            if given is None or (given.shape, given.dtype) != (expected.shape, expected.dtype):
                raise DataError(f"damaged snapshot: no state {name} of shape {expected.shape}")
            names[name] = given
        if tensors:
            raise DataError(f"damaged snapshot: unknown state {min(tensors)}")
        return tuple(
            tuple(names[f"{n}.{k}"] for k in range(len(layer))) for n, layer in enumerate(initial)
        )


def _vector(ids: int | TokenIds) -> Ids:
    try:
        vector = np.atleast_1d(np.asarray(ids))
    except ValueError as error:  # rows of different lengths
        raise DataError(f"token ids must be integers [n]: {error}") from None
    if vector.shape == (0,):  # an empty list has no type of its own
        return np.zeros(0, np.int64)
    if vector.ndim != 1 or not np.issubdtype(vector.dtype, np.integer):
        raise DataError(f"token ids must be integers [n], not {vector.dtype} {list(vector.shape)}")
    return vector


def _label(snapshot: bytes) -> dict[str, Any]:
    # `safetensors` checks the header but gives the metadata only of a file, not of bytes.
    length = int.from_bytes(snapshot[:8], "little")
    label = json.loads(json.loads(snapshot[8 : 8 + length])["__metadata__"][_KEY])
    if not isinstance(label, dict):
        raise TypeError(f"its label is a {type(label).__name__}")
    return cast(dict[str, Any], label)
