"""From one sampling rate to another, whole recordings and streams alike, through soxr."""

from typing import TYPE_CHECKING

import numpy as np

from loopwise.codec.audio.samples import Samples
from loopwise.codec.numbers import is_number
from loopwise.errors import ConfigError, missing_extra

if TYPE_CHECKING:
    import soxr


def resample(samples: Samples, rate: float, to: float) -> Samples:
    """Samples [N] taken `rate` times a second as [N * to / rate] taken `to` times, rounded.

    Raises:
        ConfigError, MissingExtraError: as `Resampler`.
    """
    stream = Resampler(rate, to)
    return np.concatenate([stream.push(samples), stream.finish()])


class Resampler:
    """A stream of samples at another rate.

    What `push` and `finish` return, joined, is the same to the last bit however the samples are
    cut; some milliseconds stay inside until `finish`. High quality of soxr: a linear phase, and
    what the lower rate cannot hold is 100 dB down.

    Args:
        rate: of what comes, Hz.
        to: of what goes, Hz.

    Raises:
        ConfigError: one is not above 0 and finite.
        MissingExtraError: soxr is not installed.
    """

    def __init__(self, rate: float, to: float):
        for name, value in (("rate", rate), ("to", to)):
            if not (is_number(value) and value > 0):
                raise ConfigError(f"{name}={value!r}: must be finite and above 0, in Hz")
        self._stream = None if rate == to else _stream(rate, to)

    def push(self, samples: Samples) -> Samples:
        """Take samples [N] and return those [M] that became certain."""
        if self._stream is None:
            return samples
        return self._stream.resample_chunk(np.ascontiguousarray(samples, np.float32))

    def finish(self) -> Samples:
        """The samples [M] that were held back; the resampler is then as new."""
        rest = np.zeros(0, np.float32)
        if self._stream is not None:
            rest = self._stream.resample_chunk(rest, last=True)
            self._stream.clear()
        return rest

    def reset(self) -> None:
        """Forget all samples."""
        if self._stream is not None:
            self._stream.clear()


def _stream(rate: float, to: float) -> "soxr.ResampleStream":
    try:
        import soxr
    except ModuleNotFoundError as error:
        raise missing_extra(error, "Resampling audio") from error
    return soxr.ResampleStream(rate, to, 1, dtype="float32", quality="HQ")
