"""Sample paths go on beyond the horizon, each from its own past."""

import numpy as np
import pytest

from loopwise.codec.series.panel import Panel
from loopwise.runtime.forecast_paths import sample_paths
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
    longer = sample_paths(model, panel, 4, 15, None, 7)
    assert longer.shape == (4, 3, 15, 2)
    np.testing.assert_array_equal(longer[:, :, :6], sample_paths(model, panel, 4, 6, None, 7))
    np.testing.assert_array_equal(longer[:, :, :4], sample_paths(model, panel, 4, 4, None, 7))


def test_paths_stay_with_their_series_and_targets(model):
    panel = Panel.from_arrays(sized(), targets=["y0", "y1"])
    paths = sample_paths(model, panel, 5, 15, None, 0)
    size = 10.0 ** np.arange(3)[:, None, None] * 10.0 ** (3 * np.arange(2))
    assert (paths / size > 2).all()
    assert (paths / size < 12).all()


def test_beyond_the_horizon_a_forecast_begins_as_within_it(model):
    panel = waves(targets=2)
    longer, within = model.forecast(panel, 15), model.forecast(panel)
    for found, known in (
        (longer.point(), within.point()),
        (longer.point("mean"), within.point("mean")),
        (longer.quantiles([0.1, 0.9]), within.quantiles([0.1, 0.9])),
    ):
        assert found.shape[:3] == (3, 15, 2)
        np.testing.assert_allclose(found[:, :6], known, rtol=1e-6)


def test_beyond_the_horizon_forecasts_are_those_of_many_paths(model):
    panel = waves(targets=2)
    found = model.forecast(panel, 15)
    paths = sample_paths(model, panel, 2000, 15, None, 3)[:, :, 6:]
    low, middle, high = np.quantile(paths, [0.1, 0.5, 0.9], axis=0)
    width = high - low
    quantiles = np.moveaxis(found.quantiles([0.1, 0.9])[:, 6:], -1, 0)
    assert np.abs((found.point()[:, 6:] - middle) / width).max() < 0.2
    assert np.abs((quantiles - [low, high]) / width).max() < 0.2


def test_beyond_the_horizon_no_series_depends_on_the_others(model):
    panel = Panel.from_arrays(sized(), ids=["a", "b", "c"], targets=["y0", "y1"])
    whole = model.forecast(panel, 15).quantiles([0.1, 0.5])
    for chosen in ([2, 0, 1], [1]):
        found = model.forecast(panel.select(chosen), 15).quantiles([0.1, 0.5])
        np.testing.assert_allclose(found, whole[chosen], rtol=1e-5)
    many = Panel.from_arrays(sized() * 20, ids=range(60), targets=["y0", "y1"])
    found = model.forecast(many, 15).quantiles([0.1, 0.5])  # more than go at once
    np.testing.assert_allclose(found, np.tile(whole, (20, 1, 1, 1)), rtol=1e-5)
