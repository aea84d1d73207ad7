"""What stands between recordings and a network that hears them, kept in its bundle."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

import numpy as np

from loopwise.codec.audio.analysis import Analysis
from loopwise.codec.audio.deltas import DeltaStream, Frames
from loopwise.codec.audio.mel import Floats
from loopwise.codec.audio.options import FeatureOptions
from loopwise.codec.audio.samples import Samples
from loopwise.codec.audio.stream import FeatureStream, Normaliser, check_frames
from loopwise.codec.numbers import is_number
from loopwise.errors import ConfigError, DataError

FORMAT = 1


@dataclass(frozen=True)
class FeatureCodec:
    """From samples to base frames [T, B], and from these to the frames [T, F] of a network.

    Base frames are log-mel energies or cepstra. Their slopes and the normalisation come after them,
    so that training can alter base frames in between.

    Attributes:
        options: how features are computed.
        mean: of each feature over the training data, [F]; empty for 0.
        deviation: of each feature over the training data, about the mean that the options take from
            it, [F]; empty for 1.

    Raises:
        ConfigError: a mean or deviation has another number of features, or is not finite; or a
            deviation is not above 0.
    """

    options: FeatureOptions
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()

    def __post_init__(self):
        for name in ("mean", "deviation"):
            values = getattr(self, name)
            if len(values) not in (0, self.size) or not all(map(is_number, values)):
                raise ConfigError(f"{name}: must be {self.size} finite numbers, or empty")
        if any(value <= 0 for value in self.deviation):
            raise ConfigError("deviation: must be above 0")
        if not self.options.ready:
            Analysis(self.options)  # says what is wrong with the filters

    @property
    def size(self) -> int:
        """Features of a frame, F."""
        return self.options.size

    def features(self, samples: Samples) -> Frames:
        """The frames [T, F] of a recording.

        Args:
            samples: [N] at the options' rate. T is the number of whole windows, from 0.

        Raises:
            ConfigError: the frames of this codec are not computed from samples.
        """
        return self.finish_frames(self.base(samples))

    def base(self, samples: Samples) -> Frames:
        """The base frames [T, B] of a recording; as `features`."""
        self.options.require_samples()
        return Analysis(self.options).push(samples)

    def finish_frames(self, base: Frames) -> Frames:
        """The frames [T, F] of base frames [T, B].

        Raises:
            ShapeError: they have another number of features.
        """
        return self._normaliser().push(self._with_deltas(base))

    def _with_deltas(self, base: Frames) -> Frames:
        check_frames(base, self.options.base_size)
        stream = DeltaStream(self.options.deltas, self.options.base_size)
        return np.concatenate([stream.push(base), stream.finish()])

    def _normaliser(self) -> Normaliser:
        return Normaliser(self.options, *self._scale())

    def _scale(self) -> tuple[Floats, Floats]:
        mean = np.array(self.mean) if self.mean else np.zeros(self.size)
        return mean, np.array(self.deviation) if self.deviation else np.ones(self.size)

    def stream(self) -> FeatureStream:
        """A stream that computes the same frames from pieces.

        Raises:
            ConfigError: frames are normalised by the mean of their utterance.
        """
        return FeatureStream(self.options, *self._scale())

    def fit(self, bases: Sequence[Frames]) -> "FeatureCodec":
        """The codec with the mean and the deviation of training data.

        Args:
            bases: base frames [T, B] of each utterance; they are gone through twice.

        Raises:
            ConfigError: there is no frame in them.
            ShapeError: some have another number of features.
        """
        mean = _average(bases, self._with_deltas)
        centred = replace(self, mean=tuple(mean.tolist()), deviation=())
        if self.options.normalise == "none":
            return centred
        square = _average(bases, lambda base: centred.finish_frames(base).astype(np.float64) ** 2)
        deviation = np.where(square > 0, np.sqrt(square), 1.0)
        return replace(centred, deviation=tuple(deviation.tolist()))

    def to_json(self) -> dict[str, Any]:
        """What `from_json` needs to rebuild this codec, as JSON values."""
        return {"format": FORMAT, "unit": "features", **asdict(self)}

    @classmethod
    def from_json(cls, described: object) -> "FeatureCodec":
        """The codec that `to_json` described.

        Args:
            described: JSON values, from a source that need not be trusted.

        Raises:
            DataError: if it cannot be one.
        """
        match described:
            case {"format": 1, "unit": "features", "options": dict(), **rest}:
                options = cast(dict[str, Any], cast(dict[str, Any], described)["options"])
            case _:
                raise DataError(f"a codec of features of format {FORMAT} is described otherwise")
        try:
            made = FeatureOptions(**options)
            return cls(made, tuple(rest["mean"]), tuple(rest["deviation"]))
        except (ConfigError, KeyError, TypeError) as error:
            raise DataError(f"a damaged codec of features: {error}") from None


def _average(bases: Sequence[Frames], of: Callable[[Frames], Any]) -> Floats:
    """Over all frames."""
    total, count = 0.0, 0
    for base in bases:
        values = of(base)
        total, count = total + values.sum(0, dtype=np.float64), count + len(values)
    if not count:
        raise ConfigError("features are fitted to frames, and there are none")
    return np.asarray(total / count)
