"""A model in NumPy: embedding, recurrent layers, head. States go in and come out, none is hidden.

Shapes, time first: ``T`` time, ``B`` batch, ``I`` input, ``S`` output of a layer, ``V`` vocabulary.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from loopwise.errors import DataError
from loopwise.runtime import native
from loopwise.runtime.cells import Array, LayerState, make_cell, scan
from loopwise.runtime.description import LayerDescription, SteppedDescription
from loopwise.runtime.shapes import INITIAL

State: TypeAlias = tuple[LayerState, ...]
Ids: TypeAlias = NDArray[np.integer[Any]]

CHUNK = 512
"""Rows (steps times texts) that go through a model at once where more than one is to be read."""


class Layer:
    """A cell over time.

    Args:
        description: the cell and its options.
        tensors: the layer's tensors by their names in ``torch.nn``.
    """

    def __init__(self, description: LayerDescription, tensors: Mapping[str, Array]):
        self._native = native.native_layer(description, tensors)
        self._cell = make_cell(description, tensors)
        self._sizes = description.state_sizes
        self._dtype = tensors["weight_ih_l0"].dtype
        self._initial = [tensors.get(name) for name in INITIAL]

    def initial_state(self, batch: int) -> LayerState:
        """The state before the first step of ``batch`` sequences: zeros, or the learned one."""
        return tuple(
            np.zeros((batch, size), self._dtype) if learned is None else learned.repeat(batch, 0)
            for size, learned in zip(self._sizes, self._initial, strict=False)
        )

    def forward(self, x: Array, state: LayerState) -> tuple[Array, LayerState]:
        """Run over a chunk.

        Args:
            x: [T, B, I].
            state: the state before the chunk.

        Returns:
            The outputs [T, B, S] and the state after the chunk.
        """
        if self._native and x.size:
            return self._native.read(x, state)
        return scan(self._cell, _rowwise(self._cell.input, x), state)


class Stack:
    """Layers over each other, with residual connections where they are described."""

    def __init__(self, descriptions: Sequence[LayerDescription], tensors: Mapping[str, Array]):
        self.layers = tuple(
            Layer(description, below(tensors, f"{n}."))
            for n, description in enumerate(descriptions)
        )
        self._residual = tuple(description.residual for description in descriptions)

    def initial_state(self, batch: int) -> State:
        """The state of every layer before the first step of ``batch`` sequences."""
        return tuple(layer.initial_state(batch) for layer in self.layers)

    def forward(self, x: Array, state: State) -> tuple[Array, State]:
        """Run over a chunk: x [T, B, I] and the state before -> outputs [T, B, S], state after."""
        after: list[LayerState] = []
        for layer, residual, before in zip(self.layers, self._residual, state, strict=True):
            y, new = layer.forward(x, before)
            if residual:
                y += x
            x = y
            after.append(new)
        return x, tuple(after)


class Dilated:
    """Layers over each other that read whole sequences, each every n-th step of its input.

    Args:
        descriptions: of the layers.
        dilations: n of each; see `loopwise.tasks.layers.modules.RecurrentLayers`.
        tensors: theirs, as ``"n.name"``.
    """

    def __init__(
        self,
        descriptions: Sequence[LayerDescription],
        dilations: Sequence[int],
        tensors: Mapping[str, Array],
    ):
        self._dilations = dilations
        self._stacks = [
            Stack([each], {f"0.{k}": v for k, v in below(tensors, f"{n}.").items()})
            for n, each in enumerate(descriptions)
        ]

    def forward(self, x: Array) -> Array:
        """[T, B, I] to [T, B, S]."""
        for stack, n in zip(self._stacks, self._dilations, strict=True):
            steps, rows, size = x.shape
            padded = np.concatenate([np.zeros((-steps % n, rows, size), x.dtype), x])
            folded = padded.reshape(-1, n * rows, size)
            y, _ = stack.forward(folded, stack.initial_state(n * rows))
            x = y.reshape(len(y) * n, rows, -1)[-steps:]
        return x


class Embedding:
    """One row of the weight [V, E] per token id."""

    def __init__(self, weight: Array):
        self._weight = weight

    def __call__(self, ids: Ids) -> Array:
        """Look up ids of any shape -> [..., E].

        Raises:
            DataError: an id outside ``0..V-1``.
        """
        size = len(self._weight)
        if ids.size and not (ids.min() >= 0 and ids.max() < size):
            wrong = ids[(ids < 0) | (ids >= size)].flat[0]
            raise DataError(
                f"token id {wrong} is not in the vocabulary: allowed are 0 to {size - 1}"
            )
        return self._weight[ids]


class Head:
    """Logits ``h W^T + bias`` with the weight [V, S], which is not copied: a tied one is shared."""

    def __init__(self, weight: Array, bias: Array):
        self._weight, self._bias = weight.T, bias

    def __call__(self, h: Array) -> Array:
        """Map rows [N, S] to logits [N, V]."""
        logits = h @ self._weight
        logits += self._bias
        return logits


class Model:
    """An embedding where inputs are ids, recurrent layers, and a linear head at every step.

    Args:
        description: the model.
        tensors: exactly those of ``description.tensor_shapes()``. The model computes in float32, or
            in float64 where any tensor is float64.
    """

    def __init__(self, description: SteppedDescription, tensors: Mapping[str, NDArray[Any]]):
        dtype = np.result_type(np.float32, *tensors.values())
        arrays = {name: np.asarray(tensor, dtype) for name, tensor in tensors.items()}
        self.description, self.dtype = description, dtype
        ends = ends_of(arrays)
        self.embedding = Embedding(ends["embedding"]) if "embedding" in ends else None
        self.stack = Stack(description.layers, below(arrays, "layers."))
        self.head = Head(ends["head"], ends["head_bias"])

    def initial_state(self, batch: int = 1) -> State:
        """The state before the first step of ``batch`` sequences."""
        return self.stack.initial_state(batch)

    def hidden(self, x: NDArray[Any], state: State) -> tuple[Array, State]:
        """The last layer's outputs [T, B, S] for ids [T, B] or numbers [T, B, I], and the state.

        Raises:
            DataError: an id that is not in the vocabulary.
        """
        return self.stack.forward(x if self.embedding is None else self.embedding(x), state)

    def read(self, x: NDArray[Any], state: State) -> tuple[Array, State]:
        """The outputs [T, B, O] after each step of `x`, as `hidden` takes it, and the state."""
        hidden, state = self.hidden(x, state)
        return self.outputs(hidden), state

    def outputs(self, hidden: Array) -> Array:
        """What the head makes, [..., O], of each of the last layer's outputs [..., S]."""
        return _rowwise(self.head, hidden)


def ends_of(tensors: Mapping[str, Array]) -> dict[str, Array]:
    """``embedding`` where there is one, ``head`` and ``head_bias`` of a model's tensors."""
    table = tensors.get("embedding.weight")
    ends = {} if table is None else {"embedding": table}
    # without a weight of its own the head is tied to the embedding
    head = tensors["head.weight" if "head.weight" in tensors else "embedding.weight"]
    return {**ends, "head": head, "head_bias": tensors["head.bias"]}


def _rowwise(function: Callable[[Array], Array], x: Array) -> Array:
    """Apply a function of rows [N, in] to [..., in], so that one product serves all."""
    rows = math.prod(x.shape[:-1])  # not -1, which is ambiguous for an empty chunk
    y = function(x.reshape(rows, x.shape[-1]))
    return y.reshape(*x.shape[:-1], y.shape[-1])


def below(tensors: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    """The tensors whose names begin with `prefix`, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
