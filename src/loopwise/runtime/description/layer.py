"""A recurrent layer, and what descriptions of whole models share."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from loopwise.runtime.shapes import INITIAL, Shapes, output_size, parameter_shapes, state_sizes

Count = Annotated[int, Field(ge=0, lt=2**31)]
Size = Annotated[int, Field(ge=1, lt=2**31)]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]
STRICT = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True, config=STRICT)
class LayerDescription:
    """One recurrent layer.

    Attributes:
        cell: ``"rnn"``, ``"lstm"`` or ``"gru"``.
        input_size: I, the size of a layer's input at one step.
        hidden_size: H, the size of the cell.
        proj_size: P, the size of the projected output; 0 for none.
        bias: whether ``bias_ih`` and ``bias_hh`` exist.
        nonlinearity: ``"tanh"`` or ``"relu"`` (rnn only; the others say ``"tanh"``).
        layer_norm: layer normalisation of both products and, in an lstm, of the cell state.
        peephole: diagonal connections from the cell state to the gates (lstm only).
        zoneout: the share of the old state kept at each step, ``[p_h, p_c]`` for an lstm and
            ``[p_h]`` for the others.
        learn_initial_state: whether the state before the first step is a parameter.
        residual: whether the input is added to the output; their sizes must be equal.
        bidirectional: whether a second half with weights of its own reads from the end to the
            beginning; the outputs of both stand side by side.
    """

    cell: Literal["rnn", "lstm", "gru"]
    input_size: Size
    hidden_size: Size
    proj_size: Count
    bias: bool
    nonlinearity: Literal["tanh", "relu"]
    layer_norm: bool
    peephole: bool
    zoneout: tuple[Probability, ...]
    learn_initial_state: bool
    residual: bool
    bidirectional: bool = False

    @property
    def suffixes(self) -> tuple[str, ...]:
        """What the names of each direction's tensors end in."""
        return ("_l0", "_l0_reverse") if self.bidirectional else ("_l0",)

    @property
    def output_size(self) -> int:
        """The size of y at one step: of each direction P with a projection, else H."""
        return output_size(self) * len(self.suffixes)

    @property
    def state_sizes(self) -> tuple[int, ...]:
        """The sizes of the arrays of a direction's state: (h, c) in an lstm, (h,) in the others."""
        return state_sizes(self)

    def tensor_shapes(self) -> Shapes:
        """The layer's tensors by their names in ``torch.nn`` (k = 0)."""
        each = parameter_shapes(self).items()
        shapes = {f"{name}{suffix}": shape for suffix in self.suffixes for name, shape in each}
        if self.learn_initial_state:
            sizes = zip(INITIAL, self.state_sizes, strict=False)
            shapes |= {name: (len(self.suffixes), size) for name, size in sizes}
        return shapes

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.peephole and self.cell != "lstm":
            raise ValueError(f"peephole: only an lstm has peepholes, not a {self.cell}")
        if self.nonlinearity != "tanh" and self.cell != "rnn":
            raise ValueError(f"nonlinearity: a {self.cell} allows only 'tanh'")
        if len(self.zoneout) != len(self.state_sizes):
            raise ValueError(f"zoneout: a {self.cell} takes {len(self.state_sizes)} values")
        if self.residual and self.input_size != self.output_size:
            raise ValueError(
                f"residual: input size {self.input_size}, output size {self.output_size}"
            )
        return self


def layer_shapes(layers: Sequence[LayerDescription], name: str = "layers") -> Shapes:
    """The tensors of layers over each other, as ``"layers.0.weight_ih_l0"`` and so on."""
    return {
        f"{name}.{n}.{part}": shape
        for n, layer in enumerate(layers)
        for part, shape in layer.tensor_shapes().items()
    }


def head_shapes(size: int, layers: Sequence[LayerDescription]) -> Shapes:
    """The tensors of a linear head of `size` outputs over layers."""
    return {"head.weight": (size, layers[-1].output_size), "head.bias": (size,)}


def require_chain(
    layers: Sequence[LayerDescription], size: int, *, whole: bool = False, name: str = "layers"
) -> int:
    """Check that each layer takes what the one below puts out.

    Args:
        layers: from the input upwards.
        size: features of the first one's input.
        whole: whether sequences are read as a whole, so that layers may be bidirectional.
        name: of the layers, for messages.

    Returns:
        what the last one puts out.
    """
    for n, layer in enumerate(layers):
        if layer.input_size != size:
            raise ValueError(f"{name}.{n}.input_size: {layer.input_size}, the input has {size}")
        if layer.bidirectional and not whole:
            raise ValueError(f"{name}.{n}.bidirectional: these layers read forwards alone")
        size = layer.output_size
    return size
