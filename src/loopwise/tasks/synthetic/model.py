"""The model of the synthetic tasks as a torch module."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from loopwise.nn.state import State
from loopwise.runtime.description import SequenceModelDescription
from loopwise.tasks.layers.modules import RecurrentLayers, describe_layers, draw_uniformly
from loopwise.tasks.synthetic.config import ModelConfig
from loopwise.tasks.synthetic.problems import Problem


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
    """Numbers or symbols in, recurrent layers, linear head.

    Args:
        description: sizes and cells, exactly as a bundle has them.
        config: of dropout and initialisation, and whether symbols are embedded or one-hot.
    """

    def __init__(self, description: SequenceModelDescription, config: ModelConfig):
        super().__init__()
        self.description = description
        self.embedding = _make_table(description, one_hot=not config.embedding_size)
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
        output, dropped, after = self.layers(x, state)
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


def describe(config: ModelConfig, problem: Problem) -> SequenceModelDescription:
    """The description that a bundle will carry."""
    symbols = problem.inputs == "symbols"
    embedding_size = config.embedding_size or problem.input_size if symbols else 0
    return SequenceModelDescription(
        kind="sequence-model",
        inputs=problem.inputs,
        input_size=problem.input_size,
        embedding_size=embedding_size,
        layers=describe_layers(config, embedding_size or problem.input_size),
        outputs=problem.outputs,
        output_size=problem.output_size,
    )


def _make_table(description: SequenceModelDescription, *, one_hot: bool) -> nn.Module | None:
    if description.inputs == "numbers":
        return None
    if one_hot:
        return OneHot(description.input_size)
    return nn.Embedding(description.input_size, description.embedding_size)
