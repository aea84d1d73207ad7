"""The options of recurrent layers, which every task's model has. No torch here."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from loopwise.config import ActsWith, Section

_GATED = ActsWith("cell", ("lstm", "gru"))


class LayersConfig(Section):
    """Recurrent layers over each other."""

    cell: Literal["lstm", "gru", "rnn"] = Field(default="lstm", description="lstm, gru or rnn")
    hidden_size: int = Field(default=512, ge=1, description="units of a layer")
    num_layers: int = Field(default=1, ge=1, description="layers over each other")
    last_size: int = Field(
        default=0,
        ge=0,
        description="units of the last layer; 0 = hidden_size, or what tied weights need",
    )
    proj_size: int = Field(
        default=0, ge=0, description="project each layer's output to so many features"
    )
    nonlinearity: Annotated[Literal["tanh", "relu"], ActsWith("cell", ("rnn",))] = Field(
        default="tanh", description="tanh or relu"
    )
    residual: bool = Field(
        default=False, description="add a layer's input to its output where sizes allow"
    )
    layer_norm: bool = Field(default=False, description="layer norm inside the cell")
    peephole: Annotated[bool, ActsWith("cell", ("lstm",))] = Field(
        default=False, description="the gates see the cell state"
    )
    learn_initial_state: bool = Field(
        default=False, description="train the state before the first step"
    )

    dropout_input: float = Field(default=0.0, ge=0, lt=1, description="on the first layer's input")
    dropout_hidden: float = Field(default=0.0, ge=0, lt=1, description="between layers")
    dropout_output: float = Field(default=0.0, ge=0, lt=1, description="on the last layer's output")
    locked: bool = Field(
        default=True,
        description="these dropouts keep one mask per window (false: a new one each step)",
    )
    weight_drop: float = Field(
        default=0.0, ge=0, lt=1, description="DropConnect on recurrent weights"
    )
    recurrent_dropout: float = Field(
        default=0.0, ge=0, lt=1, description="variational, on the state"
    )
    zoneout: float = Field(
        default=0.0, ge=0, lt=1, description="chance that a unit keeps its old state"
    )
    ar: float = Field(
        default=0.0, ge=0, description="activation regularisation (Merity 2017): size"
    )
    tar: float = Field(
        default=0.0, ge=0, description="temporal activation regularisation: change per step"
    )

    init: Literal["torch", "orthogonal"] = Field(
        default="torch", description="recurrent weights: torch (uniform) or orthogonal"
    )
    init_scale: float = Field(
        default=0.0,
        ge=0,
        description="draw all weights uniformly from +-this; 0 = each layer's own way",
    )
    forget_bias: Annotated[float, _GATED] = Field(
        default=0.0, description="initial bias of the gate that keeps the state"
    )
    chrono: Annotated[int, _GATED] = Field(
        default=0, ge=0, description="longest memory in steps, sets gate biases; 0 = off"
    )

    @model_validator(mode="after")
    def _initialised_in_one_way(self) -> Self:
        if self.forget_bias and self.chrono:
            raise ValueError("forget_bias and chrono set the same bias: give one of them")
        if self.chrono == 1:
            raise ValueError("chrono 1: must be 0 (off) or at least 2 steps")
        if self.init_scale and (self.init != "torch" or self.forget_bias or self.chrono):
            raise ValueError("init_scale draws all weights: leave init, forget_bias and chrono")
        return self

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.proj_size >= min(self.sizes):
            raise ValueError(
                f"proj_size {self.proj_size}: must be less than the units of each layer, here "
                f"{min(self.sizes)}"
            )
        return self

    @property
    def sizes(self) -> list[int]:
        """Units of each layer."""
        last = self.last_size or self.default_last_size
        return [self.hidden_size] * (self.num_layers - 1) + [last]

    @property
    def default_last_size(self) -> int:
        """Units of the last layer where `last_size` is 0."""
        return self.hidden_size

    @property
    def output_size(self) -> int:
        """Features that the last layer puts out."""
        return self.proj_size or self.sizes[-1]
