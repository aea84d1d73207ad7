"""Recurrent layers that read whole sequences of different lengths, in one or both directions."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwise.runtime import native
from loopwise.runtime.cells import Array, LayerState, make_cell, scan
from loopwise.runtime.description import LayerDescription
from loopwise.runtime.modules import below
from loopwise.runtime.shapes import INITIAL

Lengths = NDArray[np.integer[Any]]


class Encoder:
    """Layers over each other.

    Args:
        descriptions: of the layers, from the input upwards.
        tensors: theirs, as ``"n.name"``.
    """

    def __init__(self, descriptions: Sequence[LayerDescription], tensors: Mapping[str, Array]):
        self._residual = [layer.residual for layer in descriptions]
        self._layers = [
            [
                _Direction(layer, below(tensors, f"{n}."), number)
                for number in range(len(layer.suffixes))
            ]
            for n, layer in enumerate(descriptions)
        ]

    def __call__(self, x: Array, lengths: Lengths) -> Array:
        """Read sequences.

        Args:
            x: [T, B, I], 0 beyond a row's length.
            lengths: [B], 0 to T each.

        Returns:
            [T, B, S], 0 beyond a row's length.
        """
        for directions, residual in zip(self._layers, self._residual, strict=True):
            halves = [direction(x, lengths) for direction in directions]
            y = halves[0] if len(halves) == 1 else np.concatenate(halves, axis=-1)
            x = y + x if residual else y
        return x


class _Direction:
    def __init__(self, layer: LayerDescription, tensors: Mapping[str, Array], number: int):
        suffix = layer.suffixes[number]
        own = {
            f"{name.removesuffix(suffix)}_l0": tensor
            for name, tensor in tensors.items()
            if name.endswith(suffix)
        }
        self._layer = replace(layer, bidirectional=False, residual=False)
        self._reverse = number == 1
        self._native = native.native_layer(self._layer, own, reverse=self._reverse)
        self._cell = make_cell(self._layer, own)
        self._initial = [tensors[name][number] for name in INITIAL if name in tensors]

    def __call__(self, x: Array, lengths: Lengths) -> Array:
        state = self._start(x)
        if self._native and x.size:
            return self._native.read(x, state, lengths)[0]
        x = _reversed(x, lengths) if self._reverse else x
        y, _ = scan(
            self._cell,
            self._cell.input(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:2], -1),
            state,
        )
        y[np.arange(len(y))[:, None] >= lengths] = 0
        return _reversed(y, lengths) if self._reverse else y

    def _start(self, x: Array) -> LayerState:
        rows = x.shape[1]
        if self._initial:
            return tuple(np.tile(learned, (rows, 1)) for learned in self._initial)
        return tuple(np.zeros((rows, size), x.dtype) for size in self._layer.state_sizes)


def _reversed(x: Array, lengths: Lengths) -> Array:
    """Each row turned round within its own length; what is beyond stays."""
    place = np.arange(len(x))[:, None]
    place = np.where(place < lengths, lengths - 1 - place, place)
    return x[place, np.arange(x.shape[1])]
