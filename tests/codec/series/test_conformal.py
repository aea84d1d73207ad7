import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from loopwise.codec.series import metrics
from loopwise.codec.series.conformal import Adaptive, Calibration, held_out_scores
from loopwise.codec.series.distributions import make_output
from loopwise.errors import ConfigError, DataError, ShapeError

LEVELS = np.array([0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975])


def raw_of(spread):
    """The raw number that gives this spread."""
    return math.log(math.expm1(spread - 1e-4))


def normal(loc, spread=1.0):
    loc = np.asarray(loc, float)
    return make_output("normal").distribution(
        np.stack([loc, np.full(loc.shape, raw_of(spread))], -1)
    )


def point(loc):
    return make_output("point").distribution(np.asarray(loc, float)[..., None])


def skewed(rng, shape):
    """What comes: far from normal, wider with each step."""
    return (rng.exponential(1, shape) - 0.3) * np.arange(1, shape[-1] + 1)


FORECASTERS = {
    "too sure": lambda loc: normal(loc, 0.05),
    "too unsure": lambda loc: normal(loc, 30.0),
    "biased": lambda loc: normal(np.asarray(loc) + 4, 1.0),
    "a point": point,
    "a point in another unit": lambda loc: point(np.asarray(loc) - 20),
}


@pytest.mark.parametrize("name", FORECASTERS)
@pytest.mark.parametrize("prior", [0.0, 10.0])
def test_wrong_forecasts_become_right(name, prior):
    rng = np.random.default_rng(0)
    forecaster, windows, new = FORECASTERS[name], 400, 5000
    known, h = rng.normal(0, 3, (windows, 3)), 3
    scores = held_out_scores(forecaster(known), known + skewed(rng, known.shape))
    calibration = Calibration(scores, prior, has_spread="point" not in name)
    fresh = rng.normal(0, 3, (new, h))
    actual = fresh + skewed(rng, fresh.shape)
    quantiles = calibration.calibrate(forecaster(fresh)).quantiles(LEVELS)
    below = (actual[..., None] <= quantiles).mean(0)
    error = np.sqrt(LEVELS * (1 - LEVELS) * (1 / windows + 1 / new))
    slack = 4 * error + (prior + 1) / (windows + 1 + prior)
    assert np.all(np.abs(below - LEVELS) < slack), below
    calibrated = metrics.crps(actual, quantiles, LEVELS).mean()
    if "point" not in name:
        plain = metrics.crps(actual, forecaster(fresh).quantiles(LEVELS), LEVELS).mean()
        assert calibrated < plain


def test_coverage_is_as_promised_for_few_windows():
    """Over many calibrations: a new score is below the k-th of M with probability k / (M + 1)."""
    rng = np.random.default_rng(1)
    windows, rounds = 9, 20_000
    scores = rng.gamma(2, 5, (windows + 1, rounds))
    new = scores[-1]
    calibration = Calibration(scores[:-1], prior=0)
    for k in range(1, windows + 1):
        quantile = calibration.calibrate(normal(np.zeros(rounds))).quantile(k / (windows + 1))
        np.testing.assert_allclose(quantile, np.sort(scores[:-1], 0)[k - 1], rtol=1e-6)
        p = k / (windows + 1)
        assert (new <= quantile).mean() == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / rounds))


tables = st.tuples(st.integers(0, 12), st.integers(1, 3)).flatmap(
    lambda shape: arrays(float, shape, elements=st.one_of(st.floats(-37, 37), st.just(np.nan)))
)


@given(tables, st.sampled_from([0.0, 1.0, 10.0]), st.floats(0.01, 100))
def test_calibrated_quantiles_never_cross(scores, prior, spread):
    forecast = normal(np.zeros((2, scores.shape[1])), spread)
    calibrated = Calibration(scores, prior).calibrate(forecast)
    values = calibrated.quantiles(np.linspace(0, 1, 101))
    assert np.isinf(values[..., [0, -1]]).all()
    inner = values[..., 1:-1]
    assert np.isfinite(inner).all()
    assert np.all(np.diff(inner) >= -1e-9 * spread)


@given(tables, st.floats(-30, 30))
def test_scores_go_there_and_back(scores, z):
    calibration = Calibration(np.unique(scores.round(2), axis=0))
    for column in scores.T:
        known = np.sort(column[~np.isnan(column)])
        if np.any(np.diff(known) < 0.01):
            return  # equal scores are one value for a range of levels
    every = np.full((1, calibration.horizon), z)
    there = calibration.to_network(every)
    np.testing.assert_allclose(calibration.from_network(there), every, atol=1e-6)


