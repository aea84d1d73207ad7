"""`RNN`, `LSTM` and `GRU`: `torch.nn`'s layers, with the options that it lacks."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Unpack, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from loopwise.errors import ShapeError
from loopwise.nn import parameters
from loopwise.nn.autocast import autocast_active
from loopwise.nn.ops import recurrence
from loopwise.nn.options import Extras, Options, make_options, rnn_kind
from loopwise.nn.problem import Problem
from loopwise.nn.reference import Hidden, Weights
from loopwise.nn.regularize import DrawsOnce
from loopwise.nn.stack import LayerInput, LayerResult, Stack, Trace
from loopwise.nn.state import State, hidden
from loopwise.nn.streaming import open_streams
from loopwise.runtime.shapes import INITIAL
from loopwise.runtime.stream import Stream


class Layer(Stack, DrawsOnce):
    """What RNN, LSTM and GRU share: a `Stack` whose layers are recurrences of `loopwise.nn.ops`.

    Parameters have torch's names and order, so a state dict goes either way. Each is read when the
    layer is called: parametrised, shared or swapped weights are always the current ones.
    """

    def __init__(
        self,
        options: Options,
        *,
        num_layers: int,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ):
        super().__init__()
        self._arrange(num_layers, batch_first, dropout, bidirectional)
        self.options = options
        below = options.output_size * self.num_directions
        self._upper_options = replace(options, input_size=below)
        self.input_size, self.hidden_size = options.input_size, options.hidden_size
        self.bias, self.proj_size = options.bias, options.proj_size
        self._state_sizes = options.state_sizes
        for index in range(num_layers * self.num_directions):
            parameters.register(self, self.layer_options(index), self._suffix(index), device, dtype)
        self._weight_names = [
            parameters.names(self.layer_options(index), self._suffix(index))
            for index in range(num_layers * self.num_directions)
        ]
        self._register_initial_state(device, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew: torch's distribution, then what ``init`` and the like ask for."""
        for index in range(self.num_layers * self.num_directions):
            parameters.reset(self, self.layer_options(index), self._suffix(index))
        if self.options.learn_initial_state:
            for name in self._initial_names():
                nn.init.zeros_(getattr(self, name))

    def flatten_parameters(self) -> None:
        """Nothing to do: weights are read where they are. Kept for `torch.nn` callers."""

    @property
    def all_weights(self) -> list[list[Tensor]]:
        """The parameters by layer and direction, as in `torch.nn`."""
        return [
            [part for part in self.weights(index) if part is not None]
            for index in range(self.num_layers * self.num_directions)
        ]

    @property
    def _flat_weights(self) -> list[Tensor]:
        """All parameters of the gates in torch's order; callers of `torch.nn` look at it."""
        return [part for layer in self.all_weights for part in layer]

    @property
    def mode(self) -> str:
        """`torch.nn`'s name of the cell: ``"LSTM"``, ``"GRU"``, ``"RNN_TANH"``, ``"RNN_RELU"``."""
        return self.options.cell.upper()

    def weights(self, index: int) -> Weights:
        """The live weights of layer ``index // D`` in direction ``index % D``."""
        return parameters.weights(self, self._weight_names[index])

    def stream(self, streams: int = 1, *, dtype: str = "float32") -> Stream:
        """Streams over NumPy arrays, with the weights as they are now.

        Args:
            streams: how many; they share the weights.
            dtype: of the weights: ``"float32"``; or ``"bfloat16"`` or ``"int8"``, which are less
                accurate, and half and a quarter as large.

        Returns:
            An object whose ``push(x)`` takes [I] or [n, I] and returns [P] or [n, P], as the layer
            in evaluation mode would.

        Raises:
            ConfigError: a bidirectional layer, no number of streams, or a type that is not there.
        """
        return open_streams(self, streams, dtype)

    def extra_repr(self) -> str:
        """The arguments that differ from their defaults."""
        shown = [str(self.input_size), str(self.hidden_size)]
        for name in ("num_layers", "batch_first", "dropout", "bidirectional"):
            value = getattr(self, name)
            if value != (1 if name == "num_layers" else 0):
                shown.append(f"{name}={value}")
        return ", ".join([*shown, *self.options.choices()])

    def _run_layer(self, index: int, given: LayerInput) -> LayerResult:
        x, state, restart, lengths, reset, return_all = given
        scan = recurrence(
            Problem(
                self.options.cell,
                x,
                hidden(state),
                self._dropped(index),
                () if reset is None else hidden(restart),
                lengths,
                reset,
                reverse=bool(index % self.num_directions),
                mask=self._recurrent_mask(index, x),
                keep=self._zoneout(x),
                trace=return_all is not None,
                checkpoint=self.options.checkpoint,
            )
        )
        states = self._public(scan.states) if return_all else None
        return LayerResult(scan.output, self._public(scan.state), states, scan.gates)

    def _dropped(self, index: int) -> Weights:
        """DropConnect on the recurrent weights (Wan et al. 2013; Merity et al. 2017, section 2)."""
        w, p = self.weights(index), self.options.weight_drop
        if not p or not self.training:
            return w
        return w._replace(hh=self.once(("weights", index), lambda: functional.dropout(w.hh, p)))

    def _recurrent_mask(self, index: int, x: Tensor) -> Tensor | None:
        """Variational dropout (Gal and Ghahramani 2016): one mask a row, the same at every step."""
        p, shape = self.options.recurrent_dropout, (x.shape[1], self.options.output_size)
        if not p or not self.training:
            return None
        return self.once(("state", index), lambda: x.new_empty(*shape).bernoulli_(1 - p) / (1 - p))

    def _zoneout(self, x: Tensor) -> tuple[Tensor, ...]:
        """Zoneout's share of the old state: drawn in training, its expectation in evaluation."""
        if not self.options.zoneout:
            return ()
        shape = x.shape[:2]
        pairs = zip(self.options.zoneout, self.options.state_sizes, strict=True)
        if self.training:
            return tuple(x.new_empty(*shape, size).bernoulli_(p) for p, size in pairs)
        return tuple(x.new_full((1, 1, 1), p).expand(*shape, size) for p, size in pairs)

    def _initial_states(self, x: Tensor) -> Sequence[State]:
        rows, count = x.shape[1], self.num_layers * self.num_directions
        if self.options.learn_initial_state:
            learned = [cast(Tensor, getattr(self, name)) for name in self._initial_names()]
            wide = [part.unsqueeze(1).expand(-1, rows, -1).to(x.dtype) for part in learned]
            return [self._public(part) for part in zip(*wide, strict=True)]
        zeros = tuple([x.new_zeros(rows, size) for size in self._state_sizes])
        return [self._public(zeros)] * count

    def _check_request(self, x: Tensor, return_all: Trace | None) -> None:
        super()._check_request(x, return_all)
        if x.shape[-1] != self.input_size:
            raise ShapeError(
                f"input: expected {self.input_size} features (input_size), given {x.shape[-1]} "
                f"in {tuple(x.shape)}"
            )
        weight = self._parameters.get("weight_ih_l0")
        if weight is None:  # parametrised; or in a replica of DataParallel, a plain attribute
            weight = next(self.parameters(), None)
        if weight is None:
            weight = cast(Tensor, self.weight_ih_l0)
        if x.dtype != weight.dtype and not _autocasts(x, weight):
            raise ShapeError(f"input: expected {weight.dtype} as the weights, given {x.dtype}")
        if x.device != weight.device:
            raise ShapeError(f"input: is on {x.device}, the weights are on {weight.device}")

    def _public(self, state: Hidden) -> State:
        """The state as `torch.nn` shows it: a pair for the LSTM, one tensor for the others."""
        return state if self.options.cell == "lstm" else state[0]

    def layer_options(self, index: int) -> Options:
        """The options of one layer, whose input is the layer below."""
        return self.options if index < self.num_directions else self._upper_options

    def _suffix(self, index: int) -> str:
        layer, direction = divmod(index, self.num_directions)
        return f"_l{layer}{'_reverse' if direction else ''}"

    def _initial_names(self) -> list[str]:
        return list(INITIAL[: len(self.options.state_sizes)])

    def _register_initial_state(
        self, device: torch.device | str | None, dtype: torch.dtype | None
    ) -> None:
        if not self.options.learn_initial_state:
            return
        count = self.num_layers * self.num_directions
        for name, size in zip(self._initial_names(), self.options.state_sizes, strict=True):
            value = torch.zeros(count, size, device=device, dtype=dtype)
            self.register_parameter(name, nn.Parameter(value))


