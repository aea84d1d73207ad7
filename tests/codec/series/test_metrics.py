import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import integrate, stats

from loopwise.codec.series import metrics
from loopwise.codec.series.metrics import Scores, score
from loopwise.errors import ConfigError, ShapeError

LEVELS = np.array([0.1, 0.25, 0.5, 0.75, 0.9])
shapes = st.tuples(st.integers(1, 4), st.integers(1, 6))
values = st.floats(-1e3, 1e3).map(lambda x: round(x, 3))


@st.composite
def forecasts(draw, unknown=False):
    shape = draw(shapes)
    actual = draw(
        arrays(float, shape, elements=st.one_of(values, st.just(np.nan)) if unknown else values)
    )
    return actual, draw(arrays(float, shape, elements=values))


@given(forecasts())
def test_definitions(drawn):
    y, f = drawn
    near = pytest.approx
    assert metrics.mae(y, f) == near(np.abs(y - f).mean(1))
    assert metrics.mse(y, f) == near(((y - f) ** 2).mean(1))
    assert metrics.rmse(y, f) == near(np.sqrt(((y - f) ** 2).mean(1)))
    y, f = np.abs(y) + 1, np.abs(f) + 1
    assert metrics.mape(y, f) == near((100 * np.abs(y - f) / y).mean(1))
    assert metrics.smape(y, f) == near((200 * np.abs(y - f) / (y + f)).mean(1))
    scale = np.arange(1, len(y) + 1)
    assert metrics.mase(y, f, scale) == near(np.abs(y - f).mean(1) / scale)


@given(forecasts(), st.integers(0, 99))
def test_definitions_of_intervals(drawn, seed):
    y, f = drawn
    near = pytest.approx
    gaps = np.random.default_rng(seed).exponential(100, (*f.shape, len(LEVELS)))
    q = f[..., None] - 250 + np.cumsum(gaps, -1)
    low, high = q[..., 0], q[..., -1]
    error = y[..., None] - q
    pinball = np.where(error >= 0, LEVELS * error, (LEVELS - 1) * error)
    assert metrics.pinball(y, q, LEVELS) == near(pinball.mean(1))
    assert metrics.crps(y, q, LEVELS) == near(2 * pinball.mean((1, 2)))
    assert metrics.coverage(y, low, high) == near(((low <= y) & (y <= high)).mean(1))
    assert metrics.width(y, low, high) == near((high - low).mean(1))
    winkler = high - low + 10 * ((low - y) * (y < low) + (y - high) * (y > high))
    assert metrics.interval_score(y, low, high, 0.2) == near(winkler.mean(1))
    # An interval's score is the pinball loss of its ends in another measure.
    assert winkler.mean(1) == near(10 * (pinball[..., 0] + pinball[..., -1]).mean(1))


@given(forecasts(), st.integers(1, 6), st.integers(0, 99))
def test_crps_of_samples_is_an_integral_over_their_distribution(drawn, n, seed):
    y, f = drawn
    x = f + np.random.default_rng(seed).normal(0, 50, (n, *f.shape)).round(2)
    pairs = np.abs(x[:, None] - x[None]).mean((0, 1)) / 2
    expected = (np.abs(x - y).mean(0) - pairs).mean(1)
    assert metrics.crps_samples(y, x) == pytest.approx(expected, abs=1e-9)


def test_both_ways_to_the_crps_come_to_the_normal_one():
    y = np.array([[0.7]])
    exact, _ = integrate.quad(lambda x: (stats.norm.cdf(x) - (x >= 0.7)) ** 2, -9, 9, points=[0.7])
    levels = (np.arange(2000) + 0.5) / 2000
    quantiles = stats.norm.ppf(levels)
    assert metrics.crps(y, quantiles[None, None], levels) == pytest.approx(exact, abs=1e-3)
    assert metrics.crps_samples(y, quantiles[:, None, None]) == pytest.approx(exact, abs=1e-3)


@given(forecasts(unknown=True))
def test_unknown_actuals_are_left_out(drawn):
    y, f = drawn
    for measure in (metrics.mae, metrics.mse, metrics.rmse, metrics.smape, metrics.mape):
        for row, one in zip(zip(y, f, strict=True), measure(y, f), strict=True):
            known = ~np.isnan(row[0])
            if known.any():
                expected = measure(row[0][None, known], row[1][None, known])[0]
                assert one == pytest.approx(expected, nan_ok=True)
            else:
                assert np.isnan(one)
    assert np.isnan(metrics.coverage(y, f, f)[np.isnan(y).all(1)]).all()
    assert np.isnan(metrics.width(y, f, f)[np.isnan(y).all(1)]).all()


@given(st.lists(st.lists(values, max_size=9), min_size=1, max_size=4), st.integers(1, 4))
def test_mase_scale_is_the_error_of_the_seasonal_naive_within_the_history(histories, season):
    offsets = np.cumsum([0, *map(len, histories)])
    found = metrics.mase_scale(np.concatenate(histories), offsets, season)
    for history, scale in zip(histories, found, strict=True):
        steps = np.abs(np.subtract(history[season:], history[:-season]))
        if steps.sum() > 0:
            assert scale == pytest.approx(steps.mean())
        else:
            assert np.isnan(scale)


