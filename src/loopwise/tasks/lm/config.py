"""The options of language modelling. No torch here: the command line prints them without it."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from loopwise.config import Section
from loopwise.errors import DataError
from loopwise.tasks.layers.config import LayersConfig
from loopwise.train.config import TaskConfig, TrainConfig


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

    def require_files(self) -> None:
        """Raise DataError unless the whole text is in files, so that it can be read again."""
        if not self.train or self.from_stdin:
            raise DataError(
                "the text of this run was no file, but given from Python or standard input"
            )

    def absolute(self) -> "DataConfig":
        """The same with absolute paths, so that a run can be continued from any folder."""
        paths = {
            name: tuple(path if path == "-" else str(Path(path).absolute()) for path in given)
            for name, given in (("train", self.train), ("valid", self.valid))
        }
        return self.model_copy(update=paths)


class ModelConfig(LayersConfig):
    """Embedding, recurrent layers and a linear head over the vocabulary."""

    embedding_size: int = Field(default=128, ge=1, description="features of a token")
    tied: bool = Field(default=False, description="use the embedding as the head's weights too")
    dropout_embedding: float = Field(
        default=0.0, ge=0, lt=1, description="drops whole tokens' embeddings"
    )

    @model_validator(mode="after")
    def _tied_sizes_fit(self) -> Self:
        if self.tied and self.output_size != self.embedding_size:
            raise ValueError(
                f"tied: the last layer puts out {self.output_size} features, embedding_size is "
                f"{self.embedding_size}; they must be equal"
            )
        return self

    @property
    def default_last_size(self) -> int:
        """Units of the last layer where `last_size` is 0."""
        return self.embedding_size if self.tied and not self.proj_size else self.hidden_size


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


class LMConfig(TaskConfig):
    """A language model: its text, its layers and its training."""

    task: Literal["lm"] = Field(default="lm", description="what this configuration is for")
    data: DataConfig = DataConfig.load()
    model: ModelConfig = ModelConfig.load()
    train: LMTrainConfig = LMTrainConfig.load()
