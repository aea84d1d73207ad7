"""Sample paths go on beyond the horizon, each from its own past."""

import numpy as np
import pytest

from loopwise.codec.series.panel import Panel
from runtime.forecasters import forecaster, waves


@pytest.fixture(scope="module", params=["independent", "mixed"])
def model(request, tmp_path_factory):
    setting = f"model.channels={request.param}"
    return forecaster(tmp_path_factory.mktemp("two"), waves(targets=2), setting)


def sized(targets=2):
    """Series and targets that are told apart by their sizes alone."""
    values = 5 + np.sin(2 * np.pi * np.arange(90) / 6)[:, None]
    return [10.0**i * values * 10.0 ** (3 * np.arange(targets)) for i in range(3)]


def test_a_longer_path_begins_as_a_shorter_one(model):
    panel = waves(targets=2)
    longer = model.paths(panel, 4, 15, None, 7)
    assert longer.shape == (4, 3, 15, 2)
    np.testing.assert_array_equal(longer[:, :, :6], model.paths(panel, 4, 6, None, 7))
    np.testing.assert_array_equal(longer[:, :, :4], model.paths(panel, 4, 4, None, 7))


def test_paths_stay_with_their_series_and_targets(model):
    panel = Panel.from_arrays(sized(), targets=["y0", "y1"])
    paths = model.paths(panel, 5, 15, None, 0)
    size = 10.0 ** np.arange(3)[:, None, None] * 10.0 ** (3 * np.arange(2))
    assert (paths / size > 2).all()
    assert (paths / size < 12).all()