class RNN(Layer):
    """Elman network, a drop-in for `torch.nn.RNN`; see `LSTM` for further options.

    Args:
        input_size: features of the input, I.
        hidden_size: features of the state, H.
        num_layers: layers over each other.
        nonlinearity: ``"tanh"`` or ``"relu"``.
        bias: whether the gates have biases.
        batch_first: whether input and output are [B, T, ...].
        dropout: probability of dropping an output between layers.
        bidirectional: run in both directions.
        device: where the parameters live.
        dtype: their type.
        proj_size: as for `LSTM`.
        options: the keyword options of `LSTM`, but for ``peephole``, ``forget_bias``, ``chrono``.

    Raises:
        ConfigError: an option is not allowed.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        proj_size: int = 0,
        **options: Unpack[Extras],
    ):
        cell = rnn_kind(nonlinearity)
        super().__init__(
            make_options(cell, input_size, hidden_size, bias, proj_size, options),
            num_layers=num_layers,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            device=device,
            dtype=dtype,
        )
        self.nonlinearity = nonlinearity


class LSTM(Layer):
    """Long short-term memory, a drop-in for `torch.nn.LSTM`, with options that it lacks.

    The equations stand in `loopwise.nn.reference.lstm`.

    Args:
        input_size: features of the input, I.
        hidden_size: features of the cell state, H.
        num_layers: layers over each other.
        bias: whether the gates have biases.
        batch_first: whether input and output are [B, T, ...].
        dropout: probability of dropping an output between layers.
        bidirectional: run in both directions.
        proj_size: project the output to this many features, less than H; 0 for none.
        device: where the parameters live.
        dtype: their type.
        options: beyond torch, by keyword:

            - ``layer_norm``: normalise the gates' shares and the cell state (Ba et al. 2016).
            - ``peephole``: let the gates see the cell state (Gers and Schmidhuber 2000).
            - ``zoneout``: probability that a unit keeps its old state (Krueger et al. 2017); a
              number, or for the LSTM a pair for (h, c).
            - ``recurrent_dropout``: variational dropout on h, one mask a row (Gal and Ghahramani
              2016).
            - ``weight_drop``: DropConnect on the recurrent weights (Merity et al. 2017).
            - ``learn_initial_state``: make the state before the first step a parameter.
            - ``init``: ``"torch"``, or ``"orthogonal"`` recurrent weights.
            - ``forget_bias``: initial bias of the gate that keeps the state.
            - ``chrono``: longest dependency in steps, for chrono initialisation (Tallec and
              Ollivier 2018).
            - ``checkpoint``: keep of the forward pass only the inputs and the state after every 64
              steps; the backward pass computes the rest again, 64 steps at a time. Less memory for
              more time; the results are the same.

    Raises:
        ConfigError: an option is not allowed.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **options: Unpack[Extras],
    ):
        super().__init__(
            make_options("lstm", input_size, hidden_size, bias, proj_size, options),
            num_layers=num_layers,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            device=device,
            dtype=dtype,
        )


class GRU(Layer):
    """Gated recurrent unit, a drop-in for `torch.nn.GRU`; see `LSTM` for further options.

    Args:
        input_size: features of the input, I.
        hidden_size: features of the state, H.
        num_layers: layers over each other.
        bias: whether the gates have biases.
        batch_first: whether input and output are [B, T, ...].
        dropout: probability of dropping an output between layers.
        bidirectional: run in both directions.
        device: where the parameters live.
        dtype: their type.
        proj_size: project the output to this many features; the state keeps H (see
            `loopwise.nn.reference.gru`).
        options: the keyword options of `LSTM`, but for ``peephole``.

    Raises:
        ConfigError: an option is not allowed.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        proj_size: int = 0,
        **options: Unpack[Extras],
    ):
        super().__init__(
            make_options("gru", input_size, hidden_size, bias, proj_size, options),
            num_layers=num_layers,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            device=device,
            dtype=dtype,
        )


def _autocasts(x: Tensor, weight: Tensor) -> bool:
    """Whether autocast will give both the same type; it leaves float64 alone."""
    return (
        autocast_active(x.device)
        and x.is_floating_point()
        and torch.float64 not in (x.dtype, weight.dtype)
    )