@given(tables, st.floats(-6, 6))
def test_without_windows_nothing_changes_and_with_few_little(scores, z):
    none = Calibration(scores[:0])
    forecast = normal(np.zeros(scores.shape[1]))
    np.testing.assert_allclose(none.calibrate(forecast).at_score(z), z, atol=1e-9)
    prior = 1000.0
    few = Calibration(scores, prior).calibrate(forecast)
    spread = np.ones(scores.shape[1])
    for step, column in enumerate(scores.T):
        known = np.abs(column[~np.isnan(column)])
        if len(known):
            normal_share = max(np.quantile(known, 0.8) / stats.norm.ppf(0.9), 1e-4)
            spread[step] = normal_share ** (len(known) / (len(known) + prior))
    p = stats.norm.cdf(few.score(spread * np.clip(z, -3, 3)))
    assert np.abs(p - stats.norm.cdf(np.clip(z, -3, 3))).max() <= 15 / prior


def test_right_forecasts_stay_nearly_as_they_are():
    rng = np.random.default_rng(2)
    calibrated = Calibration(rng.normal(0, 1, (2000, 1))).calibrate(normal(np.zeros(1)))
    np.testing.assert_allclose(calibrated.quantiles(LEVELS)[0], stats.norm.ppf(LEVELS), atol=0.15)
    assert calibrated.mean()[0] == pytest.approx(0, abs=0.1)
    y = calibrated.quantile(0.3)
    assert calibrated.cdf(y)[0] == pytest.approx(0.3)


def test_one_wild_window_does_not_widen_the_rest():
    scores = np.random.default_rng(6).normal(0, 1, (101, 1))
    scores[50] = 1e6
    calibrated = Calibration(scores).calibrate(normal(np.zeros(1)))
    assert np.all(np.abs(calibrated.quantiles([0.025, 0.975])) < 4)


def paths_of(calibration, forecast, rng, n):
    """Samples [n, ..., h] whose steps go together as errors did."""
    levels = calibration.levels(rng, (n, *forecast.shape[:-1]))
    return calibration.calibrate(forecast).quantile(np.clip(levels, 1e-12, 1 - 1e-12))


def test_counts_become_right():
    rng = np.random.default_rng(3)
    output = make_output("poisson")
    forecast = output.distribution(np.full((3000, 1, 1), raw_of(6.0)))
    # the variance is five times the mean
    truth = stats.nbinom(1.5, 0.2)
    scores = held_out_scores(forecast, truth.rvs((3000, 1), random_state=rng), rng)
    assert np.isfinite(scores).all()
    quantiles = Calibration(scores).calibrate(forecast).quantiles(LEVELS)[0, 0]
    assert np.all(np.abs(quantiles - truth.ppf(LEVELS)) <= 1)
    samples = paths_of(Calibration(scores), forecast, rng, 3)
    np.testing.assert_array_equal(samples, np.floor(samples))


def test_paths_go_together_as_errors_did():
    rng = np.random.default_rng(4)
    windows, h = 500, 4
    walk = np.cumsum(rng.normal(0, 1, (windows, h)), 1)
    calibration = Calibration(held_out_scores(normal(np.zeros((windows, h))), walk))
    paths = paths_of(calibration, normal(np.full((2, h), 7.0)), rng, 6000)
    assert paths.shape == (6000, 2, h)
    np.testing.assert_allclose(np.corrcoef(paths[:, 0].T), np.corrcoef(walk.T), atol=0.06)
    # each step as calibrate has it, and different forecasts for themselves
    expected = calibration.calibrate(normal(np.full((2, h), 7.0))).quantiles([0.1, 0.5, 0.9])
    found = np.moveaxis(np.quantile(paths, [0.1, 0.5, 0.9], axis=0), 0, -1)
    np.testing.assert_allclose(found, expected, atol=0.25)
    assert abs(np.corrcoef(paths[:, 0, -1], paths[:, 1, -1])[0, 1]) < 0.06
    # sums over steps spread as they truly do: far more than of independent steps
    assert paths[:, 0].sum(1).std() == pytest.approx(walk.sum(1).std(), rel=0.08)


def test_few_paths_share_the_rows_of_the_table_evenly():
    """Any n of them have one value in each n-th of the distribution where rows do not bind."""
    rng = np.random.default_rng(7)
    calibration = Calibration(rng.normal(size=(60, 1)))
    levels = calibration.levels(rng, (20, 5))
    assert levels.shape == (20, 5, 1)
    parts = np.sort((20 * levels[..., 0]).astype(int), axis=0)
    np.testing.assert_array_equal(parts, np.arange(20)[:, None].repeat(5, 1))
    assert (levels >= 0).all()
    assert (levels < 1).all()
    assert len({tuple(column) for column in levels[..., 0].T}) == 5


