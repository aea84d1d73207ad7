"""`RNNCell`, `LSTMCell`, `GRUCell`: one step, as `torch.nn` has them."""

import torch
from torch import Tensor, nn

from loopwise.errors import ShapeError
from loopwise.nn import parameters, reference
from loopwise.nn.ops import single_step
from loopwise.nn.options import Options, make_options, rnn_kind
from loopwise.nn.reference import Hidden
from loopwise.nn.state import State, hidden, map_state, require_like


class SingleCell(nn.Module):
    """What the three cells share: parameters with torch's names, and the step.

    `forward` is torch's: it returns the new state alone. `step` is the form that `Recurrent` runs,
    ``(x_t, state) -> (y_t, state)``.
    """

    def __init__(
        self,
        options: Options,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ):
        super().__init__()
        self.options = options
        self.input_size, self.hidden_size = options.input_size, options.hidden_size
        self.output_size, self.bias = options.output_size, options.bias
        parameters.register(self, options, "", device, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights anew."""
        parameters.reset(self, self.options)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """``(x_t [B, I], state) -> (y_t [B, H], state)``, the state as `forward` takes it.

        Raises:
            ShapeError: the input does not fit.
        """
        if x.dim() != 2 or x.shape[1] != self.input_size:
            raise ShapeError(
                f"input: expected [B, {self.input_size}] or [{self.input_size}], "
                f"given {tuple(x.shape)}"
            )
        w = parameters.weights(self, parameters.names(self.options))
        new = single_step(self.options.cell, x, hidden(state), w)
        return reference.output(self.options.cell, new, w), self._public(new)

    def initial_state(self, x: Tensor) -> State:
        """Zeros, each [B, H], for inputs like `x` [B, I]."""
        return self._public(
            tuple(x.new_zeros(x.shape[0], size) for size in self.options.state_sizes)
        )

    def forward(self, input: Tensor, hx: State | None = None) -> State:
        """One step.

        Args:
            input: [B, I], or [I] without a batch.
            hx: h, or for the LSTM (h, c), each [B, H] ([H] without a batch). None: zeros.

        Returns:
            the new state, as `hx`.

        Raises:
            ShapeError: the input or state does not fit.
        """
        if input.dim() == 1:
            lifted = None if hx is None else map_state(lambda s: s.unsqueeze(0), hx)
            return map_state(lambda s: s.squeeze(0), self._advance(input.unsqueeze(0), lifted))
        return self._advance(input, hx)

    def _advance(self, x: Tensor, hx: State | None) -> State:
        initial = self.initial_state(x)
        if hx is not None:
            require_like(hx, initial)
        return self.step(x, initial if hx is None else hx)[1]

    def extra_repr(self) -> str:
        """The sizes, and the arguments that differ from their defaults."""
        return ", ".join([str(self.input_size), str(self.hidden_size), *self.options.choices()])

    def _public(self, state: Hidden) -> State:
        return state if self.options.cell == "lstm" else state[0]


class RNNCell(SingleCell):
    """One step of an Elman network, a drop-in for `torch.nn.RNNCell`.

    Args:
        input_size: features of the input.
        hidden_size: features of the state.
        bias: whether there are biases.
        nonlinearity: ``"tanh"`` or ``"relu"``.
        device: where the parameters live.
        dtype: their type.
        layer_norm: normalise the gates' shares (Ba et al. 2016).
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        layer_norm: bool = False,
    ):
        extras = {"layer_norm": layer_norm}
        cell = rnn_kind(nonlinearity)
        super().__init__(
            make_options(cell, input_size, hidden_size, bias, 0, extras), device, dtype
        )
        self.nonlinearity = nonlinearity


class LSTMCell(SingleCell):
    """One step of an LSTM, a drop-in for `torch.nn.LSTMCell`.

    Args:
        input_size: features of the input.
        hidden_size: features of the state.
        bias: whether there are biases.
        device: where the parameters live.
        dtype: their type.
        layer_norm: normalise the gates' shares and the cell state (Ba et al. 2016).
        peephole: let the gates see the cell state (Gers and Schmidhuber 2000).
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        layer_norm: bool = False,
        peephole: bool = False,
    ):
        extras = {"layer_norm": layer_norm, "peephole": peephole}
        options = make_options("lstm", input_size, hidden_size, bias, 0, extras)
        super().__init__(options, device, dtype)


class GRUCell(SingleCell):
    """One step of a GRU, a drop-in for `torch.nn.GRUCell`.

    Args:
        input_size: features of the input.
        hidden_size: features of the state.
        bias: whether there are biases.
        device: where the parameters live.
        dtype: their type.
        layer_norm: normalise the gates' shares (Ba et al. 2016).
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        layer_norm: bool = False,
    ):
        extras = {"layer_norm": layer_norm}
        options = make_options("gru", input_size, hidden_size, bias, 0, extras)
        super().__init__(options, device, dtype)
