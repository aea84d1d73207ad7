"""Features of a recording while it is being made."""

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.audio.analysis import Analysis
from loopwise.codec.audio.deltas import DeltaStream, Frames
from loopwise.codec.audio.mel import Floats
from loopwise.codec.audio.options import FeatureOptions
from loopwise.codec.audio.running import RunningMean
from loopwise.codec.audio.samples import Samples
from loopwise.errors import ConfigError, ShapeError


class FeatureStream:
    """Frames of features from samples, or from base frames, in pieces of any length.

    What comes out, joined, is what `FeatureCodec.features` or `FeatureCodec.finish_frames` makes
    of the whole, to 1e-6 of a value; what is kept does not grow. Made by `FeatureCodec.stream`.
    """

    def __init__(self, options: FeatureOptions, mean: Floats, deviation: Floats):
        if options.normalise == "utterance":
            raise ConfigError(
                "normalise='utterance': the mean of an utterance is known only at its end; "
                "features that stream are normalised 'global', 'running' or 'none'"
            )
        self.options = options
        self._analysis = None if options.ready else Analysis(options)
        self._deltas = DeltaStream(options.deltas, options.base_size)
        self._normaliser = Normaliser(options, mean, deviation)

    def push(self, samples: Samples) -> Frames:
        """Take samples [N] at the options' rate and return the frames [n, F] that became certain.

        Raises:
            ConfigError: the frames of this codec are not computed from samples.
        """
        self.options.require_samples()
        assert self._analysis is not None
        return self.push_frames(self._analysis.push(samples))

    def push_frames(self, base: Frames) -> Frames:
        """Take base frames [n, B] and return the frames [m, F] that became certain."""
        check_frames(base, self.options.base_size)
        return self._normaliser.push(self._deltas.push(base))

    def finish(self) -> Frames:
        """The frames [n, F] that waited for what comes next; the stream is then as new."""
        rest = self._normaliser.push(self._deltas.finish())
        self.reset()
        return rest

    def reset(self) -> None:
        """Forget all that was heard."""
        if self._analysis is not None:
            self._analysis.reset()
        self._deltas.reset()
        self._normaliser.reset()


class Normaliser:
    """Frames less a mean, over a deviation; see `FeatureOptions.normalise`."""

    def __init__(self, options: FeatureOptions, mean: Floats, deviation: Floats):
        self._kind, self._mean, self._deviation = options.normalise, mean, deviation
        self._running = None
        if options.normalise == "running":
            prior, memory = options.prior / options.hop, options.memory / options.hop
            self._running = RunningMean(mean, prior, memory)

    def reset(self) -> None:
        """Begin anew."""
        if self._running is not None:
            self._running.reset()

    def push(self, frames: Frames) -> Frames:
        """The next frames [n, F], normalised; for ``"utterance"`` they must be all of it."""
        if self._kind == "none" or not len(frames):
            return frames
        return ((frames - self._means(frames)) / self._deviation).astype(np.float32)

    def _means(self, frames: Frames) -> Floats:
        if self._kind == "utterance":
            return frames.mean(0, dtype=np.float64)
        return self._mean if self._running is None else self._running.push(frames)


def check_frames(frames: NDArray[np.float32], size: int) -> None:
    """Raise ShapeError unless these are frames [n, size]."""
    if frames.ndim != 2 or frames.shape[1] != size:
        raise ShapeError(f"frames {list(frames.shape)}: must be [T, {size}]")
