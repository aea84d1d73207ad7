"""A model of numbers or symbols at every step."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from loopwise.runtime.description.layer import (
    STRICT,
    Count,
    LayerDescription,
    Size,
    head_shapes,
    layer_shapes,
    require_chain,
)
from loopwise.runtime.shapes import Shapes


@dataclass(frozen=True, config=STRICT)
class SequenceModelDescription:
    """Numbers or symbols in, recurrent layers over each other, a linear head at every step.

    Attributes:
        kind: always ``"sequence-model"``.
        inputs: what a step reads: ``"numbers"``, or ``"symbols"`` as ids.
        input_size: numbers of a step, or how many symbols there are.
        embedding_size: features of a symbol, at least 1; 0 for numbers, which go in as they are.
        layers: from the input upwards, at least one.
        outputs: what a step puts out: ``"numbers"``, or the logits of ``"classes"``.
        output_size: numbers of a step, or how many classes there are.
    """

    kind: Literal["sequence-model"]
    inputs: Literal["numbers", "symbols"]
    input_size: Size
    embedding_size: Count
    layers: Annotated[tuple[LayerDescription, ...], Field(min_length=1)]
    outputs: Literal["numbers", "classes"]
    output_size: Size

    def tensor_shapes(self) -> Shapes:
        """Every tensor of the model with its shape."""
        table: Shapes = {}
        if self.inputs == "symbols":
            table["embedding.weight"] = (self.input_size, self.embedding_size)
        head = head_shapes(self.output_size, self.layers)
        return table | layer_shapes(self.layers) | head

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.embedding_size > 0) != (self.inputs == "symbols"):
            raise ValueError(f"embedding_size: {self.embedding_size}, the inputs are {self.inputs}")
        require_chain(self.layers, self.embedding_size or self.input_size)
        return self
