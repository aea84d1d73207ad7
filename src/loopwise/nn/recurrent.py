"""Stacks of cells of one's own."""

import copy
from collections.abc import Callable, Sequence
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as recomputed

from loopwise.errors import ConfigError
from loopwise.nn.checkpoint import STEPS
from loopwise.nn.options import require_flag
from loopwise.nn.rows import run_rows
from loopwise.nn.stack import LayerInput, LayerResult, Stack, Trace
from loopwise.nn.state import State, leaves, rebuild
from loopwise.nn.transforms import transforms_active


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


class Recurrent(Stack):
    """Run a cell over sequences: stacked, in one or both directions, with lengths and resets.

    Args:
        cell: a module that is a `Cell`, ``(x_t, state) -> (y_t, state)`` with `initial_state`
            and `output_size`; a module with a ``step`` method of that form, such as
            `loopwise.LSTMCell`; or a function ``input_size -> module`` that makes a new one for
            each layer and direction. A single module is copied where more than one is needed;
            each copy draws weights of its own if it has ``reset_parameters``, and keeps those it
            was copied with if not. It must then put out as many features as the next layer takes.
        input_size: features of the input; needed where `cell` is a function.
        num_layers: layers over each other, at least 1.
        batch_first: whether input and output are [B, T, ...] instead of [T, B, ...].
        dropout: probability of dropping an output between layers, in training.
        bidirectional: run each layer in both directions and join their outputs.
        checkpoint: keep of the forward pass only the state after every 64 steps; the backward pass
            runs the cell again, 64 steps at a time.

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
        checkpoint: bool = False,
    ):
        super().__init__()
        require_flag("checkpoint", checkpoint)
        self.checkpoint = checkpoint
        self._arrange(num_layers, batch_first, dropout, bidirectional)
        self.cells = nn.ModuleList(self._make_cells(cell, input_size))

    def _run_layer(self, index: int, given: LayerInput) -> LayerResult:
        """A loop over the cell."""
        x, state, restart, lengths, reset, return_all = given
        cell = self.cells[index]
        step = cast(Cell, getattr(cell, "step", cell))
        size = len(list(leaves(state)))

        def walk(x: Tensor, state: State) -> tuple[Sequence[Tensor], State]:
            outputs: list[Tensor] = []
            states: list[list[Tensor]] = []
            for x_t in x:
                y, state = step(x_t, state)
                outputs.append(y)
                states.append(list(leaves(state)))
            every = zip(*states, strict=True) if return_all else ()
            if not outputs:
                return self._no_steps(index, x, state, return_all), state
            return (torch.stack(outputs), *(torch.stack(part) for part in every)), state

        def walk_in_pieces(x: Tensor, state: State) -> tuple[Sequence[Tensor], State]:
            pieces: list[Sequence[Tensor]] = []
            for piece in x.split(STEPS):
                outputs, state = recomputed(walk, piece, state, use_reentrant=False)
                pieces.append(outputs)
            return [torch.cat(part) for part in zip(*pieces, strict=True)], state

        def run(inputs: Sequence[Tensor], fixed: Sequence[Tensor], state: State):
            small = self.checkpoint and torch.is_grad_enabled() and not transforms_active()
            return (walk_in_pieces if small else walk)(inputs[0], state)

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

    def _initial_states(self, x: Tensor) -> Sequence[State]:
        states: list[State] = []
        width = x.shape[2]
        for index, cell in enumerate(self.cells):
            if index and index % self.num_directions == 0:
                width = _output_size(self.cells[index - 1]) * self.num_directions
            states.append(cast(Cell, cell).initial_state(x.new_zeros(x.shape[1], width)))
        return states

    def _check_request(self, x: Tensor, return_all: Trace | None) -> None:
        super()._check_request(x, return_all)
        if return_all == "gates":
            raise ConfigError(
                "return_all='gates': only RNN, LSTM and GRU layers know their gates; use 'states'"
            )

    def _make_cells(
        self, cell: nn.Module | Callable[[int], nn.Module], input_size: int | None
    ) -> list[nn.Module]:
        count = self.num_layers * self.num_directions
        if isinstance(cell, nn.Module):
            _require_cell(cell)
            return [cell, *(_copy(cell) for _ in range(count - 1))]
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
                "'output_size' and 'initial_state' (see loopwise.nn.recurrent.Cell)"
            )


def _copy(cell: nn.Module) -> nn.Module:
    """Layers that began with the same weights would learn the same."""
    fresh = copy.deepcopy(cell)
    if callable(reset := getattr(fresh, "reset_parameters", None)):
        reset()
    return fresh


def _output_size(cell: nn.Module) -> int:
    return cast(Cell, cell).output_size
