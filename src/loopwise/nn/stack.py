"""Layers over each other, in one or both directions, whatever a layer computes."""

import warnings
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from loopwise.errors import ConfigError, ShapeError
from loopwise.nn.options import require_count, require_flag, require_probability
from loopwise.nn.state import State, map_state, require_like

Trace = Literal["states", "gates"]


class History(NamedTuple):
    """What happened inside at every step: the third result under ``return_all``."""

    states: State
    """nested as the final state, each [L*D, T, B, size] (with ``batch_first`` [L*D, B, T, size])"""
    gates: Tensor | None
    """activated, in torch's order, [L*D, T, B, G*H]; None unless asked for"""


Result = tuple[Tensor | PackedSequence, State] | tuple[Tensor | PackedSequence, State, History]


class LayerInput(NamedTuple):
    """What one layer in one direction is given; time first."""

    x: Tensor
    """[T, B, I]"""
    state: State
    """before the first step, each [B, size]"""
    restart: State
    """where a reset leads back to, likewise"""
    lengths: Tensor | None
    """[B], on the CPU"""
    reset: Tensor | None
    """[T, B] bool"""
    return_all: Trace | None


class LayerResult(NamedTuple):
    """What one layer in one direction returns; time first."""

    output: Tensor
    state: State
    states: State | None
    gates: Tensor | None


class Stack(nn.Module):
    """What `loopwise.RNN`, `LSTM`, `GRU` and `Recurrent` share: all but what one layer computes.

    Stacking, directions, lengths, resets, packed and single sequences and histories live here.
    A subclass calls `_arrange` in its constructor, and says what its layers do: `_run_layer`
    and `_initial_states`; it may extend `_check_request`.
    """

    num_layers: int
    batch_first: bool
    dropout: float
    bidirectional: bool

    @property
    def num_directions(self) -> int:
        """1, or 2 where the layers run both ways."""
        return 2 if self.bidirectional else 1

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: State | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        reset: Tensor | None = None,
        return_all: Trace | None = None,
    ) -> Result:
        """Take sequences through all layers.

        Args:
            input: [T, B, I]; [B, T, I] with ``batch_first``; [T, I] for one sequence without a
                batch; or a `PackedSequence`, whose rows `hx`, `reset` and the results take in
                their original order.
            hx: the state before the first step, each of its tensors [L*D, B, size] ([L*D, size]
                without a batch). None: zeros, or the learned initial state.
            lengths: [B] integers from 0 to T, in any order, on any device. Outputs beyond a row's
                length are zero; its final state is the one at its end, and the reverse direction
                begins there.
            reset: [T, B] bool ([B, T] with ``batch_first``). Where true, a new sequence begins at
                that step: the state restarts from the initial one, in both directions.
            return_all: ``"states"`` or ``"gates"`` to also return a `History` of every step.

        Returns:
            ``(output, state)``, or ``(output, state, history)`` with `return_all`. The output is
            [T, B, D*P], arranged as the input was; the state is nested as `hx`. Under autocast,
            RNN, LSTM and GRU compute and return everything in autocast's type.

        Raises:
            ShapeError: the tensors do not fit each other or the layer.
            ConfigError: `return_all` is not one of its values, or the cell has no gates to show.
        """
        if isinstance(input, PackedSequence):
            y, state, history = self._forward_packed(input, hx, lengths, reset, return_all)
        elif input.dim() == 2:
            y, state, history = self._forward_single(input, hx, lengths, reset, return_all)
        elif input.dim() == 3:
            y, state, history = self._forward_batch(input, hx, lengths, reset, return_all)
        else:
            raise ShapeError(f"input: expected 2 or 3 dimensions, given {tuple(input.shape)}")
        return (y, state) if history is None else (y, state, history)

    def _forward_batch(
        self,
        input: Tensor,
        hx: State | None,
        lengths: Tensor | Sequence[int] | None,
        reset: Tensor | None,
        return_all: Trace | None,
    ) -> tuple[Tensor, State, History | None]:
        self._check_request(input, return_all)
        if reset is not None:
            _check_reset(reset, input)
        if self.batch_first:
            input, reset = input.transpose(0, 1), None if reset is None else reset.transpose(0, 1)
        x = input
        lengths = None if lengths is None else _check_lengths(lengths, x)
        initial = self._initial_states(x)
        if hx is None:
            states = initial
        else:
            require_like(hx, stack_states(initial))
            states = [_of_layer(hx, index) for index in range(len(initial))]
        y, state, history = self._run_layers(x, states, initial, lengths, reset, return_all)
        if self.batch_first:
            y = y.transpose(0, 1)
            history = _map_history(lambda s: s.transpose(1, 2), history)
        return y, state, history

    def _run_layers(
        self,
        x: Tensor,
        states: Sequence[State],
        initial: Sequence[State],
        lengths: Tensor | None,
        reset: Tensor | None,
        return_all: Trace | None,
    ) -> tuple[Tensor, State, History | None]:
        directions = self.num_directions
        results: list[LayerResult] = []
        for layer in range(self.num_layers):
            if layer and self.dropout:
                x = functional.dropout(x, self.dropout, self.training)
            sides: list[LayerResult] = []
            for index in range(layer * directions, (layer + 1) * directions):
                given = LayerInput(x, states[index], initial[index], lengths, reset, return_all)
                sides.append(self._run_layer(index, given))
            x = sides[0].output if len(sides) == 1 else torch.cat([s.output for s in sides], -1)
            results += sides
        return x, stack_states([result.state for result in results]), _history(results, return_all)

    def _run_layer(self, index: int, given: LayerInput) -> LayerResult:
        """One layer in one direction, ``index % D`` of layer ``index // D``."""
        raise NotImplementedError

    def _initial_states(self, x: Tensor) -> Sequence[State]:
        """For each layer and direction the state where none is given, for input [T, B, I]."""
        raise NotImplementedError

    def _check_request(self, x: Tensor, return_all: Trace | None) -> None:
        """Raise `LoopwiseError` unless this stack can do what is asked of it."""
        if return_all not in (None, "states", "gates"):
            raise ConfigError(f"return_all={return_all!r}: expected 'states' or 'gates'")

    def _forward_packed(
        self,
        packed: PackedSequence,
        hx: State | None,
        lengths: Tensor | Sequence[int] | None,
        reset: Tensor | None,
        return_all: Trace | None,
    ) -> tuple[PackedSequence, State, History | None]:
        if lengths is not None:
            raise ShapeError("lengths: a PackedSequence has its own; give one or the other")
        padded, own = pad_packed_sequence(packed, batch_first=self.batch_first)
        y, state, history = self._forward_batch(padded, hx, own, reset, return_all)
        order = packed.sorted_indices
        if order is not None:
            y, own = y.index_select(0 if self.batch_first else 1, order), own[order.cpu()]
        data = pack_padded_sequence(y, own, batch_first=self.batch_first).data
        packed = PackedSequence(data, packed.batch_sizes, order, packed.unsorted_indices)
        return packed, state, history

    def _forward_single(
        self,
        x: Tensor,
        hx: State | None,
        lengths: Tensor | Sequence[int] | None,
        reset: Tensor | None,
        return_all: Trace | None,
    ) -> tuple[Tensor, State, History | None]:
        axis = 0 if self.batch_first else 1
        if hx is not None:
            hx = map_state(lambda s: s.unsqueeze(1), hx)
        if lengths is not None:
            lengths = torch.as_tensor(lengths, device="cpu").reshape(-1)
        if reset is not None:
            reset = reset.unsqueeze(axis)
        y, state, history = self._forward_batch(x.unsqueeze(axis), hx, lengths, reset, return_all)
        # A history has its batch behind the layers, and behind the time unless batch first.
        history = _map_history(lambda s: s.squeeze(1 + axis), history)
        return y.squeeze(axis), map_state(lambda s: s.squeeze(1), state), history

    def _arrange(
        self, num_layers: int, batch_first: bool, dropout: float, bidirectional: bool
    ) -> None:
        require_count("num_layers", num_layers, least=1)
        require_probability("dropout", dropout)
        require_flag("batch_first", batch_first)
        require_flag("bidirectional", bidirectional)
        if dropout and num_layers == 1:
            warnings.warn(
                f"dropout={dropout} acts between layers: with num_layers=1 it does nothing",
                stacklevel=4,
            )
        self.num_layers = num_layers
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional


