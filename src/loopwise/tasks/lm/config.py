"""The options of language modelling. No torch here: the command line prints them without it."""

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from loopwise.config import Section
from loopwise.errors import ConfigError
from loopwise.train.config import TrainConfig


class DataConfig(Section):
    """Text and how it is cut into tokens."""

    train: tuple[str, ...] = Field(
        (), description="files, folders, globs, .gz, or - for standard input"
    )
    valid: tuple[str, ...] = Field((), description="the same for validation; empty = held out")
    valid_fraction: float = Field(
        0.05, gt=0, lt=1, description="share of the end of the text held out if valid is empty"
    )
    unit: Literal["bytes", "chars", "words", "bpe"] = Field(
        "bytes", description="what a token is: bytes, chars, words or bpe"
    )
    vocab_size: int = Field(0, ge=0, description="most tokens; 0 = all (bpe: 8000)")
    min_count: int = Field(1, ge=1, description="rarer words or characters become unknown")


class ModelConfig(Section):
    """Embedding, recurrent layers and a linear head over the vocabulary."""

    cell: Literal["lstm", "gru", "rnn"] = Field("lstm", description="lstm, gru or rnn")
    embedding_size: int = Field(128, ge=1, description="features of a token")
    hidden_size: int = Field(512, ge=1, description="units of a layer")
    num_layers: int = Field(1, ge=1, description="layers over each other")
    last_size: int = Field(
        0, ge=0, description="units of the last layer; 0 = hidden_size, or embedding_size if tied"
    )
    proj_size: int = Field(0, ge=0, description="project each layer's output to so many features")
    nonlinearity: Literal["tanh", "relu"] = Field("tanh", description="of an rnn: tanh or relu")
    tied: bool = Field(False, description="use the embedding as the head's weights too")
    residual: bool = Field(False, description="add a layer's input to its output where sizes allow")
    layer_norm: bool = Field(False, description="layer norm inside the cell")
    peephole: bool = Field(False, description="of an lstm: the gates see the cell state")
    learn_initial_state: bool = Field(False, description="train the state before the first token")

    dropout_embedding: float = Field(0.0, ge=0, lt=1, description="drops whole tokens' embeddings")
    dropout_input: float = Field(0.0, ge=0, lt=1, description="on the first layer's input")
    dropout_hidden: float = Field(0.0, ge=0, lt=1, description="between layers")
    dropout_output: float = Field(0.0, ge=0, lt=1, description="on the last layer's output")
    locked: bool = Field(
        True, description="these dropouts keep one mask per window (false: a new one each step)"
    )
    weight_drop: float = Field(0.0, ge=0, lt=1, description="DropConnect on recurrent weights")
    recurrent_dropout: float = Field(0.0, ge=0, lt=1, description="variational, on the state")
    zoneout: float = Field(0.0, ge=0, lt=1, description="chance that a unit keeps its old state")
    ar: float = Field(0.0, ge=0, description="activation regularisation (Merity 2017): size")
    tar: float = Field(0.0, ge=0, description="temporal activation regularisation: change per step")

    init: Literal["torch", "orthogonal"] = Field(
        "torch", description="recurrent weights: torch (uniform) or orthogonal"
    )
    init_scale: float = Field(
        0.0, ge=0, description="draw all weights uniformly from +-this; 0 = each layer's own way"
    )
    forget_bias: float = Field(0.0, description="initial bias of the gate that keeps the state")
    chrono: int = Field(0, ge=0, description="longest memory in steps, sets gate biases; 0 = off")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.peephole and self.cell != "lstm":
            raise ValueError(f"peephole is an option of lstm; the cell is {self.cell}")
        if self.cell == "rnn" and (self.forget_bias or self.chrono):
            raise ValueError("forget_bias and chrono set a gate; an rnn has none")
        if self.forget_bias and self.chrono:
            raise ValueError("forget_bias and chrono set the same bias: give one of them")
        if self.tied and self.output_size != self.embedding_size:
            raise ValueError(
                f"tied: the last layer puts out {self.output_size} features, embedding_size is "
                f"{self.embedding_size}; they must be equal"
            )
        return self

    @property
    def sizes(self) -> list[int]:
        """Units of each layer."""
        last = self.last_size or (
            self.embedding_size if self.tied and not self.proj_size else self.hidden_size
        )
        return [self.hidden_size] * (self.num_layers - 1) + [last]

    @property
    def output_size(self) -> int:
        """Features that the last layer puts out."""
        return self.proj_size or self.sizes[-1]


class LMTrainConfig(TrainConfig):
    """Training: length, optimiser, learning rate, clipping, checkpoints, machine."""

    window: int = Field(64, ge=1, description="tokens per window of truncated backpropagation")
    vary_window: bool = Field(
        False, description="draw the windows' lengths, as AWD-LSTM does (Merity 2017)"
    )
    valid_batch: int = Field(8, ge=1, description="lanes that the validation text is cut into")


class LMConfig(Section):
    """A language model: its text, its layers and its training."""

    task: Literal["lm"] = Field("lm", description="what this configuration is for")
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    train: LMTrainConfig = LMTrainConfig()

    @field_validator("task", mode="before")
    @classmethod
    def _right_task(cls, value: Any) -> Any:
        if value != "lm":
            raise ValueError("this configuration is for another task than lm")
        return value

    @classmethod
    def from_settings(cls, **settings: Any) -> Self:
        """A configuration from the keys of all tables in one row, such as ``hidden_size=256``.

        Raises:
            ConfigError: a key that no table has, or a value that is not allowed.
        """
        tables = {"data": DataConfig, "model": ModelConfig, "train": LMTrainConfig}
        values: dict[str, dict[str, Any]] = {}
        for key, value in settings.items():
            homes = [name for name, table in tables.items() if key in table.model_fields]
            if not homes:
                return cls.parse({key: value}, where="LanguageModel")
            values.setdefault(homes[0], {})[key] = value
        if "train" in values.get("data", {}):
            raise ConfigError("LanguageModel: the texts are given to fit, not as train=")
        return cls.parse(values, where="LanguageModel")
