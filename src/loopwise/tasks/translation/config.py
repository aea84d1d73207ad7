"""The options of translation. No torch here: the command line prints them without it."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from loopwise.config import ActsWith, Section
from loopwise.errors import DataError
from loopwise.tasks.layers.config import LayersConfig
from loopwise.train.config import TaskConfig, TrainConfig

PATHS = ("train", "source", "target", "valid", "valid_source", "valid_target")
"""Options that name files."""


class DataConfig(Section):
    """Pairs of sentences and how they are cut into tokens."""

    train: tuple[str, ...] = Field(
        default=(), description="pairs: TSV or JSON lines (also .gz), or - for standard input"
    )
    source: tuple[str, ...] = Field(
        default=(), description="instead of train: files of sentences, a line each"
    )
    target: tuple[str, ...] = Field(default=(), description="and as many of their translations")
    valid: tuple[str, ...] = Field(default=(), description="pairs to validate on; empty = held out")
    valid_source: tuple[str, ...] = Field(
        default=(), description="instead of valid: files of sentences, a line each"
    )
    valid_target: tuple[str, ...] = Field(
        default=(), description="and as many of their translations"
    )
    valid_fraction: float = Field(
        default=0.03,
        gt=0,
        lt=1,
        description="share of the source sentences held out if valid is empty, at most 2000",
    )
    columns: tuple[int, int] = Field(
        default=(0, 1), description="of TSV: the source's and the target's column, from 0"
    )
    keys: tuple[str, str] = Field(
        default=("source", "target"), description="of JSON lines: the keys of both sides"
    )

    unit: Literal["bpe", "words", "chars", "bytes"] = Field(
        default="bpe", description="what a token is: bpe, words, chars or bytes"
    )
    joint: bool = Field(default=True, description="one vocabulary for both sides")
    vocab_size: int = Field(default=0, ge=0, description="most tokens; 0 = all (bpe: 8000)")
    min_count: int = Field(default=1, ge=1, description="rarer units become unknown")
    bpe_dropout: Annotated[float, ActsWith("unit", ("bpe",))] = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="leave out merges at this rate in training (Provilkov et al. 2020)",
    )

    max_words: int = Field(default=250, ge=1, description="longest side of a pair")
    max_ratio: float = Field(
        default=0.0, ge=0, description="longest side by the shorter one, in words; 0 = any"
    )
    invalid: Literal["error", "skip"] = Field(
        default="error", description="pairs that cannot be used: error, or skip (and count)"
    )
    duplicates: Literal["keep", "drop"] = Field(
        default="keep", description="pairs that came before: keep or drop"
    )

    @field_validator(*PATHS, mode="before")
    @classmethod
    def _one_is_a_list_too(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self._paths.count("-") > 1:
            raise ValueError("standard input (-) can be read only once")
        for both, *sides in (
            ("train", "source", "target"),
            ("valid", "valid_source", "valid_target"),
        ):
            source, target = (getattr(self, side) for side in sides)
            if len(source) != len(target):
                raise ValueError(
                    f"{sides[0]} and {sides[1]}: {len(source)} and {len(target)} files; there must "
                    "be as many"
                )
            if getattr(self, both) and source:
                raise ValueError(f"{both} or {sides[0]} and {sides[1]}: give one of them")
        return self

    @property
    def _paths(self) -> tuple[str, ...]:
        return tuple(path for name in PATHS for path in getattr(self, name))

    @property
    def from_stdin(self) -> bool:
        """Whether a part of the pairs is standard input."""
        return "-" in self._paths

    def require_files(self) -> None:
        """Raise DataError unless all pairs are in files, so that they can be read again."""
        if not (self.train or self.source) or self.from_stdin:
            raise DataError(
                "the pairs of this run were no file, but given from Python or standard input"
            )

    def absolute(self) -> "DataConfig":
        """The same with absolute paths, so that a run can be continued from any folder."""
        paths = {
            name: tuple(
                path if path == "-" else str(Path(path).absolute()) for path in getattr(self, name)
            )
            for name in PATHS
        }
        return self.model_copy(update=paths)


class ModelConfig(LayersConfig):
    """Encoder, attention and decoder; `num_layers` and `last_size` are the encoder's."""

    embedding_size: int = Field(default=256, ge=1, description="features of a token")
    bidirectional: bool = Field(
        default=True, description="the encoder reads both ways, with hidden_size units each"
    )
    decoder_layers: int = Field(default=1, ge=1, description="layers of the decoder")
    wait: int = Field(
        default=0,
        ge=0,
        description="source words to wait for before the first of the target, to translate "
        "while the source is still coming (wait-k); 0 = the whole source",
    )

    attention: Literal["dot", "general", "additive"] = Field(
        default="general", description="dot, general or additive"
    )
    heads: int = Field(default=4, ge=1, description="of attention, side by side")
    attention_size: int = Field(
        default=0, ge=0, description="features of keys and values; 0 = hidden_size"
    )
    source_in_memory: bool = Field(
        default=True, description="attention sees the source's embeddings beside its states"
    )
    coverage: bool = Field(
        default=False, description="attention is told where it has been; several times slower"
    )
    input_feeding: bool = Field(
        default=False, description="the decoder reads what it last put out; several times slower"
    )
    tied: bool = Field(default=True, description="the logits' weights are the target's embedding")

    dropout_embedding: float = Field(
        default=0.0, ge=0, lt=1, description="drops whole tokens' embeddings"
    )
    dropout_readout: float = Field(
        default=0.4, ge=0, lt=1, description="on what the logits are a map of"
    )
    scheduled_sampling: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="share of the decoder's inputs that it draws itself in training; several "
        "times slower",
    )

    @model_validator(mode="after")
    def _streams(self) -> Self:
        if self.wait and self.bidirectional:
            raise ValueError("wait: the encoder must read forwards alone; set bidirectional=false")
        return self

    @property
    def decoder(self) -> LayersConfig:
        """The layers over the target, which begin with what the encoder says."""
        own = {"num_layers": self.decoder_layers, "last_size": 0, "learn_initial_state": False}
        return self.model_copy(update=own)


class TranslationTrainConfig(TrainConfig):
    """Training: length, optimiser, learning rate, clipping, checkpoints, machine."""

    batch_tokens: int = Field(
        default=3000,
        ge=1,
        description="tokens of both sides of a batch, which has at most batch_size pairs",
    )
    label_smoothing: float = Field(
        default=0.1, ge=0, lt=1, description="share of the loss that all tokens share"
    )
    valid_bleu: int = Field(
        default=200,
        ge=0,
        description="validation pairs that are also translated, greedily, for BLEU; 0 = none",
    )


class TranslationConfig(TaskConfig):
    """A translator: its pairs, its network and its training."""

    task: Literal["translation"] = Field(
        default="translation", description="what this configuration is for"
    )
    data: DataConfig = DataConfig.load()
    model: ModelConfig = ModelConfig(
        hidden_size=256,
        dropout_input=0.4,
        dropout_hidden=0.4,
        dropout_output=0.4,
        init="orthogonal",
        forget_bias=1.0,
    )
    train: TranslationTrainConfig = TranslationTrainConfig(
        epochs=16,
        batch_size=256,
        lr=3e-3,
        weight_decay=0.01,
        schedule="cosine",
        warmup=0.12,
        final_lr=0.01,
    )