def _of_layer(state: State, index: int) -> State:
    return map_state(lambda s: s[index], state)


def stack_states(states: Sequence[State]) -> State:
    """One state [L*D, B, ...] from those of the layers, each [B, ...]."""
    if len(states) == 1:  # a view will do
        return map_state(lambda part: part.unsqueeze(0), states[0])
    return map_state(lambda *parts: torch.stack(parts), states[0], *states[1:])


def _history(results: Sequence[LayerResult], return_all: Trace | None) -> History | None:
    if return_all is None:
        return None
    states = stack_states([cast(State, result.states) for result in results])
    gates = [result.gates for result in results]
    joined = torch.stack(cast(list[Tensor], gates)) if return_all == "gates" else None
    return History(states, joined)


def _map_history(function: Callable[[Tensor], Tensor], history: History | None) -> History | None:
    if history is None:
        return None
    gates = None if history.gates is None else function(history.gates)
    return History(map_state(function, history.states), gates)


def _check_lengths(lengths: Tensor | Sequence[int], x: Tensor) -> Tensor:
    lengths = torch.as_tensor(lengths, device="cpu")
    if lengths.shape != x.shape[1:2]:
        raise ShapeError(
            f"lengths: expected one for each of {x.shape[1]} rows, given {tuple(lengths.shape)}"
        )
    integers = not (lengths.is_floating_point() or lengths.is_complex())
    # A list without rows becomes a float tensor: no number in it can be wrong.
    if (not integers or lengths.dtype == torch.bool) and lengths.numel():
        raise ShapeError(f"lengths: expected integers, given {lengths.dtype}")
    return lengths


def _check_reset(reset: Tensor, input: Tensor) -> None:
    if reset.shape != input.shape[:2] or reset.dtype != torch.bool:
        raise ShapeError(
            f"reset: expected bool {tuple(input.shape[:2])} as the input's first dimensions, "
            f"given {reset.dtype} {tuple(reset.shape)}"
        )
