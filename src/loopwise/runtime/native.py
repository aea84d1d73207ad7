"""Deployed models on the engine: whole chunks of a layer, and weights packed for streams."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwise import engine
from loopwise.runtime.cells import Array, LayerState
from loopwise.runtime.description import LayerDescription
from loopwise.runtime.shapes import FIELDS, GATES, INITIAL

MANY = 16
"""Rows from which on weights are packed in each call: some machines then want them otherwise, and
packing is little of the work."""


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
        precision: of the weights, one of `loopwise.runtime.precision.PRECISIONS`.
    """
    packed: list[dict[str, Any]] = []
    for n, layer in enumerate(layers):
        below = {k.removeprefix(f"{n}."): v for k, v in tensors.items() if k.startswith(f"{n}.")}
        own = _weights(below)
        start = {
            name: np.ascontiguousarray(below[key][0])
            for key, name in zip(INITIAL, ("h0", "c0"), strict=True)
            if key in below
        }
        zoneout = {"zoneout": tuple(layer.zoneout)} if any(layer.zoneout) else {}
        packed.append({"cell": _cell(layer), "residual": layer.residual, **own, **start, **zoneout})
    return engine.model(
        precision, packed, {name: np.ascontiguousarray(array) for name, array in ends.items()}
    )


def pack_model(
    layers: Sequence[LayerDescription],
    tensors: Mapping[str, Array],
    ends: Mapping[str, Array],
    precision: str,
) -> Any:
    """A whole model as `pack` makes it, its tensors named as a bundle has them."""
    below = {k.removeprefix("layers."): v for k, v in tensors.items() if k.startswith("layers.")}
    return pack(layers, below, ends, precision)


class PackedModel:
    """A model that `pack` made, read as `loopwise.runtime.modules.Model` is."""

    def __init__(self, packed: Any):
        self._packed = packed

    def initial_state(self, batch: int = 1) -> Any:
        """New streams, one for each of ``batch`` sequences; they are their own state."""
        return engine.streams(self._packed, batch)

    def read(self, x: NDArray[Any], state: Any) -> tuple[Array, Any]:
        """The outputs [T, B, O] for ids [T, B] or numbers [T, B, I]; the streams, moved on."""
        x = np.ascontiguousarray(x, np.float32 if x.ndim == 3 else np.int64)
        if x.shape[1] == 1:
            return state.push(x[:, 0])[:, np.newaxis], state
        rows = np.arange(x.shape[1], dtype=np.int32)
        return np.stack([state.step(rows, step) for step in x]), state


def native_layer(
    layer: LayerDescription, tensors: Mapping[str, Array], *, reverse: bool = False
) -> "NativeLayer | None":
    """As `NativeLayer`; None where the engine does not take it."""
    if not engine_takes([layer], tensors):
        return None
    return NativeLayer(layer, tensors, reverse=reverse)


class NativeLayer:
    """One direction of a layer that `engine_takes`, whole chunks at a time.

    Args:
        layer: its description.
        tensors: its weights, named as those of the forward direction.
        reverse: whether rows are read from their ends.
    """

    def __init__(
        self, layer: LayerDescription, tensors: Mapping[str, Array], *, reverse: bool = False
    ):
        self._layer, self._reverse = layer, reverse
        self._weights = _weights(tensors)

    @cached_property
    def _packed(self) -> dict[str, Array]:
        gates = GATES[self._layer.cell]
        return {
            f"packed_{name}": engine.pack(1 if name == "w_hr" else gates, weight)
            for name, weight in self._weights.items()
            if name in ("w_ih", "w_hh", "w_hr")
        }

    def read(
        self,
        x: Array,
        state: LayerState,
        lengths: NDArray[np.integer[Any]] | None = None,
    ) -> tuple[Array, LayerState]:
        """Run over a chunk; see `loopwise.runtime.modules.Layer`.

        Args:
            x: [T, B, I].
            state: before the first step that is read.
            lengths: [B], of the rows; None where all have T steps. Outputs beyond are 0.
        """
        layer = self._layer
        steps, rows = x.shape[:2]
        if lengths is not None and int(lengths.min(initial=steps)) == steps:
            lengths = None
        new = np.empty if lengths is None else np.zeros
        y = new((steps, rows, layer.proj_size or layer.hidden_size), np.float32)
        after = tuple(np.empty((rows, size), np.float32) for size in layer.state_sizes)
        named: dict[str, NDArray[Any]] = {
            **self._weights,
            **(self._packed if rows < MANY else {}),
            **dict(zip(("h0", "c0"), map(np.ascontiguousarray, state), strict=False)),
            **dict(zip(("hn", "cn"), after, strict=False)),
        }
        if lengths is not None:
            order = np.argsort(-lengths, kind="stable")
            named["order"] = order.astype(np.int32)
            named["length"] = lengths[order].astype(np.int32)
        if any(layer.zoneout):
            for name, p, size in zip(
                ("keep_h", "keep_c"), layer.zoneout, layer.state_sizes, strict=False
            ):
                named[name] = np.full((steps, rows, size), p, np.float32)
        x = np.ascontiguousarray(x)
        engine.forward(_cell(layer), self._reverse, engine.threads(), x=x, y=y, **named)
        return y, after


def _weights(tensors: Mapping[str, Array]) -> dict[str, Array]:
    return {
        engine.WEIGHTS.get(field, field): np.ascontiguousarray(tensors[f"{name}_l0"])
        for name, field in FIELDS.items()
        if f"{name}_l0" in tensors
    }


def _cell(layer: LayerDescription) -> str:
    return f"rnn_{layer.nonlinearity}" if layer.cell == "rnn" else layer.cell
