"""Trained recognizers as their users hold them: transcribe, and listen to streams."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias, Unpack, cast, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from loopwise.codec.audio.deltas import Frames
from loopwise.codec.audio.feature_files import SUFFIXES, read_features
from loopwise.codec.audio.files import read_audio
from loopwise.codec.audio.resampling import resample
from loopwise.codec.audio.samples import as_samples, require_rate
from loopwise.codec.recognition import Recognition
from loopwise.codec.search.ctc.beam import CtcSearch
from loopwise.codec.search.ctc.greedy import GreedySearch
from loopwise.codec.search.ctc.options import CtcOptions
from loopwise.codec.search.spoken import Spoken, recognition
from loopwise.codec.search.transducer.beam import TransducerSearch
from loopwise.codec.search.transducer.greedy import GreedyTransducer
from loopwise.codec.search.transducer.options import TransducerOptions
from loopwise.codec.speech.codec import SpeechCodec
from loopwise.errors import BundleError, ConfigError, DataError
from loopwise.runtime.acoustic_model import AcousticModel
from loopwise.runtime.bundle import Bundle, write_bundle
from loopwise.runtime.decoding import Decoding, DecodingOptions, Method, make_grammar
from loopwise.runtime.description import RecognizerDescription, parse_as
from loopwise.runtime.recognition_stream import EndpointRules, RecognitionStream, Search

Audio: TypeAlias = str | os.PathLike[str] | NDArray[Any]
"""A file of sound (or of ready features), or samples [N] or [N, channels]."""

BATCH = 16
"""Recordings that are read side by side."""


class LoadedRecognizer:
    """A trained recognizer of speech. It holds no state: every call and stream has its own.

    Args:
        bundle: of the task ``"recognizer"``.

    Raises:
        BundleError: a model of another kind, or one that its codec does not fit.
    """

    def __init__(self, bundle: Bundle):
        self.bundle = bundle
        self.description = parse_as(RecognizerDescription, bundle.model)
        try:
            self.codec = SpeechCodec.from_json(bundle.codec)
        except DataError as error:
            raise BundleError(str(error)) from error
        _require_fit(self.description, self.codec)
        self._model = AcousticModel(self.description, bundle.tensors, bundle.dtype)

    @property
    def info(self) -> dict[str, Any]:
        """What the training left in the bundle about itself."""
        return self.bundle.info

    @property
    def step(self) -> float:
        """Seconds from one step of the network to the next."""
        return self.codec.features.options.hop * self.description.stride

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the bundle to a file; raises BundleError if that cannot be done."""
        write_bundle(path, self.bundle)

    @overload
    def transcribe(  # pyright: ignore[reportOverlappingOverload]
        self,
        audio: Audio,
        rate: float | None = None,
        **options: Unpack[DecodingOptions],
    ) -> str: ...
    @overload
    def transcribe(
        self,
        audio: Sequence[Audio],
        rate: float | None = None,
        **options: Unpack[DecodingOptions],
    ) -> list[str]: ...
    def transcribe(
        self,
        audio: Audio | Sequence[Audio],
        rate: float | None = None,
        **options: Unpack[DecodingOptions],
    ) -> str | list[str]:
        """What is said in each recording.

        Args:
            audio: one recording or several: files, or samples [N] or [N, channels]; floats are
                taken to be in [-1, 1], integers in all of their range.
            rate: of samples, Hz; None for the model's.
            options: how it is sought, with the values of `loopwise.runtime.decoding.Decoding`.

        Raises:
            ConfigError: an option that is not allowed.
            DataError: a recording that cannot be read.
        """
        found = self.recognitions(audio, rate, **options)
        texts = [each.text for each in found]
        return texts[0] if _is_one(audio) else texts

    def recognitions(
        self,
        audio: Audio | Sequence[Audio],
        rate: float | None = None,
        **options: Unpack[DecodingOptions],
    ) -> list[Recognition]:
        """`transcribe` with the times and confidences of words, of one recording or several."""
        several = cast(Sequence[Audio], [audio] if _is_one(audio) else audio)
        if not isinstance(several, Sequence):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise DataError(
                f"audio: {several!r}; wanted is a file, an array of samples, or a list of such"
            )
        return self.recognised([self.frames(each, rate) for each in several], **options)

    def stream(
        self, rules: EndpointRules | None = None, **options: Unpack[DecodingOptions]
    ) -> RecognitionStream:
        """Listen to sound while it comes.

        Args:
            rules: when an utterance counts as over; None for the defaults.
            options: how it is sought, as in `transcribe`.

        Raises:
            ConfigError: an option that is not allowed, or a model that must know the whole
                utterance: its layers read both ways, or its features are normalised by it.
        """
        if self.description.bidirectional:
            raise ConfigError(
                "this model reads utterances both ways, so it cannot listen while they come: train "
                "one with bidirectional=false"
            )
        if not isinstance(rules, EndpointRules | None):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"rules={rules!r}: must be EndpointRules, or None for the defaults")
        search, read = self._search(Decoding(**options))
        return RecognitionStream(
            self.codec.features.stream(),
            self._model.stream(),
            search,
            read,
            self.recognition,
            rules or EndpointRules(),
            self.step,
        )

    def recognised(
        self, frames: Sequence[Frames], **options: Unpack[DecodingOptions]
    ) -> list[Recognition]:
        """What is said in recordings whose frames [T, F] are known."""
        search, read = self._search(Decoding(**options))
        found: list[Recognition] = []
        for each, steps in zip(frames, self._read(frames, read), strict=True):
            search.push(steps)
            duration = len(each) * self.codec.features.options.hop
            found.append(self.recognition(search.finish()[0], duration))
        return found

    def _search(self, options: Decoding) -> tuple[Search, Callable[[Any], Any]]:
        """What seeks, and what it is to be given of what the layers see."""
        d, greedy = self.description, options.beam_size == 1
        method = options.method
        if method == "auto":
            method = "ctc" if d.ctc else "transducer"
        if not (d.ctc if method == "ctc" else d.transducer):
            raise ConfigError(f"method={method!r}: this model was trained without it")
        if method == "ctc":
            if greedy:
                return GreedySearch(self.codec.units.size), self._model.log_probs
            wanted = CtcOptions(beam_size=options.beam_size)
            return CtcSearch(make_grammar(self.codec, options), wanted), self._model.log_probs
        predictor = self._model.predictor()
        if greedy:
            return GreedyTransducer(predictor), self._model.joint_frames
        several = TransducerOptions(beam_size=options.beam_size)
        grammar = make_grammar(self.codec, options)
        return TransducerSearch(predictor, grammar, several), self._model.joint_frames

    def recognition(self, spoken: Spoken, duration: float) -> Recognition:
        """What a search found, with times in seconds."""
        return recognition(spoken, self.codec.units, self.step, duration=duration)

    def units(self, frames: Sequence[Frames], method: Method = "auto") -> list[list[int]]:
        """The likeliest units of recordings whose frames [T, F] are known, taken greedily."""
        search, read = self._search(Decoding(beam_size=1, method=method))
        found: list[list[int]] = []
        for steps in self._read(frames, read):
            search.push(steps)
            found.append(list(search.finish()[0].ids))
        return found

    def log_probs(self, frames: Sequence[Frames]) -> list[NDArray[np.float32]]:
        """CTC's log-probabilities [K, V] of the steps of each recording, frames [T, F].

        Raises:
            ConfigError: the model is a transducer alone.
        """
        if not self.description.ctc:
            raise ConfigError("log_probs: this model is a transducer alone")
        return self._read(frames, self._model.log_probs)

    def outputs(self, frames: Sequence[Frames]) -> list[NDArray[np.float32]]:
        """Log-probabilities [K, V] of each step: CTC's; of a transducer alone, those with which it
        would begin its text there.
        """
        if self.description.ctc:
            return self.log_probs(frames)
        predictor = self._model.predictor()
        start, size = [predictor.start()], predictor.size
        return [
            np.array([predictor.join(step, start)[0] for step in steps]).reshape(-1, size)
            for steps in self._read(frames, self._model.joint_frames)
        ]

    def _read(self, frames: Sequence[Frames], read: Callable[[Any], Any]) -> list[NDArray[Any]]:
        """What `read` makes of what the layers see of recordings, side by side where alike."""
        order = sorted(range(len(frames)), key=lambda i: len(frames[i]))
        found: list[Any] = [None] * len(frames)
        for begin in range(0, len(order), BATCH):
            rows = order[begin : begin + BATCH]
            seen, lengths = self._model.see([frames[i] for i in rows])
            for column, row in enumerate(rows):
                found[row] = read(seen[: lengths[column], column])
        return found

    def frames(self, audio: Audio, rate: float | None = None) -> Frames:
        """The frames [T, F] of a recording, as the network reads them.

        Raises:
            ConfigError: a rate that is not allowed, or samples where features are ready.
            DataError: it cannot be read, or is too short for one frame.
        """
        features, name = self.codec.features, "audio"
        if isinstance(audio, str | os.PathLike):
            name = os.fspath(audio)
            if features.options.ready or Path(name).suffix.lower() in SUFFIXES:
                base = read_features(audio, features.options.base_size)
                return features.finish_frames(base)
            samples, rate = read_audio(audio)
        else:
            features.options.require_samples()
            samples = as_samples(cast(ArrayLike, audio))
        given = features.options.rate if rate is None else rate
        require_rate(given)
        frames = features.features(resample(samples, given, features.options.rate))
        if not len(frames):
            raise DataError(f"{name}: {len(samples)} samples are too short for one frame")
        return frames


def _require_fit(description: RecognizerDescription, codec: SpeechCodec) -> None:
    for what, ours, theirs in (
        ("features", description.input_size, codec.features.size),
        ("units", description.units, codec.units.size),
    ):
        if ours != theirs:
            raise BundleError(f"the network has {ours} {what}, its codec {theirs}")


def _is_one(audio: Any) -> bool:
    return isinstance(audio, str | os.PathLike | np.ndarray)
