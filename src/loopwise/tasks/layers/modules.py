"""Recurrent layers over each other as torch modules, with dropout between them."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from loopwise.nn.layers import GRU, LSTM, RNN, Layer
from loopwise.nn.options import Extras
from loopwise.nn.regularize import DrawsOnce, activation_penalty, locked_dropout
from loopwise.nn.state import State
from loopwise.runtime.description import LayerDescription
from loopwise.tasks.layers.config import LayersConfig


class LayersReading(NamedTuple):
    """What the layers make of a window."""

    output: Tensor
    """[T, B, P], the last layer's output before dropout"""
    dropped: Tensor
    """[T, B, P], the same after dropout"""
    state: State
    """one entry a layer, to be carried on"""
    each: tuple[Tensor, ...]
    """[T, B, P] of each layer, as the next one reads it"""


class RecurrentLayers(nn.ModuleList, DrawsOnce):
    """Layers over each other, named ``0``, ``1``, ... as a bundle has them.

    Args:
        descriptions: of the layers, from the input upwards.
        config: what matters in training alone: dropout and initialisation.
        dilations: of each layer: it reads every n-th step, n sequences side by side (Chang et al.
            2017, arXiv:1710.02224); such layers carry no state. None for every step.
    """

    def __init__(
        self,
        descriptions: Sequence[LayerDescription],
        config: LayersConfig,
        dilations: Sequence[int] | None = None,
    ):
        super().__init__(_make_layer(layer, config) for layer in descriptions)
        self.residual = [layer.residual for layer in descriptions]
        self.dilations = dilations or [1] * len(descriptions)
        self.config = config

    def forward(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> LayersReading:
        """Read a window.

        Args:
            x: [T, B, I].
            state: from the window before; None at the beginning of a sequence.
            lengths: [B], of the rows, without dilations; None where all have T steps.
        """
        carried: Sequence[State | None] = (
            [None] * len(self) if state is None else cast(tuple[State, ...], state)
        )
        states: list[State] = []
        each: list[Tensor] = []
        x = self._drop(x, self.config.dropout_input, "input")
        last = len(self) - 1
        for number, (layer, before) in enumerate(zip(self, carried, strict=True)):
            y, after = layer(fold(x, self.dilations[number]), before, lengths=lengths)
            y = unfold(y, len(x), self.dilations[number])
            if self.residual[number]:
                y = y + x
            x = y if number == last else self._drop(y, self.config.dropout_hidden, number)
            states.append(after)
            each.append(x)
        dropped = self._drop(x, self.config.dropout_output, "output")
        return LayersReading(x, dropped, tuple(states), (*each[:-1], dropped))

    def _drop(self, x: Tensor, p: float, place: str | int) -> Tensor:
        if self.config.locked:
            return locked_dropout(x, p, self.training, partial(self.once, place))
        return functional.dropout(x, p, self.training)


def fold(x: Tensor, dilation: int) -> Tensor:
    """Every n-th step as a sequence of its own: [T, B, I] to [T / n, n B, I], zeros in front."""
    if dilation == 1:
        return x
    steps, rows, size = x.shape
    x = functional.pad(x, (0, 0, 0, 0, -steps % dilation, 0))
    return x.reshape(-1, dilation * rows, size)


def unfold(x: Tensor, steps: int, dilation: int) -> Tensor:
    """The inverse of `fold`, for T steps."""
    if dilation == 1:
        return x
    return x.reshape(len(x) * dilation, -1, x.shape[-1])[-steps:]


def add_tensor(module: nn.Module, name: str, tensor: Tensor, *, trained: bool = True) -> None:
    """Give `module` a tensor by the name that a bundle has for it, dots included."""
    *path, leaf = name.split(".")
    for part in path:
        if part not in dict(module.named_children()):
            module.add_module(part, nn.Module())
        module = module.get_submodule(part)
    if trained:
        module.register_parameter(leaf, nn.Parameter(tensor))
    else:
        module.register_buffer(leaf, tensor)


@torch.no_grad()
def draw_uniformly(model: nn.Module, scale: float) -> None:
    """Draw all weights of `model` from [-scale, scale]; norms and initial states stay."""
    for name, parameter in model.named_parameters():
        if "norm_" not in name and "initial_" not in name:  # those start at 1 and 0
            parameter.uniform_(-scale, scale)


def penalty(config: LayersConfig, dropped: Tensor, output: Tensor) -> Tensor | None:
    """The activation penalties of a window, a scalar; None where there are none.

    Args:
        config: `ar` and `tar` are read.
        dropped: as `LayersReading.dropped`.
        output: as `LayersReading.output`.
    """
    if not (config.ar or config.tar):
        return None
    return activation_penalty(dropped, output, config.ar, config.tar)


def summarise(config: LayersConfig, model: nn.Module) -> str:
    """A line about a model for people: its layers and its parameters."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return f"model: {config.num_layers} x {config.cell}, {parameters:,} parameters"


def _make_layer(layer: LayerDescription, config: LayersConfig) -> Layer:
    p, *p_cell = layer.zoneout
    extras: Extras = {
        "layer_norm": layer.layer_norm,
        "zoneout": (p, p_cell[0]) if p_cell else p,
        "recurrent_dropout": config.recurrent_dropout,
        "weight_drop": config.weight_drop,
        "learn_initial_state": layer.learn_initial_state,
        "init": config.init,
        "forget_bias": config.forget_bias or None,
        "chrono": config.chrono or None,
    }
    sizes, bias, proj_size = (layer.input_size, layer.hidden_size), layer.bias, layer.proj_size
    both = layer.bidirectional
    if layer.cell == "lstm":
        extras["peephole"] = layer.peephole
        return LSTM(*sizes, bias=bias, proj_size=proj_size, bidirectional=both, **extras)
    if layer.cell == "gru":
        return GRU(*sizes, bias=bias, proj_size=proj_size, bidirectional=both, **extras)
    kind = layer.nonlinearity
    return RNN(
        *sizes, bias=bias, proj_size=proj_size, bidirectional=both, nonlinearity=kind, **extras
    )
