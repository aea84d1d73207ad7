"""Steps of many streams at once: states in an arena, advanced by the engine or by NumPy.

A stream's results do not depend on which others take part in a call.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from loopwise import engine
from loopwise.errors import ConfigError
from loopwise.runtime.cells import Array
from loopwise.runtime.description import LanguageModelDescription, LayerDescription
from loopwise.runtime.modules import CHUNK, State
from loopwise.runtime.shapes import INITIAL

LINE = 16
"""Numbers that fill a cache line; each part of a state begins at one."""

PRECISIONS = ("float32", "bfloat16")

_NAMES = {
    "weight_ih_l0": "w_ih",
    "weight_hh_l0": "w_hh",
    "bias_ih_l0": "b_ih",
    "bias_hh_l0": "b_hh",
    "weight_hr_l0": "w_hr",
    "weight_peephole_l0": "peephole",
    "norm_weight_ih_l0": "norm_ih",
    "norm_weight_hh_l0": "norm_hh",
    "norm_weight_c_l0": "norm_c",
    "norm_bias_c_l0": "norm_c_bias",
}
"""A layer's tensors, and the engine's names of them."""


class Steps(Protocol):
    """Some streams of one model. Inputs are float32 numbers [I] or int64 token ids [] a step."""

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

    def push(self, x: Any) -> Array:
        """See `Steps.push`."""
        return self._advance(x[:, np.newaxis], np.zeros(1, np.int32))[:, 0]

    def step(self, ids: NDArray[np.int32], x: Any) -> Array:
        """See `Steps.step`."""
        return self._advance(x[np.newaxis], ids)[0]

    def reset(self, stream: int = 0) -> None:
        """See `Steps.reset`."""
        self._arena[stream] = self._initial

    def state(self, stream: int = 0) -> bytes:
        """See `Steps.state`."""
        return self._arena[stream].tobytes()

    def set_state(self, state: bytes, stream: int = 0) -> None:
        """See `Steps.set_state`."""
        self._arena[stream] = np.frombuffer(state, self._arena.dtype)

    def __len__(self) -> int:
        """See `Steps.__len__`."""
        return len(self._arena)

    def _advance(self, x: Any, ids: NDArray[np.int32]) -> Array:
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


def require_precision(precision: str) -> None:
    """Raise ConfigError unless it is one of `PRECISIONS`."""
    if precision not in PRECISIONS:
        raise ConfigError(f"dtype={precision!r}: expected one of {', '.join(PRECISIONS)}")


def engine_takes(layers: Sequence[LayerDescription], tensors: Mapping[str, Array]) -> bool:
    """Whether the engine can run a model: all of it in float32, no projected GRU."""
    return (
        engine.available()
        and all(tensor.dtype == np.float32 for tensor in tensors.values())
        and not any(layer.cell == "gru" and layer.proj_size for layer in layers)
    )


def pack(
    layers: Sequence[LayerDescription],
    tensors: Mapping[str, Array],
    ends: Mapping[str, Array],
    precision: str = "float32",
) -> Any:
    """A model of the engine: weights packed once, for `engine.streams`.

    Args:
        layers: their descriptions.
        tensors: theirs, as ``"n.name"``.
        ends: of ``embedding`` [V, I], ``head`` [O, S] and ``head_bias`` [O] those that are there.
        precision: of the weights, one of `PRECISIONS`.
    """
    packed: list[dict[str, Any]] = []
    for n, layer in enumerate(layers):
        own = {
            name: np.ascontiguousarray(tensors[f"{n}.{key}"])
            for key, name in _NAMES.items()
            if f"{n}.{key}" in tensors
        }
        start = {
            name: np.ascontiguousarray(tensors[f"{n}.{key}"][0])
            for key, name in zip(INITIAL, ("h0", "c0"), strict=True)
            if f"{n}.{key}" in tensors
        }
        cell = f"rnn_{layer.nonlinearity}" if layer.cell == "rnn" else layer.cell
        zoneout = {"zoneout": tuple(layer.zoneout)} if any(layer.zoneout) else {}
        packed.append({"cell": cell, "residual": layer.residual, **own, **start, **zoneout})
    return engine.model(
        precision, packed, {name: np.ascontiguousarray(array) for name, array in ends.items()}
    )


def pack_language_model(
    description: LanguageModelDescription, tensors: Mapping[str, Array], precision: str
) -> Any:
    """A language model as `pack` makes it: ids in, logits out."""
    head = "embedding.weight" if description.tied else "head.weight"
    ends = {
        "embedding": tensors["embedding.weight"],
        "head": tensors[head],
        "head_bias": tensors["head.bias"],
    }
    layers = {k.removeprefix("layers."): v for k, v in tensors.items() if k.startswith("layers.")}
    return pack(description.layers, layers, ends, precision)
