"""The recurrent language model as a torch module, from Zaremba 2014 to AWD-LSTM."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from loopwise.nn.cross_entropy import linear_cross_entropy
from loopwise.nn.regularize import drop_embeddings
from loopwise.nn.state import State
from loopwise.runtime.description import LanguageModelDescription
from loopwise.tasks.layers.description import describe_layers
from loopwise.tasks.layers.modules import RecurrentLayers, draw_uniformly
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
        self.dropout_embedding = config.dropout_embedding
        self.embedding = nn.Embedding(description.vocabulary, description.embedding_size)
        self.layers = RecurrentLayers(description.layers, config)
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
        output, dropped, after, _ = self.layers(self._embed(ids), state)
        weight = self.head.weight_of(self.embedding.weight)
        nats = linear_cross_entropy(dropped, weight, self.head.bias, targets)
        return Reading(nats, after, output, dropped)

    def logits(self, ids: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """The logits [T, B, V] of what follows each of the ids, and the state after the window."""
        _, dropped, after, _ = self.layers(self._embed(ids), state)
        return self.head(dropped, self.embedding.weight), after

    def _embed(self, ids: Tensor) -> Tensor:
        return drop_embeddings(self.embedding.weight, ids, self.dropout_embedding, self.training)

    @torch.no_grad()
    def _initialise(self, scale: float) -> None:
        if scale:
            draw_uniformly(self, scale)
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
    return LanguageModelDescription(
        kind="language-model",
        vocabulary=vocabulary,
        embedding_size=config.embedding_size,
        layers=describe_layers(config, config.embedding_size),
        tied=config.tied,
    )
