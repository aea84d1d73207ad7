"""Layers over each other, one or both directions, over any cell."""

import copy
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from loopwise.errors import ConfigError, ShapeError
from loopwise.nn.options import require_count, require_probability
from loopwise.nn.rows import run_rows
from loopwise.nn.state import State, leaves, map_state, rebuild, require_like

Trace = Literal["states", "gates"]


class History(NamedTuple):
    """What happened inside at every step: the third result under ``return_all``."""

    states: State
    """nested as the final state, each [L*D, T, B, size] (with ``batch_first`` [L*D, B, T, size])"""
    gates: Tensor | None
    """activated, in torch's order, [L*D, T, B, G*H]; None unless asked for"""


Result = tuple[Tensor | PackedSequence, State] | tuple[Tensor | PackedSequence, State, History]


class Cell(Protocol):
    """One step of maths, as `Recurrent` runs it."""

    output_size: int
    """features of ``y_t``"""

    def __call__(self, x: Tensor, state: State, /) -> tuple[Tensor, State]:
        """``(x_t [B, I], state) -> (y_t [B, output_size], state)``."""
        ...

    def initial_state(self, x: Tensor, /) -> State:
        """The state before the first step, each [B, ...], for inputs like ``x_t`` [B, I]."""
        ...


class LayerResult(NamedTuple):
    """What one layer in one direction returns; time first."""

    output: Tensor
    state: State
    states: State | None
    gates: Tensor | None


class Recurrent(nn.Module):
    """Run a cell over sequences: stacked, in one or both directions, with lengths and resets.

    Args:
        cell: a module that is a `Cell`, ``(x_t, state) -> (y_t, state)`` with `initial_state`
            and `output_size`; a module with a ``step`` method of that form, such as
            `loopwise.LSTMCell`; or a function ``input_size -> module`` that makes a new one for
            each layer and direction. A single module is copied where more than one is needed, and
            must then put out as many features as the next layer takes in.
        input_size: features of the input; needed where `cell` is a function.
        num_layers: layers over each other, at least 1.
        batch_first: whether input and output are [B, T, ...] instead of [T, B, ...].
        dropout: probability of dropping an output between layers, in training.
        bidirectional: run each layer in both directions and join their outputs.

    Raises:
        ConfigError: an option is not allowed.
    """

    def __init__(
        self,
        cell: nn.Module | Callable[[int], nn.Module],
        input_size: int | None = None,
        *,
        num_layers: int = 1,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ):
        super().__init__()
        self._arrange(num_layers, batch_first, dropout, bidirectional)
        self.cells = nn.ModuleList(self._make_cells(cell, input_size))

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
        initial = self._initial_state(x)
        if hx is None:
            hx = initial
        else:
            require_like(hx, initial)
        y, state, history = self._run_layers(x, hx, initial, lengths, reset, return_all)
        if self.batch_first:
            y = y.transpose(0, 1)
            history = _map_history(lambda s: s.transpose(1, 2), history)
        return y, state, history

    def _run_layers(
        self,
        x: Tensor,
        hx: State,
        initial: State,
        lengths: Tensor | None,
        reset: Tensor | None,
        return_all: Trace | None,
    ) -> tuple[Tensor, State, History | None]:
        results: list[LayerResult] = []
        for layer in range(self.num_layers):
            if layer and self.dropout:
                x = functional.dropout(x, self.dropout, self.training)
            sides: list[LayerResult] = []
            for direction in range(self.num_directions):
                index = layer * self.num_directions + direction
                state, restart = _of_layer(hx, index), _of_layer(initial, index)
                sides.append(self._run_layer(index, x, state, restart, lengths, reset, return_all))
            x = sides[0].output if len(sides) == 1 else torch.cat([s.output for s in sides], -1)
            results += sides
        return x, _stack([result.state for result in results]), _history(results, return_all)

    def _run_layer(
        self,
        index: int,
        x: Tensor,
        state: State,
        restart: State,
        lengths: Tensor | None,
        reset: Tensor | None,
        return_all: Trace | None,
    ) -> LayerResult:
        """One layer in one direction: here, a loop over the cell."""
        cell = self.cells[index]
        step = cast(Cell, getattr(cell, "step", cell))
        size = len(list(leaves(state)))

        def run(inputs: Sequence[Tensor], fixed: Sequence[Tensor], state: State):
            outputs: list[Tensor] = []
            states: list[list[Tensor]] = []
            for x_t in inputs[0]:
                y, state = step(x_t, state)
                outputs.append(y)
                states.append(list(leaves(state)))
            every = zip(*states, strict=True) if return_all else ()
            if not outputs:
                return self._no_steps(index, inputs[0], state, return_all), state
            return (torch.stack(outputs), *(torch.stack(part) for part in every)), state

        reverse = bool(index % self.num_directions)
        outputs, final = run_rows(
            run, (x,), (), state, restart=restart, lengths=lengths, reset=reset, reverse=reverse
        )
        states = rebuild(state, iter(outputs[1 : 1 + size])) if return_all else None
        return LayerResult(outputs[0], final, states, None)

    def _no_steps(
        self, index: int, x: Tensor, state: State, return_all: Trace | None
    ) -> tuple[Tensor, ...]:
        parts = leaves(state) if return_all else ()
        y = x.new_zeros(0, x.shape[1], _output_size(self.cells[index]))
        return y, *(s.new_zeros(0, *s.shape) for s in parts)

    def _initial_state(self, x: Tensor) -> State:
        """The state where none is given, each [L*D, B, ...], for input [T, B, I]."""
        states: list[State] = []
        width = x.shape[2]
        for index, cell in enumerate(self.cells):
            if index and index % self.num_directions == 0:
                width = _output_size(self.cells[index - 1]) * self.num_directions
            states.append(cast(Cell, cell).initial_state(x.new_zeros(x.shape[1], width)))
        return _stack(states)

    def _check_request(self, x: Tensor, return_all: Trace | None) -> None:
        if return_all not in (None, "states", "gates"):
            raise ConfigError(f"return_all={return_all!r}: expected 'states' or 'gates'")
        if return_all == "gates":
            raise ConfigError(
                "return_all='gates': only RNN, LSTM and GRU layers know their gates; use 'states'"
            )

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
            lengths = torch.as_tensor(lengths).reshape(-1)
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
        self.num_layers = num_layers
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional

    def _make_cells(
        self, cell: nn.Module | Callable[[int], nn.Module], input_size: int | None
    ) -> list[nn.Module]:
        count = self.num_layers * self.num_directions
        if isinstance(cell, nn.Module):
            _require_cell(cell)
            return [cell, *(copy.deepcopy(cell) for _ in range(count - 1))]
        if input_size is None:
            raise ConfigError("input_size: needed where `cell` is a function that makes cells")
        cells: list[nn.Module] = []
        for _ in range(self.num_layers):
            made = [cell(input_size) for _ in range(self.num_directions)]
            _require_cell(made[0])
            input_size = _output_size(made[0]) * self.num_directions
            cells += made
        return cells


