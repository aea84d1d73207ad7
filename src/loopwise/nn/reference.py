"""The definition of every cell, as pure functions in plain torch.

Notation: ``x_t`` input, ``h`` hidden state, ``c`` cell state, ``s`` the logistic function, ``*``
elementwise. Gates lie side by side in PyTorch's order: LSTM ``i f g o``, GRU ``r z n``. A step gets
the input's share of the gates, ``a_t = W_ih x_t + b_ih`` (`project_input`), adds the state's share
``u_t = W_hh h_{t-1} + b_hh`` (`project_state`) and returns the new state and the activated gates.

Every faster path is compared with these functions in float64. They need nothing but differentiable
torch operations, so double backward, forward mode, ``vmap`` and ``torch.compile`` all go through.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

NORM_EPSILON = 1e-5


class Weights(NamedTuple):
    """The parameters of one layer in one direction; ``G`` gates, ``P`` = projected or hidden size.

    Absent parts are None: biases, projection, peepholes and layer norm are options.
    """

    ih: Tensor
    """[G*H, I]"""
    hh: Tensor
    """[G*H, P]"""
    bias_ih: Tensor | None = None
    """[G*H]"""
    bias_hh: Tensor | None = None
    """[G*H]"""
    hr: Tensor | None = None
    """[P, H], the projection of Sak et al. 2014 (arXiv:1402.1128)"""
    peephole: Tensor | None = None
    """[3, H], rows i, f, o; LSTM only (Gers and Schmidhuber 2000)"""
    norm_ih: Tensor | None = None
    """[G*H], gain of the layer norm on the input's share"""
    norm_hh: Tensor | None = None
    """[G*H], gain of the layer norm on the state's share"""
    norm_c: Tensor | None = None
    """[H], gain of the layer norm on the cell state; LSTM only"""
    norm_c_bias: Tensor | None = None
    """[H], its shift"""


Hidden = tuple[Tensor, ...]
"""The state of a cell between steps: ``(h,)``, and for the LSTM ``(h, c)``; each [B, size]."""

Step = Callable[[Tensor, Hidden, Weights, Tensor | None], tuple[Hidden, Tensor]]


def project_input(x: Tensor, w: Weights) -> Tensor:
    """The input's share of the gates: ``a = W_ih x + b_ih``, or ``LN(W_ih x) * g_ih + b_ih``.

    Args:
        x: [..., I].
        w: the weights.

    Returns:
        [..., G*H].
    """
    return _affine(x, w.ih, w.bias_ih, w.norm_ih)


def project_state(h: Tensor, w: Weights, mask: Tensor | None) -> Tensor:
    """The state's share of the gates: ``u = W_hh (h * mask) + b_hh``, normalised like the input's.

    Args:
        h: [B, P].
        w: the weights.
        mask: [B, P] dropout mask, the same at every step (Gal and Ghahramani 2016, eq. 7), or None.

    Returns:
        [B, G*H].
    """
    return _affine(h if mask is None else h * mask, w.hh, w.bias_hh, w.norm_hh)


def rnn_tanh(a: Tensor, state: Hidden, w: Weights, mask: Tensor | None) -> tuple[Hidden, Tensor]:
    """Elman's cell: ``h' = tanh(a + u)``, projected to ``W_hr h'`` where there is a projection."""
    gate = torch.tanh(a + project_state(state[0], w, mask))
    return (_narrow(gate, w),), gate


def rnn_relu(a: Tensor, state: Hidden, w: Weights, mask: Tensor | None) -> tuple[Hidden, Tensor]:
    """Elman's cell with ``h' = max(a + u, 0)`` (Le et al. 2015, arXiv:1504.00941)."""
    gate = torch.relu(a + project_state(state[0], w, mask))
    return (_narrow(gate, w),), gate


def lstm(a: Tensor, state: Hidden, w: Weights, mask: Tensor | None) -> tuple[Hidden, Tensor]:
    """Long short-term memory (Hochreiter and Schmidhuber 1997; Gers et al. 2000).

    ::

        i = s(a_i + u_i + p_i * c)      f = s(a_f + u_f + p_f * c)      g = tanh(a_g + u_g)
        c' = f * c + i * g
        o = s(a_o + u_o + p_o * c')
        h' = o * tanh(LN(c'))           projected: h' = W_hr (o * tanh(LN(c')))

    The peepholes ``p`` and the layer norm ``LN`` (Ba et al. 2016, eq. 29-31) are options.
    """
    h, c = state
    i, f, g, o = (a + project_state(h, w, mask)).chunk(4, -1)
    if w.peephole is not None:
        i, f = i + w.peephole[0] * c, f + w.peephole[1] * c
    i, f, g = torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g)
    c = f * c + i * g
    o = torch.sigmoid(o if w.peephole is None else o + w.peephole[2] * c)
    h = _narrow(o * torch.tanh(_normalise_cell(c, w)), w)
    return (h, c), torch.cat((i, f, g, o), -1)


