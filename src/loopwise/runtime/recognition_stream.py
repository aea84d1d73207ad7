"""Listening to sound while it comes: partial results, endpoints, final results."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from loopwise.codec.audio.deltas import Frames
from loopwise.codec.audio.feature_files import as_frames
from loopwise.codec.audio.resampling import Resampler
from loopwise.codec.audio.samples import as_samples, require_rate
from loopwise.codec.audio.stream import FeatureStream
from loopwise.codec.numbers import is_number
from loopwise.codec.recognition import Recognition
from loopwise.codec.search.spoken import Spoken
from loopwise.errors import ConfigError, DataError
from loopwise.runtime.acoustic_model import AcousticStream


@dataclass(frozen=True)
class EndpointRules:
    """When an utterance counts as over; seconds, each above 0.

    Attributes:
        silence_before: of silence, where nothing was said yet.
        silence_after: of silence after something was said.
        longest: of the utterance.

    Raises:
        ConfigError: a value that is not allowed.
    """

    silence_before: float = 2.4
    silence_after: float = 1.2
    longest: float = 20.0

    def __post_init__(self):
        for each in fields(self):
            value = getattr(self, each.name)
            if not (is_number(value) and value > 0):
                raise ConfigError(f"{each.name}={value!r}: must be above 0, in seconds")


class Search(Protocol):
    """Seeks texts in what the network puts out, step by step."""

    def push(self, steps: Any, /) -> None:
        """Take steps."""
        ...

    def n_best(self, count: int, /) -> list[Spoken]:
        """The likeliest texts so far."""
        ...

    def finish(self, count: int = 1, /) -> list[Spoken]:
        """The likeliest texts of what ends here; then as new."""
        ...

    def reset(self) -> None:
        """Begin anew."""
        ...


class RecognitionStream:
    """One utterance after the other, as they are spoken; made by `LoadedRecognizer.stream`.

    However the sound is cut into pieces, the result is that of the whole. An object is for one
    thread at a time; what it keeps grows with the text of the utterance alone.

    Args:
        features: of the sound.
        layers: of the network.
        search: for what is said.
        read: from what the layers see to what the search takes.
        told: from what the search finds and the seconds that were heard to text and times.
        rules: of the endpoint.
        step: seconds of a step of the network.
    """

    def __init__(
        self,
        features: FeatureStream,
        layers: AcousticStream,
        search: Search,
        read: Callable[[NDArray[Any]], NDArray[Any]],
        told: Callable[[Spoken, float], Recognition],
        rules: EndpointRules,
        step: float,
    ):
        self._features, self._layers, self._search = features, layers, search
        self._read, self._told, self._rules, self._step = read, told, rules, step
        self._resampler: Resampler | None = None
        self.reset()

    @property
    def seconds(self) -> float:
        """Of sound that the utterance has so far, as far as frames were made of it."""
        return self._frames * self._features.options.hop

    def accept_waveform(self, samples: ArrayLike, rate: float | None = None) -> None:
        """Take the next piece of sound.

        Args:
            samples: [N], or [N, channels]; floats are taken to be in [-1, 1], integers in all of
                their range.
            rate: Hz; None for that of the model. It is the same for all of an utterance.

        Raises:
            DataError: what is no sound, or a rate that changes; nothing is then taken.
            ConfigError: a rate that is not allowed, or a model that hears no samples.
        """
        own = self._features.options.rate
        given = own if rate is None else rate
        require_rate(given)
        if self._rate is not None and given != self._rate:
            raise DataError(f"rate={given:g}: the utterance began with {self._rate:g} Hz")
        piece = as_samples(samples)
        if self._resampler is None and given != own:
            self._resampler = Resampler(given, own)
        self._rate = given
        self._take(piece if self._resampler is None else self._resampler.push(piece))

    def accept_frames(self, base: ArrayLike) -> None:
        """Take the next ready frames [n, B] instead, before slopes and normalisation.

        Raises:
            DataError: they have another number of features, or a value that is not finite;
                nothing is then taken.
        """
        size = self._features.options.base_size
        self._hear(self._features.push_frames(as_frames(base, size)))

    def partial(self) -> Recognition:
        """What seems to be said so far; later sound may change it."""
        return self._told(self._search.n_best(1)[0], self.seconds)

    def is_endpoint(self) -> bool:
        """Whether the utterance seems to be over, by the rules; then `finish` gives its text."""
        rules, heard = self._rules, self._steps * self._step
        if heard >= rules.longest:
            return True
        found = self._search.n_best(1)[0]
        if not found.ids:
            return heard >= rules.silence_before
        return heard - found.ends[-1] * self._step >= rules.silence_after

    def finish(self) -> Recognition:
        """End the utterance: what was said. The stream is then as new."""
        if self._resampler is not None:
            self._take(self._resampler.finish())
        self._hear(self._features.finish())
        self._see(self._layers.finish())
        found = self._told(self._search.finish()[0], self.seconds)
        self.reset()
        return found

    def reset(self) -> None:
        """Forget all that was heard."""
        self._features.reset()
        self._layers.reset()
        self._search.reset()
        self._resampler = None
        self._rate: float | None = None
        self._frames, self._steps = 0, 0

    def _take(self, samples: NDArray[np.float32]) -> None:
        self._hear(self._features.push(samples))

    def _hear(self, frames: Frames) -> None:
        self._frames += len(frames)
        self._see(self._layers.push(frames))

    def _see(self, seen: NDArray[Any]) -> None:
        if len(seen):
            self._search.push(self._read(seen))
            self._steps += len(seen)
