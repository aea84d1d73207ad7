"""The options of speech recognition. No torch here: the command line prints them without it."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from loopwise.config import ActsWith, Section
from loopwise.errors import DataError
from loopwise.tasks.layers.config import LayersConfig
from loopwise.train.config import TaskConfig, TrainConfig

PATHS = ("train", "valid")
"""Options that name utterances."""

_VARIANT = re.compile(r".+\([1-9]\d*\)")
_OF_AUDIO = ActsWith("kind", ("logmel", "mfcc"))


class DataConfig(Section):
    """Utterances and how they are written."""

    train: tuple[str, ...] = Field(
        default=(),
        description="utterances: manifests (JSON lines or TSV), Kaldi folders, or folders of "
        "audio with texts beside it",
    )
    valid: tuple[str, ...] = Field(
        default=(), description="utterances to validate on; empty = held out"
    )
    valid_fraction: float = Field(
        default=0.1,
        gt=0,
        lt=1,
        description="share held out if valid is empty: of the speakers, where there are several, "
        "else of the texts",
    )
    unit: Literal["chars", "words", "bpe", "phones"] = Field(
        default="chars", description="what is put out: chars, words, bpe or phones"
    )
    lexicon: str = Field(
        default="", description="pronunciations, as of CMU's dictionary; phones need them"
    )
    preferred: tuple[str, ...] = Field(
        default=(),
        description="pronunciations that training takes instead of a word's first, such as A(2)",
    )
    auxiliary: Literal["none", "chars", "words", "phones"] = Field(
        default="none",
        description="units that a layer is told besides, in training: none, chars, words or phones",
    )
    case: Literal["none", "lower", "upper"] = Field(
        default="none", description="of the texts: as it is, lower or upper"
    )
    vocab_size: Annotated[int, ActsWith("unit", ("bpe",))] = Field(
        default=0, ge=0, description="most units, blank included; 0 = 500"
    )
    order: int = Field(
        default=3,
        ge=0,
        description="of the n-grams of words that the search is given besides; 0 = none",
    )
    max_seconds: float = Field(default=30.0, gt=0, description="longest utterance")
    invalid: Literal["error", "skip"] = Field(
        default="error", description="utterances that cannot be used: error, or skip (and count)"
    )

    @field_validator(*PATHS, mode="before")
    @classmethod
    def _one_is_a_list_too(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("preferred")
    @classmethod
    def _named_as_in_a_dictionary(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        wrong = next((each for each in value if not _VARIANT.fullmatch(each)), None)
        if wrong is not None:
            raise ValueError(f"{wrong!r}: must be a word and the number of a pronunciation: A(2)")
        return value

    @model_validator(mode="after")
    def _has_pronunciations(self) -> Self:
        if "phones" in (self.unit, self.auxiliary) and not self.lexicon:
            raise ValueError("phones: need pronunciations; give lexicon")
        return self

    @property
    def variants(self) -> dict[str, int]:
        """Of some words, which pronunciation training takes, from 1."""
        found = (each.removesuffix(")").rpartition("(") for each in self.preferred)
        return {word: int(number) for word, _, number in found}

    @property
    def from_stdin(self) -> bool:
        """Whether a manifest is standard input."""
        return "-" in self.train + self.valid

    def require_files(self) -> None:
        """Raise DataError unless the utterances are in files, so that they can be read again."""
        if not self.train or self.from_stdin:
            raise DataError(
                "the utterances of this run were no file, but given from Python or standard input"
            )

    def absolute(self) -> "DataConfig":
        """The same with absolute paths, so that a run can be continued from any folder."""
        paths: dict[str, Any] = {
            name: tuple(
                path if path == "-" else str(Path(path).absolute()) for path in getattr(self, name)
            )
            for name in PATHS
        }
        if self.lexicon:
            paths["lexicon"] = str(Path(self.lexicon).absolute())
        return self.model_copy(update=paths)


class FeaturesConfig(Section):
    """What of the sound the network sees."""

    kind: Literal["logmel", "mfcc", "ready"] = Field(
        default="logmel",
        description="logmel, mfcc, or ready: the files have features already (.mfc, .npy)",
    )
    rate: int = Field(default=16000, ge=1000, description="samples a second")
    window: Annotated[float, _OF_AUDIO] = Field(
        default=0.025, gt=0, description="seconds that a frame sees"
    )
    hop: float = Field(default=0.01, gt=0, description="seconds from a frame to the next")
    bins: Annotated[int, ActsWith("kind", ("logmel", "mfcc"))] = Field(
        default=40, ge=1, description="bands of the mel scale"
    )
    coefficients: Annotated[int, ActsWith("kind", ("mfcc", "ready"))] = Field(
        default=13, ge=1, description="of the cepstrum; of ready frames, their features"
    )
    low: Annotated[float, _OF_AUDIO] = Field(default=20.0, ge=0, description="lowest band's, in Hz")
    high: Annotated[float, _OF_AUDIO] = Field(
        default=0.0, ge=0, description="highest band's, in Hz; 0 = half the rate"
    )
    preemphasis: Annotated[float, _OF_AUDIO] = Field(
        default=0.97, ge=0, lt=1, description="share of the last sample that is taken off"
    )
    deltas: int = Field(default=0, ge=0, le=2, description="differences in time: 0, 1 or 2 times")
    normalise: Literal["auto", "utterance", "running", "global", "none"] = Field(
        default="auto",
        description="take off the mean of the utterance, of it so far, of all, or none; auto: of "
        "the utterance where the layers read both ways, else of all",
    )


class AugmentConfig(Section):
    """What is changed of the sound in training, anew in each epoch."""

    join: int = Field(
        default=1,
        ge=1,
        description="let others of the same speaker follow an utterance, up to so many in all, for "
        "what is longer than those to learn from; without names all are one speaker's",
    )
    speed: float = Field(
        default=0.0, ge=0, lt=1, description="play faster or slower by up to this share"
    )
    noise: float = Field(
        default=0.0,
        ge=0,
        description="noise, at the loudest so many dB below the signal; 0 = none",
    )
    noises: str = Field(
        default="", description="a recording of noise, or a folder of them; empty = white noise"
    )
    stretch: float = Field(
        default=0.15, ge=0, lt=1, description="stretch frames in time by up to exp(this)"
    )
    warp: float = Field(
        default=0.08, ge=0, lt=1, description="warp frequencies by up to this share"
    )
    time_masks: int = Field(default=2, ge=0, description="spans of frames that are blanked")
    time_mask: int = Field(default=16, ge=1, description="frames of such a span, at most")
    band_masks: int = Field(default=0, ge=0, description="spans of the mel scale that are blanked")
    band_mask: int = Field(default=8, ge=1, description="bands of such a span, at most")
    shift: bool = Field(
        default=True, description="leave out the first frames, fewer than stride, at random"
    )


class ModelConfig(LayersConfig):
    """Patches of frames, recurrent layers, CTC and a transducer."""

    stride: int = Field(default=4, ge=1, description="frames from one step to the next")
    width: int = Field(default=0, ge=0, description="frames that a step reads; 0 = stride")
    channels: int = Field(
        default=0, ge=0, description="of a convolution over these; 0 = frames side by side"
    )
    bidirectional: bool = Field(
        default=True,
        description="layers read both ways, hidden_size units each; false for streams",
    )
    lookahead: int = Field(
        default=0, ge=0, description="steps beyond its own that an output sees (streams)"
    )
    auxiliary_share: float = Field(
        default=0.5, ge=0, description="weight of the loss of data.auxiliary"
    )
    auxiliary_layer: int = Field(
        default=0, ge=0, description="layer, from 1, that it hears; 0 = the last but one"
    )
    transducer: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of the transducer's loss; 0 = CTC alone, 1 = transducer alone",
    )
    predictor_size: int = Field(
        default=128, ge=1, description="of the transducer: units of what reads the text so far"
    )
    predictor_embedding: int = Field(default=64, ge=1, description="its features of a unit")
    predictor_dropout: float = Field(default=0.2, ge=0, lt=1, description="on its output")
    joint_size: int = Field(default=128, ge=1, description="features in which both are added")
    members: int = Field(
        default=1,
        ge=1,
        description="networks with weights of their own, whose log-probabilities are averaged",
    )
    agreement: float = Field(
        default=0.0,
        ge=0,
        description="weight of how far CTC's output of each member is from that of all of them",
    )

    @model_validator(mode="after")
    def _reads_as_it_must(self) -> Self:
        if self.lookahead and self.bidirectional:
            raise ValueError("lookahead: layers that read both ways see it all; set 0")
        if self.width and self.width < self.stride:
            raise ValueError(f"width {self.width}: must be at least stride {self.stride}, or 0")
        if self.agreement and (self.members == 1 or self.transducer == 1):
            raise ValueError("agreement: is between the CTC outputs of several members; set 0")
        if self.auxiliary_layer > self.num_layers:
            raise ValueError(f"auxiliary_layer {self.auxiliary_layer}: there are {self.num_layers}")
        return self

    @property
    def predictor(self) -> LayersConfig:
        """The layer over the units, which begins anew with each utterance."""
        own = {
            "num_layers": 1,
            "last_size": 0,
            "hidden_size": self.predictor_size,
            "learn_initial_state": False,
            "residual": False,
            "proj_size": 0,
            "dropout_input": 0.0,
            "dropout_output": self.predictor_dropout,
        }
        return self.model_copy(update=own)


class SpeechTrainConfig(TrainConfig):
    """Training: length, optimiser, learning rate, clipping, checkpoints, machine."""

    batch_seconds: float = Field(
        default=120.0, gt=0, description="of a batch, which has at most batch_size utterances"
    )


class SpeechConfig(TaskConfig):
    """A recognizer: its utterances, their features, its network and its training."""

    task: Literal["speech"] = Field(default="speech", description="what this configuration is for")
    data: DataConfig = DataConfig.load()
    features: FeaturesConfig = FeaturesConfig.load()
    augment: AugmentConfig = AugmentConfig.load()
    model: ModelConfig = ModelConfig(
        hidden_size=128,
        num_layers=3,
        dropout_hidden=0.4,
        dropout_output=0.4,
        init="orthogonal",
        forget_bias=1.0,
    )
    train: SpeechTrainConfig = SpeechTrainConfig(
        epochs=120,
        batch_size=8,
        lr=3e-3,
        weight_decay=0.01,
        schedule="cosine",
        warmup=0.15,
        clip=50.0,
        average=0.998,
    )

    @model_validator(mode="after")
    def _has_samples_to_change(self) -> Self:
        augment = self.augment
        if self.features.kind == "ready" and (augment.speed or augment.noise):
            raise ValueError("augment.speed, augment.noise: change samples, and features are ready")
        if augment.noises and not augment.noise:
            raise ValueError("augment.noises: needs augment.noise, how loud they are")
        return self

    @model_validator(mode="after")
    def _streams(self) -> Self:
        if not self.model.bidirectional and self.normalise == "utterance":
            raise ValueError(
                "features.normalise utterance: a stream does not know its utterance's mean; take "
                "running, global or none"
            )
        return self

    @property
    def normalise(self) -> Literal["utterance", "running", "global", "none"]:
        """What is taken off the features."""
        if self.features.normalise == "auto":
            return "utterance" if self.model.bidirectional else "global"
        return self.features.normalise