@pytest.mark.parametrize("bias", [0.0, 5.0])
def test_p_values_are_right_whatever_the_forecaster(bias):
    rng = np.random.default_rng(5)
    rounds, windows = 4000, 19
    scores = rng.standard_t(2, (windows + 1, rounds)) + bias
    p = Calibration(scores[:-1]).p_values(normal(np.zeros(rounds)), scores[-1])
    for level in (0.1, 0.2, 0.5):
        assert (p <= level + 1e-9).mean() <= level + 4 * math.sqrt(level / rounds)
        assert (p <= level + 1e-9).mean() >= level - 0.05
    calibration = Calibration(scores[:-1])
    far = calibration.p_values(normal(np.zeros(rounds)), np.array([[-1e9], [1e9]]))
    np.testing.assert_allclose(far, 2 / (windows + 1))


def test_p_values_by_hand():
    calibration = Calibration(np.array([[1.0], [2.0], [3.0], [np.nan]]))
    y = np.array([0.0, 1.0, 2.0, 3.5, np.nan])[:, None]
    expected = [[0.5], [1.0], [1.0], [0.5], [np.nan]]
    np.testing.assert_array_equal(calibration.p_values(normal(np.zeros(1)), y), expected)
    nothing = Calibration(np.zeros((0, 1)))
    assert nothing.p_values(normal(np.zeros(1)), 99.0) == 1


def test_steps_have_their_own_tables():
    scores = np.array([[1.0, 5.0], [2.0, np.nan], [3.0, 7.0]])
    both, first = Calibration(scores, prior=0), Calibration(scores, prior=0).first(1)
    assert first.horizon == 1
    median = both.calibrate(normal(np.zeros(2))).quantile(0.5)
    assert median[0] == pytest.approx(2)
    assert 5 < median[1] < 7
    assert first.calibrate(normal(np.zeros(1))).quantile(0.5) == pytest.approx(2)


def test_what_is_not_allowed():
    scores = np.zeros((2, 3))
    for prior in (-1, math.nan, math.inf):
        with pytest.raises(ConfigError, match="prior"):
            Calibration(scores, prior)
    with pytest.raises(ShapeError, match=r"must be \[M, h\]"):
        Calibration(np.zeros(3))
    for shape in ((), (2,), (3, 2)):
        for ask in (Calibration.calibrate, lambda c, f: c.p_values(f, 0.0)):
            with pytest.raises(ShapeError, match=r"must be \[\.\.\., 3\]"):
                ask(Calibration(scores), normal(np.zeros(shape)))
    with pytest.raises(DataError, match="infinite"):
        Calibration(np.array([[np.inf]]))
    with pytest.raises(DataError, match="2 steps ahead"):
        Calibration(np.array([[1.0, np.nan]]), has_spread=False)
    with pytest.raises(DataError, match="no held-out window"):
        Calibration(np.array([[1.0, np.nan]])).levels(np.random.default_rng(0), (1,))
    with pytest.raises(ConfigError, match="no likelihood"):
        Calibration(scores).calibrate(normal(np.zeros(3))).nll(0.0)
    for missing in (0, 1, math.nan):
        with pytest.raises(ConfigError, match="missing"):
            Adaptive(missing)
    with pytest.raises(ConfigError, match="rate"):
        Adaptive(0.1, rate=0)


@given(st.floats(0.02, 0.5), st.sampled_from([0.005, 0.05, 0.3]), st.integers(0, 99), st.booleans())
def test_adaptive_intervals_miss_as_often_as_they_should_whatever_comes(missing, rate, seed, drift):
    rng = np.random.default_rng(seed)
    adaptive, missed = Adaptive(missing, rate), []
    loc = 0.0
    for step in range(400):
        loc = step / 5 if drift and step > 150 else 0.0
        y = rng.normal(loc, 3)
        low, high = (float(normal(0.0).quantile(level)) for level in adaptive.levels)
        missed.append(not low <= y <= high)
        adaptive = adaptive.update(missed[-1])
    bound = (max(missing, 1 - missing) + rate) / (rate * len(missed))
    assert abs(np.mean(missed) - missing) <= bound


def test_adaptive_levels_follow_each_stream():
    adaptive = Adaptive(0.2, 0.1).update([True, False, math.nan])
    low, high = adaptive.levels
    np.testing.assert_allclose(low, [0.06, 0.11, 0.1])
    np.testing.assert_allclose(high, 1 - low)
    for missed, level in ((True, 0.0), (False, 0.5)):
        state = Adaptive(0.2, 0.4)
        for _ in range(12):
            state = state.update(missed)
        assert state.levels[0] == level
