import csv
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwise.codec.series import baselines, metrics
from loopwise.errors import ConfigError, ShapeError

nan = np.nan


def ragged(*histories):
    return np.concatenate([[], *histories]), np.cumsum([0, *map(len, histories)])


def test_each_on_its_own_history():
    data = ragged([1, 2, 4], [], [5], [nan, nan])
    none = [nan, nan]
    np.testing.assert_array_equal(baselines.naive(*data, 2), [[4, 4], none, [5, 5], none])
    np.testing.assert_allclose(baselines.mean(*data, 2), [[7 / 3] * 2, none, [5, 5], none])
    np.testing.assert_array_equal(baselines.drift(*data, 2), [[5.5, 7], none, [5, 5], none])
    np.testing.assert_array_equal(
        baselines.seasonal_naive(*data, 2, 2), [[2, 4], none, [5, 5], none]
    )
    np.testing.assert_array_equal(baselines.naive2(*data, 2, 2), [[4, 4], none, [5, 5], none])


def test_unknown_values_are_passed_over():
    data = ragged([1, 2, 3, nan, 5, nan, nan])
    np.testing.assert_array_equal(baselines.naive(*data, 1), [[5]])
    np.testing.assert_array_equal(baselines.mean(*data, 1), [[11 / 4]])
    np.testing.assert_array_equal(baselines.drift(*data, 2), [[8, 9]])
    np.testing.assert_array_equal(baselines.seasonal_naive(*data, 4, 3), [[5, 3, 1, 5]])
    np.testing.assert_array_equal(baselines.naive2(*data, 1, 2), [[5]])


@given(st.integers(1, 30), st.integers(1, 7), st.integers(1, 20))
def test_seasonal_naive_repeats_the_last_season(length, season, horizon):
    y = np.arange(length, dtype=float)
    forecast = baselines.seasonal_naive(*ragged(y), horizon, season)[0]
    for ahead, value in enumerate(forecast):
        back = length + ahead - season
        while back >= length:
            back -= season
        assert value == (y[back] if back >= 0 else y[-1])


@given(st.integers(2, 13), st.integers(0, 12), st.integers(0, 99))
def test_a_pure_season_is_found_and_continued(season, extra, seed):
    factors = np.random.default_rng(seed).uniform(0.5, 1.5, season)
    factors[0] += 1
    factors /= factors.mean()
    y = 100 * np.resize(factors, 8 * season + extra)
    np.testing.assert_allclose(baselines.seasonal_index(y, season), factors)
    ahead = np.resize(factors, len(y) + 9)[-9:]
    if baselines.is_seasonal(y, season):
        np.testing.assert_allclose(baselines.naive2(*ragged(y), 9, season)[0], 100 * ahead)


def test_what_is_seasonal():
    rng = np.random.default_rng(0)
    season = np.resize(rng.normal(0, 1, 12), 120)
    noise = rng.normal(0, 0.3, 120)
    assert baselines.is_seasonal(season + noise, 12)
    assert not baselines.is_seasonal((season + noise)[:35], 12)
    assert not baselines.is_seasonal(season + noise, 1)
    assert not baselines.is_seasonal(np.ones(120), 12)
    found = [baselines.is_seasonal(rng.normal(0, 1, 200), 7) for _ in range(1000)]
    assert np.mean(found) == pytest.approx(0.1, abs=0.03)


def test_naive2_leaves_series_that_are_not_above_zero_alone():
    season = np.resize([0.0, 1, 2, 3], 40)
    assert baselines.is_seasonal(season, 4)
    np.testing.assert_array_equal(baselines.naive2(*ragged(season), 3, 4), [[3, 3, 3]])


def test_what_is_not_allowed():
    for horizon in (0, 1.5):
        with pytest.raises(ConfigError, match="horizon"):
            baselines.naive(*ragged([1.0]), horizon)
    with pytest.raises(ConfigError, match="season"):
        baselines.naive2(*ragged([1.0]), 1, 0)
    with pytest.raises(ShapeError, match="offsets"):
        baselines.mean([1.0, 2.0], [0, 1], 1)
    assert baselines.naive(*ragged(), 3).shape == (0, 3)


def read(path):
    with path.open() as lines:
        return [np.array([float(x) for x in row[1:] if x]) for row in list(csv.reader(lines))[1:]]


def test_published_figures_of_m4_hourly():
    folder = Path(os.environ.get("LOOPWISE_DATA") or "nowhere", "m4")
    if not (folder / "Hourly-train.csv").is_file() or not (folder / "Hourly-test.csv").is_file():
        pytest.skip("LOOPWISE_DATA does not name a folder with m4/Hourly-{train,test}.csv")
    data = ragged(*read(folder / "Hourly-train.csv"))
    actual = np.array(read(folder / "Hourly-test.csv"))
    scale = metrics.mase_scale(*data, 24)
    seasonal, naive2 = (
        metrics.score(actual, forecast(*data, 48, 24), scale=scale)
        for forecast in (baselines.seasonal_naive, baselines.naive2)
    )
    assert round(seasonal.overall()["smape"], 3) == 13.912
    assert round(seasonal.overall()["mase"], 3) == 1.193
    assert round(naive2.overall()["smape"], 3) == 18.383
    assert round(naive2.overall()["mase"], 3) == 2.395
    assert seasonal.owa(naive2) == pytest.approx(0.627, abs=0.001)
