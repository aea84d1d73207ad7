"""A recognizer of speech: patches of frames, recurrent layers, CTC and a transducer."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from loopwise.runtime.description.layer import (
    STRICT,
    Count,
    LayerDescription,
    Size,
    layer_shapes,
    require_chain,
)
from loopwise.runtime.shapes import Shapes

Layers = Annotated[tuple[LayerDescription, ...], Field(min_length=1)]


@dataclass(frozen=True, config=STRICT)
class TransducerDescription:
    """The part of a transducer that reads what was said so far, and the joiner (Graves 2012).

    Attributes:
        embedding_size: E, features of a unit.
        layers: over the units, forwards; the prediction network.
        joint_size: J, features in which frame and prediction are added.
    """

    embedding_size: Size
    layers: Layers
    joint_size: Size


@dataclass(frozen=True, config=STRICT)
class RecognizerDescription:
    """Networks that read frames and put out units, with blanks between them.

    See `loopwise.runtime.acoustics` for what it computes.

    Attributes:
        kind: always ``"recognizer"``.
        input_size: F, features of a frame.
        stride: n, frames from one step of the layers to the next.
        width: w, frames that such a step reads, the last of them its own n.
        channels: C, of a convolution over these, with a rectifier; 0 hands them on as they are.
        layers: recurrent layers, all in both directions or none.
        lookahead: steps of the last layer that an output also sees beyond its own (the row
            convolution of Wang et al. 2016); 0 where layers read in both directions.
        units: V, what can be put out, blank, which is 0, included.
        ctc: whether there is a head for connectionist temporal classification (Graves 2006).
        transducer: the transducer; null for none.
        members: networks, whose log-probabilities are averaged.
    """

    kind: Literal["recognizer"]
    input_size: Size
    stride: Size
    width: Size
    channels: Count
    layers: Layers
    lookahead: Count
    units: Annotated[int, Field(ge=2, lt=2**31)]
    ctc: bool
    transducer: TransducerDescription | None
    members: Size

    @property
    def bidirectional(self) -> bool:
        """Whether the layers need the whole of an utterance."""
        return self.layers[0].bidirectional

    @property
    def patch_size(self) -> int:
        """Features of the frames that a step reads."""
        return self.width * self.input_size

    @property
    def hidden_size(self) -> int:
        """H, features of a network's last layer's output."""
        return self.layers[-1].output_size

    def tensor_shapes(self) -> Shapes:
        """Every tensor of the model with its shape."""
        own = self.member_shapes()
        return {f"members.{n}.{k}": v for n in range(self.members) for k, v in own.items()}

    def member_shapes(self) -> Shapes:
        """The tensors of one of its networks."""
        table: Shapes = {}
        if self.channels:
            table["front.weight"] = (self.channels, self.patch_size)
            table["front.bias"] = (self.channels,)
        table |= layer_shapes(self.layers)
        if self.lookahead:
            table["lookahead.weight"] = (self.lookahead + 1, self.hidden_size)
        if self.ctc:
            table["head.weight"] = (self.units, self.hidden_size)
            table["head.bias"] = (self.units,)
        if (t := self.transducer) is not None:
            table["embedding.weight"] = (self.units, t.embedding_size)
            table |= layer_shapes(t.layers, "predictor")
            table["join_frame.weight"] = (t.joint_size, self.hidden_size)
            table["join_frame.bias"] = (t.joint_size,)
            table["join_unit.weight"] = (t.joint_size, t.layers[-1].output_size)
            table["joint.weight"] = (self.units, t.joint_size)
            table["joint.bias"] = (self.units,)
        return table

    @model_validator(mode="after")
    def _check(self) -> Self:
        require_chain(self.layers, self.channels or self.patch_size, whole=True)
        if any(layer.bidirectional != self.bidirectional for layer in self.layers):
            raise ValueError("layers: some read in both directions and some do not")
        if self.width < self.stride:
            raise ValueError(f"width {self.width}: less than the stride {self.stride} of frames")
        if self.lookahead and self.bidirectional:
            raise ValueError(f"lookahead {self.lookahead}: the layers see the whole utterance")
        if not (self.ctc or self.transducer):
            raise ValueError("ctc, transducer: one of them must be there")
        if (t := self.transducer) is not None:
            require_chain(t.layers, t.embedding_size, name="transducer.layers")
        return self
