"""The mel scale, its filters, and the cosine transform between log-mel energies and cepstra."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from loopwise.errors import ConfigError

Floats = NDArray[np.float64]


def mel(hertz: Floats | float) -> Floats:
    """Frequencies on the mel scale of O'Shaughnessy (1987): ``2595 log10(1 + f / 700)``."""
    return 2595.0 * np.log10(1.0 + np.asarray(hertz, np.float64) / 700.0)


def hertz(mels: Floats | float) -> Floats:
    """The inverse of `mel`."""
    return 700.0 * (10.0 ** (np.asarray(mels, np.float64) / 2595.0) - 1.0)


@lru_cache(maxsize=8)
def filterbank(bins: int, rate: int, fft_size: int, low: float, high: float) -> Floats:
    """Triangular filters, each from the middle of the one below to that of the one above.

    Their middles are equally far apart on the mel scale, where each is 1 high; their sides are
    straight over Hz.

    Args:
        bins: how many.
        rate: of the samples, Hz.
        fft_size: samples of a transform.
        low: Hz, where the first begins.
        high: Hz, where the last ends.

    Returns:
        [fft_size / 2 + 1, bins].

    Raises:
        ConfigError: a filter lies between two frequencies of the transform, so that it is 0.
    """
    edges = hertz(np.linspace(mel(low), mel(high), bins + 2))
    frequency = np.arange(fft_size // 2 + 1)[:, None] * rate / fft_size
    below, middle, above = edges[:-2], edges[1:-1], edges[2:]
    rising = (frequency - below) / (middle - below)
    falling = (above - frequency) / (above - middle)
    filters = np.maximum(np.minimum(rising, falling), 0.0)
    if not filters.any(0).all():
        raise ConfigError(
            f"bins={bins}: filters from {low:g} to {high:g} Hz would be narrower than the "
            f"{rate / fft_size:g} Hz that a window tells apart; take fewer bins or a longer window"
        )
    return _fixed(filters)


@lru_cache(maxsize=8)
def cosines(bins: int, coefficients: int) -> Floats:
    """The first coefficients of the orthonormal cosine transform (DCT-II), [bins, coefficients].

    ``logmel @ cosines`` are cepstra; ``cepstra @ cosines.T`` is log-mel again, smoothed where there
    are fewer coefficients than bins.
    """
    place = (np.arange(bins)[:, None] + 0.5) / bins
    matrix = np.sqrt(2.0 / bins) * np.cos(np.pi * place * np.arange(coefficients))
    matrix[:, 0] /= np.sqrt(2.0)
    return _fixed(matrix)


def _fixed(array: Floats) -> Floats:
    """Many callers share what is cached."""
    array.flags.writeable = False
    return array
