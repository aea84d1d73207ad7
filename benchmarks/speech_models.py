"""Recognizers that speech.py times, and the sound that they hear."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from speech_results import STREAM

from loopwise.codec.audio.feature_files import read_features
from loopwise.codec.audio.features import FeatureCodec
from loopwise.codec.audio.files import read_audio
from loopwise.codec.audio.resampling import resample
from loopwise.codec.speech.codec import SpeechCodec
from loopwise.codec.speech.symbols import CharUnits
from loopwise.export.bundle import to_bundle
from loopwise.export.precision import lower
from loopwise.runtime.precision import PRECISIONS
from loopwise.runtime.recognizer import LoadedRecognizer
from loopwise.tasks.speech.config import SpeechConfig
from loopwise.tasks.speech.model import RecognitionNetwork, describe
from loopwise.tasks.speech.training import feature_options

Array = np.ndarray

SIZES: dict[str, list[str]] = {"offline": [], "streaming": STREAM}
QUICK = ["model.hidden_size=8", "model.num_layers=1"]
CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ '-.,?!"


def untrained(*, quick: bool) -> dict[str, LoadedRecognizer]:
    """A recognizer of each size, with weights as a training begins with them."""
    if quick:
        return {name: _untrained([*own, *QUICK], "ABC") for name, own in SIZES.items()}
    return {name: _untrained(own, CHARACTERS) for name, own in SIZES.items()}


def _untrained(settings: Sequence[str], characters: str) -> LoadedRecognizer:
    config = SpeechConfig.load(None, settings)
    options = feature_options(config)
    features = FeatureCodec(options)
    features = features.fit([features.base(_noise(options.rate))])
    units = CharUnits(characters)
    torch.manual_seed(1)
    net = RecognitionNetwork(describe(config.model, features.size, units.size), config.model)
    return LoadedRecognizer(to_bundle("recognizer", net, SpeechCodec(features, units, None), {}))


def _noise(*shape: int) -> Array:
    return np.random.default_rng(1).normal(0, 0.1, shape).astype(np.float32)


def precisions(model: LoadedRecognizer) -> Iterator[LoadedRecognizer]:
    """The model in each precision; one that was lowered already, as it is."""
    yield model
    if model.bundle.dtype == "float32":
        for dtype in PRECISIONS[1:]:
            yield LoadedRecognizer(lower(model.bundle, dtype, None, math.inf))


def amount(model: LoadedRecognizer, seconds: float) -> int:
    """Samples, or ready frames, of so many seconds."""
    options = model.codec.features.options
    return round(seconds / options.hop if options.ready else seconds * options.rate)


def hear(model: LoadedRecognizer, seconds: float, files: Sequence[Path]) -> Array:
    """Samples [N], or ready base frames [T, B], of files again and again; of none, noise."""
    options = model.codec.features.options
    shape = (amount(model, seconds), *([options.base_size] if options.ready else []))
    if not files:
        return _noise(*shape)
    if options.ready:
        read = [read_features(path, options.base_size) for path in files]
    else:
        read = [resample(*read_audio(path), options.rate) for path in files]
    return np.resize(np.concatenate(read), shape)


def frames_of(model: LoadedRecognizer, sound: Array) -> Array:
    """What the network reads of the whole, [T, F]."""
    features = model.codec.features
    return features.finish_frames(sound) if features.options.ready else features.features(sound)


def cut(sound: Array, size: int) -> list[Array]:
    """Whole pieces of it."""
    return [sound[at : at + size] for at in range(0, len(sound) - size + 1, size)]
