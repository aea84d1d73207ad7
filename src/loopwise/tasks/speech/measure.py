"""What a recognizer makes of utterances, how fast, and how long after they were said. No torch."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import TypeAlias, Unpack

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.audio.deltas import Frames
from loopwise.codec.audio.options import FeatureOptions
from loopwise.codec.dropped import Invalid
from loopwise.codec.recognition import Recognition
from loopwise.codec.speech.utterances import Flaw, Utterance, Utterances, select_utterances
from loopwise.errors import DataError
from loopwise.runtime.decoding import DecodingOptions
from loopwise.runtime.recognition_stream import RecognitionStream
from loopwise.runtime.recognizer import LoadedRecognizer
from loopwise.tasks.speech.recordings import frames_in, read_sound

PIECE = 0.1
"""Seconds of sound that a stream is given at a time."""

Sound: TypeAlias = NDArray[np.float32]
"""Samples [N], or ready base frames [T, B]."""


@dataclass(frozen=True)
class Latency:
    """How far a stream is behind, in seconds.

    Attributes:
        mean: from the end of a word to when it stood in the partial result and stayed there, in
            sound that had come, which is looked at every `PIECE`; over all words.
        ninety: what 90 % of the words do not exceed.
        final: from the last piece of an utterance to its final text, in time of computing; the
            mean.
        algorithmic: from a sound to the output that is about it, at worst, however fast the
            machine is.
    """

    mean: float
    ninety: float
    final: float
    algorithmic: float


@dataclass(frozen=True)
class Heard:
    """What was made of utterances.

    Attributes:
        utterances: those that could be read.
        texts: of each, what was recognised.
        audio_seconds: of all of them.
        seconds: that it took, from samples, or ready frames, to text; files are read before.
        latency: of a stream; None where utterances were read as a whole.
    """

    utterances: Utterances
    texts: list[str]
    audio_seconds: float
    seconds: float
    latency: Latency | None = None

    @property
    def real_time_factor(self) -> float:
        """Seconds for a second of sound."""
        return self.seconds / self.audio_seconds


def hear(
    model: LoadedRecognizer,
    utterances: Utterances,
    *,
    invalid: Invalid = "error",
    batch: int = 16,
    **options: Unpack[DecodingOptions],
) -> Heard:
    """Transcribe whole utterances, so many side by side.

    Raises:
        ConfigError: an option of the search that is not allowed.
        DataError: an utterance cannot be read and `invalid` does not skip it, or none is left.
    """
    texts: list[str] = []
    held: list[Sound] = []
    clock = _Clock(model)

    def work() -> None:
        begin = perf_counter()
        frames = [_frames(model, sound) for sound in held]
        texts.extend(each.text for each in model.recognised(frames, **options))
        clock.seconds += perf_counter() - begin
        held.clear()

    def take(sound: Sound) -> None:
        clock.hear(sound)
        held.append(sound)
        if len(held) == batch:
            work()

    kept = _read(model, utterances, invalid, take)
    if held:
        work()
    return Heard(kept, texts, clock.audio_seconds, clock.seconds)


def listen(
    model: LoadedRecognizer,
    utterances: Utterances,
    *,
    invalid: Invalid = "error",
    **options: Unpack[DecodingOptions],
) -> Heard:
    """Transcribe utterances as a stream would hear them; after each piece a partial result is made.

    Raises:
        ConfigError: as `LoadedRecognizer.stream`.
        DataError: as `hear`.
    """
    stream = model.stream(**options)
    texts: list[str] = []
    lags: list[float] = []
    finals: list[float] = []
    clock = _Clock(model)

    def take(sound: Sound) -> None:
        clock.hear(sound)
        begin = perf_counter()
        words = _Stable()
        for piece, heard in _pieces(model, sound):
            _push(stream, piece)
            words.see(stream.partial(), heard)
        last = perf_counter()
        found = stream.finish()
        now = perf_counter()
        clock.seconds += now - begin
        finals.append(now - last)
        texts.append(found.text)
        lags.extend(words.lags(found, clock.length(sound)))

    kept = _read(model, utterances, invalid, take)
    latency = Latency(
        mean=float(np.mean(lags)) if lags else 0.0,
        ninety=float(np.quantile(lags, 0.9)) if lags else 0.0,
        final=float(np.mean(finals)),
        algorithmic=_algorithmic(model),
    )
    return Heard(kept, texts, clock.audio_seconds, clock.seconds, latency)


class _Clock:
    """Seconds of sound and of work."""

    def __init__(self, model: LoadedRecognizer):
        options = model.codec.features.options
        self._step = options.hop if options.ready else 1 / options.rate
        self.audio_seconds = self.seconds = 0.0

    def length(self, sound: Sound) -> float:
        return len(sound) * self._step

    def hear(self, sound: Sound) -> None:
        self.audio_seconds += self.length(sound)


@dataclass
class _Stable:
    """Since when each word of the partial results has been what it is."""

    words: list[tuple[str, float]] = field(default_factory=list[tuple[str, float]])

    def see(self, partial: Recognition, heard: float) -> None:
        for i, word in enumerate(partial.words):
            if i >= len(self.words):
                self.words.append((word.text, heard))
            elif self.words[i][0] != word.text:
                self.words[i] = (word.text, heard)
        del self.words[len(partial.words) :]

    def lags(self, final: Recognition, length: float) -> list[float]:
        self.see(final, length)
        return [since - word.end for word, (_, since) in zip(final.words, self.words, strict=True)]


def _read(
    model: LoadedRecognizer,
    utterances: Utterances,
    invalid: Invalid,
    take: Callable[[Sound], None],
) -> Utterances:
    """Hand on the sound of each utterance, and return those that have one."""

    def raw() -> Iterator[Utterance | Flaw]:
        for utterance in utterances:
            sound = _sound(utterance, model.codec.features.options)
            if isinstance(sound, Flaw):
                yield sound
            else:
                take(sound)
                yield utterance

    return select_utterances(
        raw(), invalid=invalid, name=utterances.name, dropped=utterances.dropped
    )


def _sound(utterance: Utterance, options: FeatureOptions) -> Sound | Flaw:
    where = utterance.where or str(utterance.audio)
    try:
        sound = read_sound(utterance, options)
    except DataError as error:
        return Flaw(where, "audio", str(error))
    if not frames_in(sound, options):
        return Flaw(where, "audio", f"{utterance.audio}: too short for one frame")
    return sound


def _frames(model: LoadedRecognizer, sound: Sound) -> Frames:
    features = model.codec.features
    base = sound if features.options.ready else features.base(sound)
    return features.finish_frames(base)


def _pieces(model: LoadedRecognizer, sound: Sound) -> Sequence[tuple[Sound, float]]:
    """Pieces of a sound, and the seconds that have come with each."""
    options = model.codec.features.options
    step = options.hop if options.ready else 1 / options.rate
    size = max(round(PIECE / step), 1)
    return [
        (sound[i : i + size], min(i + size, len(sound)) * step) for i in range(0, len(sound), size)
    ]


def _push(stream: RecognitionStream, piece: Sound) -> None:
    if piece.ndim == 2:
        stream.accept_frames(piece)
    else:
        stream.accept_waveform(piece)


def _algorithmic(model: LoadedRecognizer) -> float:
    """A sound at the beginning of a step waits for the last frame that the step's output needs."""
    description, options = model.description, model.codec.features.options
    frames = description.stride * (1 + description.lookahead) + options.lag
    return frames * options.hop + options.window - options.hop
