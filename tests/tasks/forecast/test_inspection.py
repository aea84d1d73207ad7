"""A forecaster seen from inside: what it looks at, and what its forecast is due to."""

import numpy as np
import pytest

from loopwise.diagnose.heatmaps import figures
from loopwise.diagnose.strip import lines
from loopwise.errors import DataError
from loopwise.runtime.lags import candidates_of
from loopwise.tasks.forecast.config import ForecastConfig
from loopwise.tasks.forecast.inspection import inspect_series
from runtime.forecasters import SMALL, forecaster, waves

SETTINGS = ("model.window=24", "model.patch=6")


def inspected(tmp_path, *settings, name=None, **given):
    panel = waves(**given)
    model = forecaster(tmp_path, panel, *SETTINGS, *settings)
    config = ForecastConfig.load(None, [*SMALL, *SETTINGS, *settings])
    return model, panel, inspect_series(config, model, panel, name, "waves")


def test_shares_of_the_mixture_sum_to_one(tmp_path):
    model, panel, found = inspected(tmp_path, name="s1")
    assert found.mixture.names == tuple(candidates_of(model.description))
    assert found.mixture.names[0] == "1 × 6 back"
    assert found.mixture.names[-1] == "linear map"
    assert found.mixture.shares.shape == (6, len(found.mixture.names))
    assert np.allclose(found.mixture.shares.sum(1), 1, atol=1e-5)
    every = model.mixture(panel)
    assert every.shape == (3, 6, 1, len(found.mixture.names))
    assert np.allclose(every[1, :, 0], found.mixture.shares, atol=1e-5)
    (name, share), *_ = found.mixture.largest()
    assert share == found.mixture.shares.mean(0).max()
    assert f"looks at, in the mean of 6 steps: {name}" in "\n".join(lines(found))


def test_what_is_before_the_series_has_no_share(tmp_path):
    model, panel, _ = inspected(tmp_path)
    short = panel.head(8)  # one whole season and no second
    shares = model.mixture(short)[0, :, 0]
    names = candidates_of(model.description)
    assert np.all(shares[:, names.index("3 × 6 back")] == 0)
    assert np.any(shares[:, names.index("1 × 6 back")] > 0)


def test_a_linear_decoder_mixes_nothing(tmp_path):
    model, panel, found = inspected(tmp_path, "model.decoder=linear", "model.decoder_size=128")
    assert found.mixture is None
    assert model.mixture(panel) is None
    assert "mixture" not in figures(found)


def test_steps_are_patches_with_their_stamps(tmp_path):
    _, panel, found = inspected(tmp_path)
    end = int(panel.lengths[0])
    assert found.tokens == tuple(str(end - 24 + 6 * k) for k in range(4))
    (layer,) = found.layers
    assert layer.parts["hidden"].shape == (4, 1, 8)
    assert {"attribution", "mixture", "hidden.layers.0.l0"} <= set(figures(found))


def test_the_forecast_is_due_to_its_patches(tmp_path):
    _, _, found = inspected(tmp_path)
    due = found.attribution
    assert (due.first, due.at) == (0, 3)
    assert len(due.occlusion) == len(due.integrated) == 4
    assert np.abs(due.occlusion).max() > 0


def test_mixed_channels_and_several_networks(tmp_path):
    model, panel, found = inspected(
        tmp_path, "model.channels=mixed", "model.members=2", 'data.target=["y0", "y1"]', targets=2
    )
    assert model.mixture(panel).shape[2] == 2
    assert found.notes == ("states are those of the first of 2 networks",)


def test_a_series_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="there is no series 'x'; the first are s0, s1, s2"):
        inspected(tmp_path, name="x")
