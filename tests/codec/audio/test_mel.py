import math

import numpy as np
import pytest

from loopwise.codec.audio.mel import cosines, filterbank, hertz, mel
from loopwise.errors import ConfigError


def test_the_scale():
    assert mel(700.0) == pytest.approx(2595 * math.log10(2))
    np.testing.assert_allclose(hertz(mel(np.array([0.0, 130, 6800]))), [0, 130, 6800], atol=1e-9)


def test_each_filter_is_a_triangle():
    found = filterbank(6, 16_000, 512, 100.0, 7000.0)
    step = (mel(7000.0) - mel(100.0)) / 7
    for b in range(6):
        below, middle, above = (float(hertz(mel(100.0) + (b + n) * step)) for n in range(3))
        for k in range(257):
            f = k * 16_000 / 512
            if below < f <= middle:
                wanted = (f - below) / (middle - below)
            elif middle < f < above:
                wanted = (above - f) / (above - middle)
            else:
                wanted = 0
            assert found[k, b] == pytest.approx(wanted, abs=1e-12)


def test_filters_narrower_than_the_transform_can_tell():
    with pytest.raises(ConfigError, match=r"bins=100.*62.5 Hz.*fewer bins"):
        filterbank(100, 8000, 128, 0.0, 4000.0)


def test_cosines_are_the_orthonormal_transform():
    whole = cosines(8, 8)
    np.testing.assert_allclose(whole.T @ whole, np.eye(8), atol=1e-12)
    assert whole[2, 3] == pytest.approx(math.sqrt(2 / 8) * math.cos(math.pi / 8 * 2.5 * 3))
    assert whole[5, 0] == pytest.approx(math.sqrt(1 / 8))
    np.testing.assert_array_equal(cosines(8, 3), whole[:, :3])
