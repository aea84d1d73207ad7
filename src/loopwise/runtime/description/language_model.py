"""A language model."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from loopwise.runtime.description.layer import (
    STRICT,
    LayerDescription,
    Size,
    head_shapes,
    layer_shapes,
    require_chain,
)
from loopwise.runtime.shapes import Shapes


@dataclass(frozen=True, config=STRICT)
class LanguageModelDescription:
    """An embedding, recurrent layers over each other and a linear head over the vocabulary.

    Attributes:
        kind: always ``"language-model"``.
        vocabulary: V, the number of tokens.
        embedding_size: E, the input size of the first layer.
        layers: from the input upwards, at least one.
        tied: whether the head's weight is the embedding's (Press & Wolf 2017, arXiv:1608.05859).
    """

    kind: Literal["language-model"]
    vocabulary: Size
    embedding_size: Size
    layers: Annotated[tuple[LayerDescription, ...], Field(min_length=1)]
    tied: bool

    def tensor_shapes(self) -> Shapes:
        """Every tensor of the model with its shape."""
        table: Shapes = {"embedding.weight": (self.vocabulary, self.embedding_size)}
        head = head_shapes(self.vocabulary, self.layers)
        if self.tied:
            del head["head.weight"]
        return table | layer_shapes(self.layers) | head

    @model_validator(mode="after")
    def _check(self) -> Self:
        size = require_chain(self.layers, self.embedding_size)
        if self.tied and size != self.embedding_size:
            raise ValueError(f"tied: output size {size}, embedding size {self.embedding_size}")
        return self
