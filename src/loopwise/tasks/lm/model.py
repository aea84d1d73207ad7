"""The recurrent language model as a torch module, from Zaremba 2014 to AWD-LSTM."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from loopwise.nn.cross_entropy import linear_cross_entropy
from loopwise.nn.layers import GRU, LSTM, RNN, Layer
from loopwise.nn.options import Extras
from loopwise.nn.regularize import drop_embeddings, locked_dropout
from loopwise.nn.state import State
from loopwise.runtime.description import LanguageModelDescription, LayerDescription
from loopwise.tasks.lm.config import ModelConfig


class Reading(NamedTuple):
    """What the model makes of a window."""

    nats: Tensor
    """sum of the targets' surprisals, a scalar in float32"""
    state: State
    """one entry a layer, to be carried on"""
    output: Tensor
    """[T, B, H], the last layer's output before dropout"""
    dropped: Tensor
    """[T, B, H], the same after dropout"""


@dataclass(frozen=True)
class Dropouts:
    """Where activations are dropped in training; see `ModelConfig`."""

    embedding: float = 0.0
    input: float = 0.0
    hidden: float = 0.0
    output: float = 0.0
    locked: bool = True


class RecurrentLanguageModel(nn.Module):
    """Embedding, recurrent layers, linear head.

    Args:
        description: sizes and cells, exactly as a bundle has them.
        config: what matters in training alone: dropout and initialisation.
    """

    def __init__(self, description: LanguageModelDescription, config: ModelConfig | None = None):
        super().__init__()
        config = config or ModelConfig.load()
        self.description = description
        self.dropouts = Dropouts(
            config.dropout_embedding,
            config.dropout_input,
            config.dropout_hidden,
            config.dropout_output,
            config.locked,
        )
        self.embedding = nn.Embedding(description.vocabulary, description.embedding_size)
        self.layers = nn.ModuleList(_make_layer(layer, config) for layer in description.layers)
        self.head = Head(
            description.vocabulary, description.layers[-1].output_size, tied=description.tied
        )
        self._initialise(config.init_scale)

    def forward(self, ids: Tensor, targets: Tensor, state: State | None = None) -> Reading:
        """Read a window and compare it with what follows. All of its logits are never in memory.

        Args:
            ids: [T, B] token ids.
            targets: [T, B] the tokens that follow them.
            state: from the window before; None at the beginning of a text.
        """
        x, dropped, after = self._read(ids, state)
        weight = self.head.weight_of(self.embedding.weight)
        nats = linear_cross_entropy(dropped, weight, self.head.bias, targets)
        return Reading(nats, after, x, dropped)

    def logits(self, ids: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """The logits [T, B, V] of what follows each of the ids, and the state after the window."""
        _, dropped, after = self._read(ids, state)
        return self.head(dropped, self.embedding.weight), after

    def _read(self, ids: Tensor, state: State | None) -> tuple[Tensor, Tensor, State]:
        x = drop_embeddings(self.embedding, ids, self.dropouts.embedding, self.training)
        x = self._drop(x, self.dropouts.input)
        carried: Sequence[State | None] = (
            [None] * len(self.layers) if state is None else cast(tuple[State, ...], state)
        )
        states: list[State] = []
        last = len(self.layers) - 1
        for number, (layer, before) in enumerate(zip(self.layers, carried, strict=True)):
            y, after = layer(x, before)
            if self.description.layers[number].residual:
                y = y + x
            x = y if number == last else self._drop(y, self.dropouts.hidden)
            states.append(after)
        return x, self._drop(x, self.dropouts.output), tuple(states)

    def _drop(self, x: Tensor, p: float) -> Tensor:
        if self.dropouts.locked:
            return locked_dropout(x, p, self.training)
        return functional.dropout(x, p, self.training)

    @torch.no_grad()
    def _initialise(self, scale: float) -> None:
        if scale:
            for name, parameter in self.named_parameters():
                if "norm_" not in name and "initial_" not in name:  # those start at 1 and 0
                    parameter.uniform_(-scale, scale)
            return
        self.embedding.weight.uniform_(-0.1, 0.1)
        if self.head.weight is not None:
            self.head.weight.uniform_(-0.1, 0.1)
        self.head.bias.zero_()


class Head(nn.Module):
    """Features to logits; tied, it has a bias of its own and the embedding's weight."""

    weight: nn.Parameter | None

    def __init__(self, vocabulary: int, features: int, *, tied: bool):
        super().__init__()
        self.weight = None if tied else nn.Parameter(torch.empty(vocabulary, features))
        self.bias = nn.Parameter(torch.empty(vocabulary))

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """[..., H] to [..., V]."""
        return functional.linear(x, self.weight_of(embedding), self.bias)

    def weight_of(self, embedding: Tensor) -> Tensor:
        """Its weight [V, H], which may be the embedding's."""
        return embedding if self.weight is None else self.weight


def describe(config: ModelConfig, vocabulary: int) -> LanguageModelDescription:
    """The description that a bundle will carry, for a vocabulary of this size."""
    layers: list[LayerDescription] = []
    size = config.embedding_size
    for units in config.sizes:
        output = config.proj_size or units
        layers.append(
            LayerDescription(
                cell=config.cell,
                input_size=size,
                hidden_size=units,
                proj_size=config.proj_size,
                bias=True,
                nonlinearity=config.nonlinearity if config.cell == "rnn" else "tanh",
                layer_norm=config.layer_norm,
                peephole=config.peephole,
                zoneout=(config.zoneout,) * (2 if config.cell == "lstm" else 1),
                learn_initial_state=config.learn_initial_state,
                residual=config.residual and size == output,
            )
        )
        size = output
    return LanguageModelDescription(
        kind="language-model",
        vocabulary=vocabulary,
        embedding_size=config.embedding_size,
        layers=tuple(layers),
        tied=config.tied,
    )


def _make_layer(layer: LayerDescription, config: ModelConfig) -> Layer:
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
    if layer.cell == "lstm":
        extras["peephole"] = layer.peephole
        return LSTM(*sizes, bias=bias, proj_size=proj_size, **extras)
    if layer.cell == "gru":
        return GRU(*sizes, bias=bias, proj_size=proj_size, **extras)
    kind = layer.nonlinearity
    return RNN(*sizes, bias=bias, proj_size=proj_size, nonlinearity=kind, **extras)