def _require_cell(module: nn.Module) -> None:
    for name in ("output_size", "initial_state"):
        if not hasattr(module, name):
            raise ConfigError(
                f"cell {type(module).__name__} has no {name!r}; expected a module with "
                "'output_size' and 'initial_state' (see loopwise.nn.stack.Cell)"
            )


def _output_size(cell: nn.Module) -> int:
    return cast(Cell, cell).output_size


def _of_layer(state: State, index: int) -> State:
    return map_state(lambda s: s[index], state)


def _stack(states: Sequence[State]) -> State:
    return map_state(lambda *parts: torch.stack(parts), states[0], *states[1:])


def _history(results: Sequence[LayerResult], return_all: Trace | None) -> History | None:
    if return_all is None:
        return None
    states = _stack([cast(State, result.states) for result in results])
    gates = [result.gates for result in results]
    joined = torch.stack(cast(list[Tensor], gates)) if return_all == "gates" else None
    return History(states, joined)


def _map_history(function: Callable[[Tensor], Tensor], history: History | None) -> History | None:
    if history is None:
        return None
    gates = None if history.gates is None else function(history.gates)
    return History(map_state(function, history.states), gates)


def _check_lengths(lengths: Tensor | Sequence[int], x: Tensor) -> Tensor:
    lengths = torch.as_tensor(lengths)
    if lengths.shape != x.shape[1:2]:
        raise ShapeError(
            f"lengths: expected one for each of {x.shape[1]} rows, given {tuple(lengths.shape)}"
        )
    integers = not (lengths.is_floating_point() or lengths.is_complex())
    # A list without rows becomes a float tensor: no number in it can be wrong.
    if (not integers or lengths.dtype == torch.bool) and lengths.numel():
        raise ShapeError(f"lengths: expected integers, given {lengths.dtype}")
    if not torch.compiler.is_compiling() and lengths.numel():
        low, high = int(lengths.min()), int(lengths.max())
        if low < 0 or high > x.shape[0]:
            raise ShapeError(
                f"lengths: expected values from 0 to T={x.shape[0]}, given {low} to {high}"
            )
    return lengths


def _check_reset(reset: Tensor, input: Tensor) -> None:
    if reset.shape != input.shape[:2] or reset.dtype != torch.bool:
        raise ShapeError(
            f"reset: expected bool {tuple(input.shape[:2])} as the input's first dimensions, "
            f"given {reset.dtype} {tuple(reset.shape)}"
        )
