"""Numbers or symbols in, recurrent layers, numbers or classes out: a torch module."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from loopwise.nn.state import State
from loopwise.runtime.description import SequenceModelDescription
from loopwise.tasks.layers.config import LayersConfig
from loopwise.tasks.layers.modules import RecurrentLayers, draw_uniformly


class Answers(NamedTuple):
    """What the model makes of sequences."""

    outputs: Tensor
    """[K, B, O] after the last K steps"""
    output: Tensor
    """[T, B, P], the last layer's output before dropout"""
    dropped: Tensor
    """[T, B, P], the same after dropout"""
    state: State
    """after the last step, one entry a layer"""


class SequenceModel(nn.Module):
    """An embedding where inputs are symbols, recurrent layers, a linear head.

    Args:
        description: sizes and cells, exactly as a bundle has them.
        config: what matters in training alone: dropout and initialisation.
        one_hot: give each symbol a feature of its own, as many as there are symbols, instead of
            features that are trained.
    """

    def __init__(
        self,
        description: SequenceModelDescription,
        config: LayersConfig,
        *,
        one_hot: bool = False,
    ):
        super().__init__()
        self.description = description
        self.embedding = _make_table(description, one_hot)
        self.layers = RecurrentLayers(description.layers, config)
        self.head = nn.Linear(description.layers[-1].output_size, description.output_size)
        if config.init_scale:
            draw_uniformly(self, config.init_scale)

    def forward(self, x: Tensor, last: int, state: State | None = None) -> Answers:
        """Read sequences.

        Args:
            x: numbers [T, B, I], or symbols [T, B].
            last: K, after how many of the last steps an output is wanted.
            state: before the first step; None at the beginning.
        """
        if self.embedding is not None:
            x = self.embedding(x)
        output, dropped, after, _ = self.layers(x, state)
        return Answers(self.head(dropped[len(dropped) - last :]), output, dropped, after)


class OneHot(nn.Module):
    """Each of `size` symbols as a feature of its own; a table that is not trained."""

    weight: Tensor

    def __init__(self, size: int):
        super().__init__()
        self.register_buffer("weight", torch.eye(size))

    def forward(self, ids: Tensor) -> Tensor:
        """[T, B] to [T, B, size]."""
        return functional.embedding(ids, self.weight)


def _make_table(description: SequenceModelDescription, one_hot: bool) -> nn.Module | None:
    if description.inputs == "numbers":
        return None
    if one_hot:
        return OneHot(description.input_size)
    return nn.Embedding(description.input_size, description.embedding_size)
