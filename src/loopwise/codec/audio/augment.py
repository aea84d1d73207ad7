"""Recordings and frames altered at random, so that a network hears none of them twice.

All functions are pure: the same generator gives the same result.
"""

from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from loopwise.codec.audio.deltas import Frames
from loopwise.codec.audio.mel import Floats, cosines
from loopwise.codec.audio.resampling import resample
from loopwise.codec.audio.samples import Samples
from loopwise.codec.numbers import is_number
from loopwise.errors import ConfigError


def change_speed(samples: Samples, rate: int, factor: float) -> Samples:
    """The samples [N / factor] of a recording played `factor` times as fast, pitch included.

    Ko et al. (2015), Audio augmentation for speech recognition; usual factors are 0.9 to 1.1.

    Args:
        samples: [N].
        rate: of them, Hz.
        factor: above 0.

    Raises:
        ConfigError: `factor` is not above 0.
    """
    _check_factor(factor)
    return resample(samples, rate * factor, rate)


def add_noise(
    samples: Samples, snr: float, generator: Generator, noise: Samples | None = None
) -> Samples:
    """Samples [N] with noise.

    Args:
        samples: [N].
        snr: signal-to-noise ratio of their mean powers, dB.
        generator: draws the noise, or which part of it is taken.
        noise: [M] at the same rate, M at least 1, repeated where it is too short; None for white
            noise.
    """
    if noise is None:
        drawn = generator.standard_normal(len(samples), np.float32)
    else:
        begin = int(generator.integers(len(noise)))
        drawn = np.take(noise, np.arange(begin, begin + len(samples)), mode="wrap")
    signal, power = (float(np.square(x, dtype=np.float64).sum()) for x in (samples, drawn))
    if not power:
        return samples
    gain = np.sqrt(signal / power * 10.0 ** (-snr / 10.0))
    return (samples + gain * drawn).astype(np.float32)


def stretch_time(frames: Frames, factor: float) -> Frames:
    """Frames [T, B] as [T * factor, B], rounded and at least one, by linear interpolation.

    Raises:
        ConfigError: `factor` is not above 0.
    """
    _check_factor(factor)
    count = max(round(len(frames) * factor), min(len(frames), 1))
    places = (np.arange(count, dtype=np.float64) + 0.5) * (len(frames) / max(count, 1)) - 0.5
    return _between(frames, places).astype(np.float32)


def warp_frequency(logmel: Frames, factor: float) -> Frames:
    """Log-mel frames [T, B] of a voice whose resonances lie `factor` times as high.

    What was at filter b comes to ``factor * b``, filters counted from the middle of the one below
    the first; beyond the ends, the outermost are repeated. A vocal tract of another length (Jaitly
    and Hinton, 2013), on the mel scale.

    Raises:
        ConfigError: `factor` is not above 0.
    """
    return (logmel @ _warp(logmel.shape[1], factor).T).astype(np.float32)


def warp_cepstra(cepstra: Frames, factor: float, bins: int) -> Frames:
    """As `warp_frequency`, of MFCC [T, C] of so many filters, through the inverse transform."""
    transform = cosines(bins, cepstra.shape[1])
    return (cepstra @ (transform.T @ _warp(bins, factor).T @ transform)).astype(np.float32)


def mask_time(frames: Frames, count: int, longest: int, generator: Generator) -> Frames:
    """Frames [T, B] with stretches of time made their mean (SpecAugment, Park et al., 2019).

    Args:
        frames: [T, B].
        count: of stretches, which may overlap.
        longest: frames of each are drawn uniformly from 0 to this, and to T at most.
        generator: draws lengths and places.
    """
    masked, mean = frames.copy(), _mean(frames)
    for part in _stretches(len(frames), count, longest, generator):
        masked[part] = mean
    return masked


def mask_frequency(logmel: Frames, count: int, widest: int, generator: Generator) -> Frames:
    """Log-mel frames [T, B] with bands of filters made their mean over time; as `mask_time`."""
    masked, mean = logmel.copy(), _mean(logmel)
    for band in _stretches(logmel.shape[1], count, widest, generator):
        masked[:, band] = mean[band]
    return masked


def mask_cepstra(
    cepstra: Frames, count: int, widest: int, bins: int, generator: Generator
) -> Frames:
    """As `mask_frequency`, of MFCC [T, C] of so many filters, through the inverse transform."""
    transform = cosines(bins, cepstra.shape[1])
    logmel = (cepstra @ transform.T).astype(np.float32)
    change = mask_frequency(logmel, count, widest, generator) - logmel
    return (cepstra + change @ transform).astype(np.float32)


def _mean(frames: Frames) -> Frames:
    """Over time, [B]; 0 where there is none."""
    return frames.mean(0) if len(frames) else np.zeros(frames.shape[1], np.float32)


def _stretches(size: int, count: int, longest: int, generator: Generator) -> list[slice]:
    found: list[slice] = []
    for _ in range(count):
        length = min(int(generator.integers(longest + 1)), size)
        begin = int(generator.integers(size - length + 1))
        found.append(slice(begin, begin + length))
    return found


def _warp(bins: int, factor: float) -> Floats:
    """The matrix [bins, bins] that takes each filter from ``1 / factor`` of its place."""
    _check_factor(factor)
    return _between(np.eye(bins), (np.arange(bins, dtype=np.float64) + 1.0) / factor - 1.0)


def _between(rows: NDArray[Any], places: Floats) -> Floats:
    """What linear interpolation finds at n places between rows [m, K], as [n, K]."""
    if not len(rows):
        return np.zeros(rows.shape)
    last = len(rows) - 1
    inside = np.clip(places, 0, last)
    below = inside.astype(np.int64)
    share = (inside - below)[:, None]
    return (1.0 - share) * rows[below] + share * rows[np.minimum(below + 1, last)]


def _check_factor(factor: float) -> None:
    if not (is_number(factor) and factor > 0):
        raise ConfigError(f"factor={factor!r}: must be finite and above 0")