def gru(a: Tensor, state: Hidden, w: Weights, mask: Tensor | None) -> tuple[Hidden, Tensor]:
    """Gated recurrent unit (Cho et al. 2014), with the reset inside as in cuDNN and PyTorch.

    ::

        r = s(a_r + u_r)    z = s(a_z + u_z)    n = tanh(a_n + r * u_n)
        h' = (1 - z) * n + z * h

    With a projection the state keeps its full size, and ``W_hr h`` is both what the gates see and
    what the layer puts out (the projected GRU of Cheng et al. 2018, Interspeech).
    """
    (h,) = state
    a_r, a_z, a_n = a.chunk(3, -1)
    u_r, u_z, u_n = project_state(_narrow(h, w), w, mask).chunk(3, -1)
    r, z = torch.sigmoid(a_r + u_r), torch.sigmoid(a_z + u_z)
    n = torch.tanh(a_n + r * u_n)
    h = (1 - z) * n + z * h
    return (h,), torch.cat((r, z, n), -1)


STEPS: dict[str, Step] = {"rnn_tanh": rnn_tanh, "rnn_relu": rnn_relu, "lstm": lstm, "gru": gru}


def output(cell: str, state: Hidden, w: Weights) -> Tensor:
    """What a layer puts out for `state`, [B, P]: ``h``, or for a projected GRU ``W_hr h``."""
    return _narrow(state[0], w) if cell == "gru" else state[0]


def zone_out(old: Hidden, new: Hidden, keep: Sequence[Tensor]) -> Hidden:
    """Zoneout (Krueger et al. 2017, eq. 2): ``s' = keep * old + (1 - keep) * new``.

    Args:
        old: the state before the step.
        new: the state after it.
        keep: one tensor for each of them: 0 or 1 in training, the probability in evaluation.
            None at all leaves `new` as it is.
    """
    if not keep:
        return new
    return tuple(k * o + (1 - k) * n for o, n, k in zip(old, new, keep, strict=True))


class Scan(NamedTuple):
    """What a layer in one direction returns for a sequence."""

    output: Tensor
    """[T, B, P]"""
    state: Hidden
    """the state after the last step, each [B, size]"""
    states: Hidden
    """the state after every step, each [T, B, size]; empty unless asked for"""
    gates: Tensor | None
    """[T, B, G*H], activated; None unless asked for"""

    def tensors(self) -> list[Tensor]:
        """All of them, in a fixed order."""
        gates = [] if self.gates is None else [self.gates]
        return [self.output, *self.state, *self.states, *gates]


def scan(
    cell: str,
    x: Tensor,
    state: Hidden,
    w: Weights,
    *,
    mask: Tensor | None = None,
    keep: Sequence[Tensor] = (),
    trace: bool = False,
) -> Scan:
    """Run a cell over a sequence, one step after the other.

    Args:
        cell: a key of `STEPS`.
        x: [T, B, I].
        state: the state before the first step.
        w: the weights.
        mask: recurrent dropout, [B, P].
        keep: zoneout, one [T, B, size] for each tensor of the state.
        trace: also return the states and gates of every step.
    """
    step = STEPS[cell]
    a = project_input(x, w)
    outputs: list[Tensor] = []
    states: list[Hidden] = []
    gates: list[Tensor] = []
    for t, a_t in enumerate(a.unbind()):  # the gradient of each a[t] would be as large as a
        new, gate = step(a_t, state, w, mask)
        state = zone_out(state, new, [k[t] for k in keep])
        outputs.append(output(cell, state, w))
        if trace:
            states.append(state)
            gates.append(gate)
    if not outputs:
        return _empty_scan(a, state, output(cell, state, w).shape[-1], trace)
    every = tuple(torch.stack(part) for part in zip(*states, strict=True))
    return Scan(torch.stack(outputs), state, every, torch.stack(gates) if trace else None)


def _affine(x: Tensor, weight: Tensor, bias: Tensor | None, gain: Tensor | None) -> Tensor:
    if gain is None:
        return functional.linear(x, weight, bias)
    product = functional.linear(x, weight)
    return functional.layer_norm(product, gain.shape, gain, bias, NORM_EPSILON)


def _normalise_cell(c: Tensor, w: Weights) -> Tensor:
    if w.norm_c is None:
        return c
    return functional.layer_norm(c, w.norm_c.shape, w.norm_c, w.norm_c_bias, NORM_EPSILON)


def _narrow(h: Tensor, w: Weights) -> Tensor:
    return h if w.hr is None else functional.linear(h, w.hr)


def _empty_scan(a: Tensor, state: Hidden, width: int, trace: bool) -> Scan:
    """No step at all; the output is a part of `a`, so that a backward still finds its way."""
    every = tuple(part.new_zeros(0, *part.shape) for part in state) if trace else ()
    return Scan(a[..., :width], state, every, a if trace else None)
