"""From samples to base frames: log-mel energies or cepstra, whole and in streams."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from loopwise.codec.audio.mel import Floats, cosines, filterbank
from loopwise.codec.audio.options import FeatureOptions
from loopwise.codec.audio.samples import Samples

FLOOR = 1e-8
"""Least energy in a filter, about what rounding to 16 bits leaves in a window of 25 ms."""

_BLOCK = 1 << 16  # samples at a time, so that hours need no more memory than seconds


class Analysis:
    """A stream of samples as base frames.

    Frame t is of the samples of ``[t * hop, t * hop + window)``, so that it is complete `window`
    after it began, and the end of a recording that fills no window is not heard. With x the
    samples less their pre-emphasis, w the periodic Hann window and f the filters::

        energy_b = sum_k f_kb |FFT(w x)_k|^2      logmel_b = log max(energy_b, FLOOR)
        mfcc = the orthonormal DCT-II of logmel

    All is computed in float64, so that frames do not depend on how the samples are cut.
    """

    def __init__(self, options: FeatureOptions):
        self.options = options
        self._length = round(options.window * options.rate)
        self._hop = round(options.hop * options.rate)
        self._fft_size = 1 << (self._length - 1).bit_length()
        self._window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self._length) / self._length)
        high = options.high or options.rate / 2
        self._filters = filterbank(
            options.bins, options.rate, self._fft_size, float(options.low), float(high)
        )
        self.reset()

    def reset(self) -> None:
        """Begin anew, with the next sample as the first."""
        self._last = 0.0
        self._held: Floats = np.zeros(0)

    def push(self, samples: Samples) -> NDArray[np.float32]:
        """Take samples [N] and return the base frames [n, B] that they completed."""
        blocks = [samples[at : at + _BLOCK] for at in range(0, len(samples), _BLOCK)]
        parts = [self._frames(block) for block in blocks]
        return np.concatenate([np.zeros((0, self.options.base_size), np.float32), *parts])

    def _frames(self, samples: Samples) -> NDArray[np.float32]:
        self._held = np.concatenate([self._held, self._emphasised(samples)])
        count = max(0, (len(self._held) - self._length) // self._hop + 1)
        if not count:
            return np.zeros((0, self.options.base_size), np.float32)
        windows = sliding_window_view(self._held, self._length)[:: self._hop][:count]
        frames = self._transformed(windows)
        self._held = self._held[count * self._hop :].copy()
        return frames

    def _emphasised(self, samples: Samples) -> Floats:
        """Less a share of the sample before each; before the first there was 0."""
        before = np.concatenate([[self._last], samples[:-1]])
        self._last = float(samples[-1])
        return samples - self.options.preemphasis * before

    def _transformed(self, windows: Floats) -> NDArray[np.float32]:
        spectrum = np.fft.rfft(windows * self._window, self._fft_size)
        energy = (spectrum.real**2 + spectrum.imag**2) @ self._filters
        frames = np.log(np.maximum(energy, FLOOR))
        if self.options.kind == "mfcc":
            frames = frames @ cosines(self.options.bins, self.options.coefficients)
        return frames.astype(np.float32)