def test_mase_scale_passes_over_unknown_values():
    assert metrics.mase_scale([1, np.nan, 4, 6], [0, 4], 1) == 2
    assert np.isnan(metrics.mase_scale([1, np.nan, 4], [0, 3], 1))


def test_series_of_zeros():
    zeros, ones = np.zeros((1, 3)), np.ones((1, 3))
    assert np.isnan(metrics.mape(zeros, ones))
    assert metrics.smape(zeros, zeros) == 0
    assert metrics.smape(zeros, ones) == 200
    scale = metrics.mase_scale(np.zeros(9), [0, 9], 2)
    assert np.isnan(scale)
    scores = score(zeros, zeros, scale=scale)
    assert np.isnan(scores.overall()["mase"])
    assert scores.overall()["mae"] == 0
    # The mean goes over the others.
    assert metrics.overall([np.nan, 2.0, 4.0]) == 3
    assert np.isnan(metrics.overall([]))


def everything(y, f, scale=None):
    quantiles = f[..., None] + np.array([-2, -1, 0, 1, 2.0])
    return score(y, f, scale=scale, quantiles=quantiles, levels=LEVELS)


def test_scores_are_the_measures():
    rng = np.random.default_rng(0)
    y, f, scale = rng.normal(3, 1, (3, 5)), rng.normal(3, 1, (3, 5)), np.array([1.0, 2, 3])
    scores = everything(y, f, scale).per_series()
    expected = {
        "mae": metrics.mae(y, f),
        "mse": metrics.mse(y, f),
        "rmse": metrics.rmse(y, f),
        "mape": metrics.mape(y, f),
        "smape": metrics.smape(y, f),
        "mase": metrics.mase(y, f, scale),
        "crps": metrics.crps(y, f[..., None] + np.arange(-2, 3), LEVELS),
        "below_25": (y <= f - 1).mean(1),
        "coverage_80": metrics.coverage(y, f - 2, f + 2),
        "width_50": metrics.width(y, f - 1, f + 1),
        "interval_score_80": metrics.interval_score(y, f - 2, f + 2, 0.2),
        "msis_80": metrics.interval_score(y, f - 2, f + 2, 0.2) / scale,
    }
    for name, value in expected.items():
        np.testing.assert_allclose(scores[name], value, err_msg=name)
    overall = everything(y, f, scale).overall()
    assert overall["smape"] == pytest.approx(expected["smape"].mean())
    assert overall["rmse"] == pytest.approx(np.sqrt(expected["mse"].mean()))


@given(st.integers(0, 99), st.integers(1, 4), st.integers(1, 4))
def test_scores_of_windows_add_up_to_the_score_of_all(seed, first, second):
    rng = np.random.default_rng(seed)
    y, f = rng.normal(0, 1, (3, first + second)), rng.normal(0, 1, (3, first + second))
    y[rng.random(y.shape) < 0.3] = np.nan
    parts = [everything(y[:, :first], f[:, :first]), everything(y[:, first:], f[:, first:])]
    together, whole = sum(parts, Scores()), everything(y, f)
    for name, value in whole.per_series().items():
        np.testing.assert_allclose(together.per_series()[name], value, err_msg=name)
    for name, value in whole.overall().items():
        assert together.overall()[name] == pytest.approx(value, nan_ok=True)


def test_owa_of_the_yardstick_is_one():
    rng = np.random.default_rng(1)
    y, f = rng.normal(9, 1, (3, 5)), rng.normal(9, 1, (3, 5))
    scores = score(y, f, scale=np.ones(3))
    assert scores.owa(scores) == pytest.approx(1)
    assert metrics.owa(10, 2, 20, 1) == pytest.approx((0.5 + 2) / 2)


def test_empty_forecasts_have_no_scores():
    for shape in ((0, 3), (2, 0)):
        scores = score(np.zeros(shape), np.zeros(shape))
        assert scores.per_series()["mae"].shape == shape[:1]
        assert np.isnan(scores.overall()["mae"])
    assert Scores().overall() == {}


def test_shapes_must_fit():
    y = np.zeros((2, 3))
    with pytest.raises(ShapeError, match=r"forecast of shape \[2, 1\]: must be \[2, 3\]"):
        metrics.mae(y, np.zeros((2, 1)))
    with pytest.raises(ShapeError, match="quantiles"):
        metrics.crps(y, np.zeros((2, 3, 4)), [0.1, 0.9])
    with pytest.raises(ShapeError, match="samples"):
        metrics.crps_samples(y, np.zeros((5, 3, 2)))
    with pytest.raises(ShapeError, match="scale"):
        metrics.mase(y, y, np.ones(3))
    with pytest.raises(ShapeError, match="do not add"):
        score(y, y) + score(y[:1], y[:1])
    with pytest.raises(ShapeError, match="do not add"):
        score(y, y) + score(y, y, scale=np.ones(2))
    for offsets in ([0, 2], [1, 3], [], [0, 2, 1, 3], 3):
        with pytest.raises(ShapeError, match="offsets"):
            metrics.mase_scale(np.zeros(3), offsets)
    with pytest.raises(ConfigError, match="season=0"):
        metrics.mase_scale(np.zeros(3), [0, 3], 0)
