"""The linear map of a window: ridge regression by another way, its limits, and its inputs."""

import numpy as np
import pytest

from loopwise.codec.series.spaces import spaces_at
from loopwise.codec.series.windows import cut, following
from loopwise.tasks.forecast import linear
from loopwise.tasks.forecast.linear import fit_linear, seasonal_profile
from loopwise.tasks.forecast.task import ForecastTask
from tasks.forecast.series import config, panel_of, waves


@pytest.fixture(autouse=True)
def few_windows(monkeypatch):
    monkeypatch.setattr(linear, "WINDOWS", 1000)
    monkeypatch.setattr(linear, "AT_ONCE", 500)


def task_of(values, **settings) -> ForecastTask:
    return ForecastTask(config(**settings), panel_of(values))


def drawn(task: ForecastTask) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The windows that a map is fitted to: inputs [M, W + 1], targets [M, h], deviations [M]."""
    d, rng, parts = task.description, np.random.default_rng([1, 2]), []
    for _ in range(2):
        rows, ends = task.batches.places(rng, 500, d.window)
        windows, space = cut(task.prepared, rows, ends, d.window, d.horizon, d.patch)
        targets = space.over(1).into(following(task.prepared, rows, ends, d.horizon))
        x = np.concatenate([windows.values, windows.mean], axis=1)[..., 0].astype(np.float64)
        parts.append((x, targets[..., 0]))
    x, targets = (np.concatenate(part) for part in zip(*parts, strict=True))
    deviation = x[:, :-1].std(axis=1)
    return x, targets, deviation


def test_it_is_a_weighted_ridge_regression():
    """By least squares over more rows: one for each weight says what it is drawn to."""
    task, ridge = task_of(waves(), window=24), 0.5
    d = task.description
    x, targets, deviation = drawn(task)
    # in a window's own scale and by its deviation: 1 / deviation, times its square root
    root = 1 / np.sqrt(deviation * deviation.sum())
    penalty = np.sqrt(ridge * np.append(np.ones(d.window), 1 / d.window))
    profile = np.vstack([seasonal_profile(d.window, d.horizon, d.season), np.zeros(d.horizon)])
    left = np.vstack([x * root[:, None], np.diag(penalty)])
    right = np.vstack([targets * root[:, None], penalty[:, None] * profile])
    wanted = np.linalg.lstsq(left, right)[0].T
    found = fit_linear(task.prepared, task.batches, d, ridge, 1).numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_of_series_that_a_linear_map_foretells_exactly_it_does():
    t = np.arange(400.0)
    values = [np.sin(2 * np.pi * t / 8 + p) + 0.3 * np.cos(2 * np.pi * t / 16) for p in (0, 1, 2)]
    task = task_of(values)
    weight = fit_linear(task.prepared, task.batches, task.description, 1e-6, 1).numpy()
    x, targets, _ = drawn(task)
    np.testing.assert_allclose(x @ weight.T, targets, atol=2e-3)


def test_a_heavy_penalty_leaves_the_seasonal_profile():
    task = task_of(waves())
    d = task.description
    weight = fit_linear(task.prepared, task.batches, d, 1e9, 1).numpy()
    profile = seasonal_profile(d.window, d.horizon, d.season)
    np.testing.assert_allclose(weight[:, :-1], profile.T, atol=1e-6)
    np.testing.assert_allclose(weight[:, -1], 0, atol=1e-5)


@pytest.mark.parametrize(("window", "horizon", "season"), [(14, 9, 4), (8, 3, 8), (12, 30, 5)])
def test_the_seasonal_profile_is_the_mean_of_each_phase(window, horizon, season):
    x = np.random.default_rng(0).normal(size=window)
    cycles = x[window % season :].reshape(-1, season)
    profile = cycles.mean(0) - cycles.mean()
    wanted = [profile[j % season] for j in range(horizon)]
    np.testing.assert_allclose(x @ seasonal_profile(window, horizon, season), wanted, atol=1e-12)


def test_without_a_season_or_a_whole_cycle_there_is_no_profile():
    np.testing.assert_allclose(seasonal_profile(10, 4, 1), 0, atol=1e-15)
    np.testing.assert_array_equal(seasonal_profile(10, 4, 12), 0)


def test_the_mean_of_a_window_is_that_of_its_series_so_far():
    """Known values alone, their logarithms where these are taken, up to each origin."""
    values = waves()
    values[1] -= values[1].mean()  # no logarithms
    values[2, 50:60] = np.nan
    task = task_of(values, missing="mask")
    d, rows, ends = task.description, np.arange(6), np.array([30, 40, 70, 80, 90, 100])
    windows, space = cut(task.prepared, rows, ends, d.window, 6, d.patch, origins=2)
    for row, end in enumerate(ends):
        taken = values[row] if row == 1 else np.log(values[row])
        for k, back in enumerate((d.patch, 0)):
            mean = np.nanmean(taken[: end - back])
            mean = (mean - space.centre[row, 0]) / space.spread[row, 0]
            assert windows.mean[row, k, 0] == pytest.approx(mean, abs=1e-5)


def test_the_mean_within_a_series_is_that_at_the_end_of_its_beginning():
    panel, ends = panel_of(waves()), np.array([20, 30, 50, 70, 90, 110])
    task = task_of(waves())
    d = task.description
    spaces = spaces_at(panel, task.codec, np.arange(6), ends)
    within, space = cut(task.prepared, np.arange(6), ends, d.window, 6, d.patch, spaces)
    own = (within.mean[:, 0] * space.spread + space.centre).ravel()
    wanted = [np.log(series[:end]).mean() for series, end in zip(waves(), ends, strict=True)]
    np.testing.assert_allclose(own, wanted, rtol=1e-5)


@pytest.mark.parametrize(("points", "windows"), [(10**9, 200), (100, 100), (1, 50)])
def test_windows_that_are_long_are_fewer(points, windows, monkeypatch):
    task = ForecastTask(config(), panel_of(waves()))
    d, drawn, places = task.description, [], task.batches.places
    monkeypatch.setattr(linear, "AT_ONCE", 50)
    monkeypatch.setattr(linear, "WINDOWS", 200)
    monkeypatch.setattr(linear, "POINTS", points * d.window)

    def counted(rng, count, length):
        drawn.append(count)
        return places(rng, count, length)

    monkeypatch.setattr(task.batches, "places", counted)
    weight = fit_linear(task.prepared, task.batches, d, 1.0, 1)
    assert sum(drawn) == windows
    assert np.isfinite(weight.numpy()).all()
