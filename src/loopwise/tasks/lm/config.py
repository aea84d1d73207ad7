"""The options of language modelling. No torch here: the command line prints them without it."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from loopwise.config import ActsWith, Section, nearest
from loopwise.errors import ConfigError
from loopwise.train.config import TrainConfig


class DataConfig(Section):
    """Text and how it is cut into tokens."""

    train: tuple[str, ...] = Field(
        default=(), description="files, folders, globs, .gz, or - for standard input"
    )
    valid: tuple[str, ...] = Field(
        default=(), description="the same for validation; empty = held out"
    )
    valid_fraction: float = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="share of the end of the text held out if valid is empty",
    )
    unit: Literal["bytes", "chars", "words", "bpe"] = Field(
        default="bytes", description="what a token is: bytes, chars, words or bpe"
    )
    vocab_size: int = Field(default=0, ge=0, description="most tokens; 0 = all (bpe: 8000)")
    min_count: int = Field(default=1, ge=1, description="rarer words or characters become unknown")

    @field_validator("train", "valid", mode="before")
    @classmethod
    def _one_is_a_list_too(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_standard_input(self) -> Self:
        if (self.train + self.valid).count("-") > 1:
            raise ValueError("train and valid: standard input (-) can be read only once")
        return self

    @model_validator(mode="after")
    def _writable_names(self) -> Self:
        for path in self.train + self.valid:
            if not path.isprintable() and any("\ud800" <= c <= "\udfff" for c in path):
                raise ValueError(f"{path!r}: the name is not UTF-8, which a run cannot record")
        return self

    @property
    def from_stdin(self) -> bool:
        """Whether a part of the text is standard input."""
        return "-" in self.train + self.valid

    def absolute(self) -> "DataConfig":
        """The same with absolute paths, so that a run can be continued from any folder."""
        paths = {
            name: tuple(path if path == "-" else str(Path(path).absolute()) for path in given)
            for name, given in (("train", self.train), ("valid", self.valid))
        }
        return self.model_copy(update=paths)


_GATED = ActsWith("cell", ("lstm", "gru"))


class ModelConfig(Section):
    """Embedding, recurrent layers and a linear head over the vocabulary."""

    cell: Literal["lstm", "gru", "rnn"] = Field(default="lstm", description="lstm, gru or rnn")
    embedding_size: int = Field(default=128, ge=1, description="features of a token")
    hidden_size: int = Field(default=512, ge=1, description="units of a layer")
    num_layers: int = Field(default=1, ge=1, description="layers over each other")
    last_size: int = Field(
        default=0,
        ge=0,
        description="units of the last layer; 0 = hidden_size, or embedding_size if tied",
    )
    proj_size: int = Field(
        default=0, ge=0, description="project each layer's output to so many features"
    )
    nonlinearity: Annotated[Literal["tanh", "relu"], ActsWith("cell", ("rnn",))] = Field(
        default="tanh", description="tanh or relu"
    )
    tied: bool = Field(default=False, description="use the embedding as the head's weights too")
    residual: bool = Field(
        default=False, description="add a layer's input to its output where sizes allow"
    )
    layer_norm: bool = Field(default=False, description="layer norm inside the cell")
    peephole: Annotated[bool, ActsWith("cell", ("lstm",))] = Field(
        default=False, description="the gates see the cell state"
    )
    learn_initial_state: bool = Field(
        default=False, description="train the state before the first token"
    )

    dropout_embedding: float = Field(
        default=0.0, ge=0, lt=1, description="drops whole tokens' embeddings"
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

    window: int = Field(
        default=64, ge=1, description="tokens per window of truncated backpropagation"
    )
    vary_window: bool = Field(
        default=False, description="draw the windows' lengths, as AWD-LSTM does (Merity 2017)"
    )
    valid_batch: int = Field(
        default=8, ge=1, description="lanes that the validation text is cut into"
    )


class LMConfig(Section):
    """A language model: its text, its layers and its training."""

    task: Literal["lm"] = Field(default="lm", description="what this configuration is for")
    data: DataConfig = DataConfig.load()
    model: ModelConfig = ModelConfig.load()
    train: LMTrainConfig = LMTrainConfig.load()

    @field_validator("task", mode="before")
    @classmethod
    def _right_task(cls, value: Any) -> Any:
        if value != "lm":
            raise ValueError(f"this configuration is for the task {value!r}; expected 'lm'")
        return value

    @classmethod
    def from_settings(cls, **settings: Any) -> Self:
        """A configuration from the keys of all tables in one row, such as ``hidden_size=256``.

        The texts are no setting: ``train`` and ``valid`` of the table data stay empty.

        Raises:
            ConfigError: a key that no table has, or a value that is not allowed.
        """
        tables = {"data": DataConfig, "model": ModelConfig, "train": LMTrainConfig}
        homes = {key: name for name, table in tables.items() for key in table.model_fields}
        del homes["train"], homes["valid"]
        values: dict[str, dict[str, Any]] = {}
        for key, value in settings.items():
            if key in ("train", "valid"):
                raise ConfigError(f"LanguageModel: {key}= is no option; give texts to fit")
            if key not in homes:
                hint = nearest(key, list(homes))
                raise ConfigError(f"LanguageModel: unknown option {key!r}{hint}")
            values.setdefault(homes[key], {})[key] = value
        return cls.parse(values, where="LanguageModel")
