"""What the tests of audio listen to."""

import os
from pathlib import Path

import numpy as np
import pytest

DATA = os.environ.get("LOOPWISE_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="LOOPWISE_DATA is not set")


def data(*names):
    return Path(DATA, *names)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, shape).astype(np.float32)


def tone(hertz, rate=16_000, seconds=0.5):
    time = np.arange(round(rate * seconds)) / rate
    return (0.5 * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def pieces(array, cuts):
    """The array in pieces that end at the cuts, some of which may be empty."""
    ends = sorted(min(cut, len(array)) for cut in cuts)
    return [array[a:b] for a, b in zip([0, *ends], [*ends, len(array)], strict=True)]
