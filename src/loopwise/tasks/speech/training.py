"""From a configuration to a finished run."""

import os
from collections.abc import Sequence
from typing import Any

from loopwise.codec.audio.features import FeatureCodec
from loopwise.codec.audio.options import FeatureOptions
from loopwise.codec.ngram.estimate import estimate
from loopwise.codec.ngram.model import NGram
from loopwise.codec.speech.codec import SpeechCodec
from loopwise.codec.speech.lexicon import Lexicon, read_lexicon
from loopwise.codec.speech.units import UnitCodec, train_units
from loopwise.codec.speech.utterances import Utterances
from loopwise.errors import ConfigError
from loopwise.tasks.speech.config import DataConfig, SpeechConfig
from loopwise.tasks.speech.data import base_frames
from loopwise.tasks.speech.recordings import Recordings, read_recordings
from loopwise.tasks.speech.task import SpeechTask
from loopwise.tasks.speech.utterances import hold_out, read_both
from loopwise.train.launch import launch
from loopwise.train.loop import FitResult
from loopwise.train.processes import World


def train(
    config: SpeechConfig,
    out: str | os.PathLike[str],
    utterances: Utterances | None = None,
    valid: Utterances | None = None,
    **options: Any,
) -> FitResult:
    """Train a recognizer and write a run.

    Args:
        config: all options.
        out: the run's directory.
        utterances: to learn from; None reads what ``config.data`` names.
        valid: to validate on; None for those of the files, or a part of `utterances`.
        options: keyword arguments of `loopwise.train.launch.launch`, which has the errors, too.
    """
    return launch(config, lambda world: make_task(config, world, utterances, valid), out, **options)


def make_task(
    config: SpeechConfig,
    world: World,
    utterances: Utterances | None = None,
    valid: Utterances | None = None,
) -> SpeechTask:
    """The task of `config`, for one process.

    Raises:
        ConfigError: features that cannot be.
        DataError: the utterances cannot be read, or are too few.
    """
    data = config.data
    drawn = not data.valid if utterances is None else valid is None
    if utterances is None:
        utterances, valid = read_both(data)
    elif valid is None:
        utterances, valid = hold_out(utterances, data.valid_fraction)
    lexicon = read_lexicon(data.lexicon).normalised(data.case) if data.lexicon else None
    texts = utterances.texts
    if drawn:  # all that have some word may have been
        texts = [*texts, *valid.texts]
    if config.augment.join > 1:
        texts = [*texts, " ".join(texts[:2])]  # with a space, if each of them is one word
    units = _units(data, data.unit, texts, lexicon)
    auxiliary = None
    if data.auxiliary != "none":
        auxiliary = _units(data, data.auxiliary, texts, lexicon)
    try:
        features = FeatureCodec(feature_options(config))
    except ConfigError as error:
        raise ConfigError(f"features.{error}") from None
    codecs = [units] if auxiliary is None else [units, auxiliary]
    learned = _read(config, utterances, features.options, codecs)
    held = _read(config, valid, features.options, codecs[:1])
    features = features.fit(base_frames(learned, features))
    codec = SpeechCodec(features, units, _language(data, units, utterances, lexicon))
    return SpeechTask(config, codec, auxiliary, learned, held, world)


def feature_options(config: SpeechConfig) -> FeatureOptions:
    """How the features of a configuration are computed."""
    given = config.features.model_dump()
    kind = given.pop("kind")
    given["normalise"] = config.normalise
    if kind == "ready":
        given |= {"kind": "mfcc", "ready": True}
    else:
        given |= {"kind": kind}
    return FeatureOptions(**given)


def _language(
    data: DataConfig, units: UnitCodec, utterances: Utterances, lexicon: Lexicon | None
) -> NGram | None:
    """The n-grams of words of what is learned from; they know the lexicon's words, too."""
    if not data.order:
        return None
    sentences = [units.normalise(text).split() for text in utterances.texts]
    return estimate(sentences, data.order, words=() if lexicon is None else lexicon.words)


def _units(data: DataConfig, unit: str, texts: Sequence[str], lexicon: Lexicon | None) -> UnitCodec:
    return train_units(
        texts,
        unit=unit,
        case=data.case,
        vocab_size=data.vocab_size if unit == data.unit else 0,
        lexicon=lexicon if unit == "phones" else None,
        preferred=data.variants if unit == "phones" else None,
    )


def _read(
    config: SpeechConfig,
    utterances: Utterances,
    options: FeatureOptions,
    codecs: Sequence[UnitCodec],
) -> Recordings:
    return read_recordings(
        utterances,
        options,
        codecs,
        stride=config.model.stride,
        ctc=config.model.transducer < 1,
        longest=config.data.max_seconds,
        invalid=config.data.invalid,
    )
