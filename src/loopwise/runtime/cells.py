"""The cells in NumPy: one step of maths each, in PyTorch's gate order, with every option.

A cell has ``input``, the affine map that a layer applies to a whole chunk at once, and ``step``.
`scan` is the loop over time and the seam: a faster engine replaces that function and nothing else.
Shapes: ``T`` time, ``B`` batch, ``I`` input, ``H`` hidden, ``S`` output, ``G`` gates.
"""

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from loopwise.runtime.description import LayerDescription

Array: TypeAlias = NDArray[np.floating[Any]]
LayerState: TypeAlias = tuple[Array, ...]

_EPSILON = 1e-5


class Cell(Protocol):
    """One step of a recurrent layer."""

    input: "Affine"
    output_size: int

    def step(self, a: Array, state: LayerState) -> tuple[Array, LayerState]:
        """Advance by one step.

        Args:
            a: ``input(x_t)``, [B, G*H]; not changed.
            state: (h,) or (h, c), each [B, size]; not changed.

        Returns:
            The output [B, S] and the new state.
        """
        ...


def make_cell(description: LayerDescription, tensors: Mapping[str, Array]) -> Cell:
    """The cell of a layer.

    Args:
        description: which cell, and its options.
        tensors: the layer's tensors by the names of `LayerDescription.tensor_shapes`.
    """
    return _CELLS[description.cell](description, tensors)


def scan(cell: Cell, a: Array, state: LayerState) -> tuple[Array, LayerState]:
    """Run a cell over time.

    Args:
        cell: the cell.
        a: ``cell.input(x)`` of every step, [T, B, G*H].
        state: the state before the first step.

    Returns:
        The outputs [T, B, S] and the state after the last step.
    """
    y = np.empty((*a.shape[:2], cell.output_size), a.dtype)
    for t in range(len(a)):
        y[t], state = cell.step(a[t], state)
    return y, state


class Affine:
    """``x W^T + bias``, or ``LN(x W^T) * norm_weight + bias`` (Ba et al. 2016, arXiv:1607.06450).

    Args:
        weight: [out, in]; held transposed and contiguous, for products with rows.
        bias: [out] or None.
        norm_weight: [out] or None for no normalisation.
    """

    def __init__(self, weight: Array, bias: Array | None = None, norm_weight: Array | None = None):
        self.weight = np.ascontiguousarray(weight.T)
        self.bias = bias
        self.norm_weight = norm_weight

    def __call__(self, x: Array) -> Array:
        """Map rows [N, in] to new rows [N, out]."""
        y = x @ self.weight
        if self.norm_weight is not None:
            _normalize(y)
            y *= self.norm_weight
        if self.bias is not None:
            y += self.bias
        return y


class _Recurrence:
    """What the cells share: the affine maps of input and state, the projection and zoneout."""

    def __init__(self, description: LayerDescription, tensors: Mapping[str, Array]):
        self.hidden_size = description.hidden_size
        self.output_size = description.output_size
        self.zoneout = description.zoneout
        self.input = _affine(tensors, "ih")
        self.recurrent = _affine(tensors, "hh")
        self._projection = Affine(tensors["weight_hr_l0"]) if description.proj_size else None

    def project(self, h: Array) -> Array:
        """``W_hr h`` where there is a projection, else h itself."""
        return h if self._projection is None else self._projection(h)


class RNN(_Recurrence):
    """Elman's network: ``h' = tanh|relu(a + u)`` with ``u = W_hh h + b_hh``."""

    def __init__(self, description: LayerDescription, tensors: Mapping[str, Array]):
        super().__init__(description, tensors)
        self._relu = description.nonlinearity == "relu"

    def step(self, a: Array, state: LayerState) -> tuple[Array, LayerState]:
        """See `Cell.step`; the state is (h,)."""
        (h,) = state
        m = self.recurrent(h)
        m += a
        if self._relu:
            np.maximum(m, 0, out=m)
        else:
            np.tanh(m, out=m)
        h = _zone(self.zoneout[0], h, self.project(m))
        return h, (h,)


class LSTM(_Recurrence):
    """Long short-term memory (Gers et al. 2000), gates i, f, g, o, maybe with peepholes."""

    def __init__(self, description: LayerDescription, tensors: Mapping[str, Array]):
        super().__init__(description, tensors)
        self._peephole = tensors.get("weight_peephole_l0")
        self._norm: tuple[Array, Array] | None = None
        if description.layer_norm:
            self._norm = tensors["norm_weight_c_l0"], tensors["norm_bias_c_l0"]

    def step(self, a: Array, state: LayerState) -> tuple[Array, LayerState]:
        """See `Cell.step`; the state is (h, c)."""
        h, c = state
        s = self.recurrent(h)
        s += a
        i, f, g, o = (
            s[:, k : k + self.hidden_size] for k in range(0, s.shape[1], self.hidden_size)
        )
        if self._peephole is not None:
            i += self._peephole[0] * c
            f += self._peephole[1] * c
        _sigmoid(s[:, : 2 * self.hidden_size])
        np.tanh(g, out=g)
        i *= g
        new = f * c
        new += i
        if self._peephole is not None:
            o += self._peephole[2] * new
        _sigmoid(o)
        m = self._squash(new)
        m *= o
        h = _zone(self.zoneout[0], h, self.project(m))
        return h, (h, _zone(self.zoneout[1], c, new))

    def _squash(self, c: Array) -> Array:
        if self._norm is None:
            return np.tanh(c)
        weight, bias = self._norm
        c = c.copy()
        _normalize(c)
        c *= weight
        c += bias
        return np.tanh(c, out=c)


class GRU(_Recurrence):
    """Gated recurrent unit (Cho et al. 2014), gates r, z, n, with the reset applied after W_hh."""

    def step(self, a: Array, state: LayerState) -> tuple[Array, LayerState]:
        """See `Cell.step`; the state is (h,) of size H, the output its projection."""
        (h,) = state
        size = self.hidden_size
        u = self.recurrent(self.project(h))
        gates, n = u[:, : 2 * size], u[:, 2 * size :]
        gates += a[:, : 2 * size]
        _sigmoid(gates)
        r, z = gates[:, :size], gates[:, size:]
        n *= r
        n += a[:, 2 * size :]
        np.tanh(n, out=n)
        new = h - n
        new *= z
        new += n
        h = _zone(self.zoneout[0], h, new)
        return self.project(h), (h,)


_CELLS: dict[str, type[RNN] | type[LSTM] | type[GRU]] = {"rnn": RNN, "lstm": LSTM, "gru": GRU}


def _affine(tensors: Mapping[str, Array], which: str) -> Affine:
    bias, norm = tensors.get(f"bias_{which}_l0"), tensors.get(f"norm_weight_{which}_l0")
    return Affine(tensors[f"weight_{which}_l0"], bias, norm)


def _normalize(x: Array) -> None:
    x -= x.mean(axis=-1, keepdims=True)
    x /= np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + _EPSILON)


def _sigmoid(x: Array) -> None:
    # Through tanh: it neither overflows nor needs a case for the sign.
    x *= 0.5
    np.tanh(x, out=x)
    x *= 0.5
    x += 0.5


def _zone(p: float, old: Array, new: Array) -> Array:
    return new if p == 0.0 else p * old + (1.0 - p) * new
