"""Forecasts held against what came: definitions, nothing from the future, plain words."""

import dataclasses

import numpy as np
import pytest

from loopwise.codec.series.joining import joined
from loopwise.codec.series.metrics import score
from loopwise.codec.series.panel import Panel
from loopwise.errors import ConfigError, DataError
from loopwise.runtime import forecast_evaluation
from loopwise.runtime.forecast_evaluation import (
    BASELINES,
    MEASURES,
    Evaluation,
    baseline_forecasts,
    evaluate,
    evaluate_at,
    forecasts_at,
    origins,
    rolling_origins,
    standardised,
)
from loopwise.runtime.forecast_windows import places_after
from loopwise.runtime.load import load
from runtime.forecasters import forecaster, waves


@pytest.fixture(scope="module")
def panel():
    return waves()


@pytest.fixture(scope="module")
def model(panel, tmp_path_factory):
    return forecaster(tmp_path_factory.mktemp("model"), panel)


def by_hand(panel, model, h=6):
    """Actual, forecast and past of the last window of each series."""
    past = panel.before(h)
    actual = np.stack([panel.series(i)[-h:, 0] for i in range(len(panel))])
    return past, actual, model.forecast(past, h)


def test_measures_are_their_definitions(panel, model):
    past, y, forecasts = by_hand(panel, model)
    f = forecasts.point()[:, :, 0]
    season = [np.abs(past.series(i)[6:] - past.series(i)[:-6]).mean() for i in range(3)]
    found = evaluate(model, panel).overall()["loopwise"]
    assert found["mae"] == pytest.approx(np.abs(y - f).mean())
    assert found["mse"] == pytest.approx(((y - f) ** 2).mean())
    assert found["rmse"] == pytest.approx(np.sqrt(((y - f) ** 2).mean()))
    assert found["mape"] == pytest.approx((100 * np.abs(y - f) / np.abs(y)).mean())
    assert found["smape"] == pytest.approx((200 * np.abs(y - f) / (np.abs(y) + np.abs(f))).mean())
    assert found["mase"] == pytest.approx((np.abs(y - f).mean(1) / season).mean())
    low, high = np.moveaxis(forecasts.quantiles([0.1, 0.9])[:, :, 0], -1, 0)
    assert found["coverage_80"] == pytest.approx(((low <= y) & (y <= high)).mean())
    assert found["width_80"] == pytest.approx((high - low).mean())
    p = np.arange(1, 20) / 20
    off = y[..., None] - forecasts.quantiles(p)[:, :, 0]
    assert found["crps"] == pytest.approx(2 * np.maximum(p * off, (p - 1) * off).mean())


def test_owa_is_one_for_naive2_and_the_mean_of_two_ratios(panel, model):
    found = evaluate(model, panel).overall()
    ours, theirs = found["loopwise"], found["naive2"]
    assert theirs["owa"] == pytest.approx(1)
    ratios = [ours[name] / theirs[name] for name in ("smape", "mase")]
    assert ours["owa"] == pytest.approx(np.mean(ratios))


def test_baselines_see_the_past_alone(panel):
    past = panel.before(6)
    made = baseline_forecasts(past, 6, 6)
    assert set(made) == set(BASELINES)
    for i in range(len(panel)):
        before = past.series(i)[:, 0]
        assert np.allclose(made["naive"][i, :, 0], before[-1])
        assert np.allclose(made["seasonal naive"][i, :, 0], before[-6:])


@pytest.mark.parametrize("h", [4, 6, 9])  # below, at and beyond the horizon
def test_nothing_after_an_origin_changes_its_forecast(panel, model, h):
    ends = rolling_origins(panel, h, 3, 4)
    other = panel.values.copy()
    for i in range(len(panel)):
        other[panel.offsets[i] + ends[i, 0] : panel.offsets[i + 1]] *= 7
    changed = dataclasses.replace(panel, values=other)
    for one, two in zip(
        forecasts_at(model, panel, ends[:, :1], h, "median", (0.1, 0.9)),
        forecasts_at(model, changed, ends[:, :1], h, "median", (0.1, 0.9)),
        strict=True,
    ):
        assert np.array_equal(one, two)
    cut = panel.head(ends[:, 0])
    assert np.allclose(
        forecasts_at(model, panel, ends, h, "mean", (0.5,))[0][:, 0],
        model.forecast(cut, h).point("mean"),
    )


def test_windows_of_several_targets_stay_in_their_places(tmp_path):
    panel = waves(targets=3)
    for name in ("independent", "mixed"):
        model = forecaster(tmp_path, panel, f"model.channels={name}")
        ends = rolling_origins(panel, 6, 2, 6)
        points, quantiles = forecasts_at(
            model, panel, ends, 6, "median", (0.1, 0.5), until=ends[:, 1]
        )
        assert points.shape == (3, 2, 6, 3)
        assert quantiles.shape == (3, 2, 6, 3, 2)
        alone = model.forecast(panel.head(ends[:, 1])).point()
        assert np.allclose(points[:, 1], alone, rtol=1e-4)


def test_parts_add_up(panel, model, monkeypatch):
    whole = evaluate(model, panel, windows=4, step=2).overall()
    monkeypatch.setattr(forecast_evaluation, "AT_ONCE", 1)
    parts = evaluate(model, panel, windows=4, step=2).overall()
    for name, values in whole.items():
        assert parts[name] == pytest.approx(values, nan_ok=True)


def test_origins_end_with_the_series_and_short_ones_are_named(panel):
    assert rolling_origins(panel, 6, 3, 2).tolist() == [[80, 82, 84]] * 3
    mixed = dataclasses.replace(panel, offsets=np.array([0, 7, 100, 270]))
    kept, ends, skipped = origins(mixed, 6)
    assert skipped == ("s0",)
    assert kept.ids == ("s1", "s2")
    assert ends.tolist() == [[87], [164]]
    with pytest.raises(
        DataError,
        match="the longest series, 's0', has 90 points; 20 windows of 6 steps need at least 122",
    ):
        origins(panel, 6, 20)
    with pytest.raises(ConfigError, match="windows=0: must be a whole number from 1"):
        origins(panel, 6, 0)


def test_unknown_values_do_not_count(panel, model):
    values = panel.values.copy()
    values[-2:] = np.nan
    holed = dataclasses.replace(panel, values=values)
    scores = evaluate(model, holed).scores
    for each in scores.values():
        assert each.counts["mae"].tolist() == [6, 6, 4]
        assert each.counts["crps"].tolist() == [6, 6, 4]


def made(**off):
    """An evaluation of forecasts that are so far off, everywhere."""
    y = np.ones((2, 3))
    scale = np.full(2, np.nan if off.pop("flat", False) else 0.5)
    scores = {name.replace("_", " "): score(y, y + by, scale=scale) for name, by in off.items()}
    return Evaluation("loopwise", (("a", "y"), ("b", "y")), 3, 1, 1, scores)


def test_what_is_worse_says_so():
    others = {"seasonal_naive": 0.2, "naive": 0.4, "drift": 0.4, "naive2": 0.5}
    assert made(loopwise=0.1, **others).sentences() == [
        "loopwise is better than each baseline: MASE 0.2, 50 % below seasonal naive, the best of them"  # noqa: E501
    ]
    assert made(loopwise=0.4, **others).sentences() == [
        "loopwise is worse than seasonal naive: MASE 0.8, seasonal naive 0.4",
        "loopwise is no better than naive: MASE 0.8, naive 0.8",
        "loopwise is no better than drift: MASE 0.8, drift 0.8",
    ]
    worse = [each.baseline for each in made(loopwise=0.3, **others).verdicts() if each.worse]
    assert worse == ["seasonal naive"]


def test_without_a_scale_errors_themselves_decide():
    found = made(loopwise=0.3, seasonal_naive=0.2, naive=0.4, drift=1, naive2=1, flat=True)
    assert found.sentences() == [
        "loopwise is worse than seasonal naive: MAE 0.3, seasonal naive 0.2"
    ]


def test_each_series_has_a_row(tmp_path):
    panel = waves(targets=2)
    model = forecaster(tmp_path, panel)
    found = evaluate(model, panel)
    assert found.rows[:3] == (("s0", "y0"), ("s0", "y1"), ("s1", "y0"))
    each = found.per_series()
    assert list(each) == ["loopwise", *BASELINES]
    for name, measures in each.items():
        assert list(measures) == list(MEASURES)
        assert all(column.shape == (6,) for column in measures.values())
        assert np.mean(measures["mae"]) == pytest.approx(found.overall()[name]["mae"])
    columns = found.table("shop", per_series=True)
    assert list(columns) == ["shop", "target", "model", *MEASURES]
    assert columns["shop"][:11] == ["s0"] * 10 + ["s1"]
    assert columns["target"][:10] == ["y0"] * 5 + ["y1"] * 5
    assert columns["model"] == list(each) * 6
    third = columns["mase"][2 * 5 : 3 * 5]  # the first target of the second series
    np.testing.assert_array_equal(third, [values["mase"][2] for values in each.values()])


def test_owa_of_a_series_is_that_of_the_series_alone(panel, model):
    found = evaluate(model, panel, windows=3)
    for i in range(len(panel)):
        alone = evaluate(model, panel.select([i]), windows=3).overall()
        for name, measures in found.per_series().items():
            assert measures["owa"][i] == pytest.approx(alone[name]["owa"], rel=1e-4)
            assert measures["smape"][i] == pytest.approx(alone[name]["smape"], rel=1e-4)
    np.testing.assert_allclose(found.per_series()["naive2"]["owa"], 1)


def test_standardised_errors_are_their_definition(tmp_path):
    panel = waves(1, targets=2)
    model = forecaster(tmp_path, panel)
    found = standardised(model, panel, 60, windows=9)
    spread = panel.values[:60].std(0)
    squares, sizes, naive = [], [], []
    until = np.array([panel.lengths[0] - 6 - 8])
    for end in range(76, 85):
        ends = np.array([[end]])
        said = model.forecast_at(panel, ends, until=until).point("mean")[0]
        off = (said - panel.values[end : end + 6]) / spread
        squares.append(off**2)
        sizes.append(np.abs(off))
        naive.append(((panel.values[end - 1] - panel.values[end : end + 6]) / spread) ** 2)
    assert found["loopwise"].mse == pytest.approx(np.mean(squares), rel=1e-5)
    assert found["loopwise"].mae == pytest.approx(np.mean(sizes), rel=1e-5)
    assert found["naive"].mse == pytest.approx(np.mean(naive))
    assert found["loopwise"].windows == 9


def test_standardising_needs_series_that_vary(panel, model):
    flat = dataclasses.replace(
        panel, values=np.where(np.arange(270)[:, None] < 90, 1.0, panel.values)
    )
    with pytest.raises(DataError, match="'s0': 'y' does not vary in its first 50 points"):
        standardised(model, flat, 50)
    with pytest.raises(ConfigError, match="fit_on=1"):
        standardised(model, panel, 1)
    with pytest.raises(ConfigError, match="h=7: the model forecasts 6 steps"):
        standardised(model, panel, 50, h=7)


def test_later_points_join_on(panel):
    before, after = panel.before(10), panel.tail(10)
    whole = joined(before, after.select([2, 0]))
    assert whole.ids == ("s2", "s0")
    for place, i in enumerate((2, 0)):
        assert np.array_equal(whole.series(place), panel.series(i))
    anew = dataclasses.replace(after, first=np.ones(3, np.int64))
    with pytest.raises(DataError, match=r"'s0': the later points begin at 1; after .* comes 80"):
        joined(before, anew)
    assert np.array_equal(joined(before, anew, anew=True).values, panel.values)
    with pytest.raises(DataError, match="series 's1' is among the later points but not"):
        joined(before.select([0]), after)


def test_places_may_differ_between_series(panel, model):
    ends = np.array([[40], [50], [84]])
    found = evaluate_at(model, panel, ends)
    one = evaluate_at(model, panel.select([1]), ends[1:2])
    both = (each.per_series()["loopwise"]["mae"] for each in (found, one))
    assert next(both)[1] == pytest.approx(next(both)[0])


def test_intervals_follow_recent_errors(tmp_path):
    """After the noise has grown fourfold, 80 % of what comes lies in them again."""
    calm = waves(count=8, length=240)
    rng = np.random.default_rng(5)
    values = [calm.series(i)[:, 0] for i in range(8)]
    sizes = [0.8 * value.std() for value in values]
    later = [
        np.r_[value, np.tile(value[-24:], 12) + size * rng.standard_normal(288)]
        for value, size in zip(values, sizes, strict=True)
    ]
    model = forecaster(tmp_path, calm)
    panel = Panel.from_arrays(later, ids=calm.ids)
    ends = np.tile(np.arange(428, 522, 6), (8, 1))
    after = ends[..., None] + np.arange(6)
    actual = np.stack([later[i][after[i]] for i in range(8)]).reshape(-1, 6, 1)

    def covered(one) -> float:
        low, high = np.moveaxis(one.forecast_at(panel, ends).quantiles([0.1, 0.9]), -1, 0)
        return float(np.mean((low <= actual) & (actual <= high)))

    fresh = model.recalibrated(panel.head(np.full(8, 428)), 120)
    assert covered(model) < 0.6
    assert 0.7 < covered(fresh) < 0.9
    np.testing.assert_allclose(
        fresh.forecast_at(panel, ends).point(), model.forecast_at(panel, ends).point()
    )
    fresh.save(tmp_path / "fresh.safetensors")
    again = load(tmp_path / "fresh.safetensors").forecast(panel).quantiles([0.1])
    np.testing.assert_array_equal(again, fresh.forecast(panel).quantiles([0.1]))


def test_recent_errors_need_room(panel, model):
    for points in (5, 6.5, "all"):
        with pytest.raises(ConfigError, match=r"points=.*: must be a whole number from the hori"):
            model.recalibrated(panel, points)
    with pytest.raises(DataError, match="has 10 points: 12 are needed to see how far off"):
        model.recalibrated(panel.tail(10))


@pytest.mark.parametrize("rows", [1, 7, 3000, 10_000])
def test_places_spread_over_the_last_part_of_each_row(rows):
    lengths = np.full(rows, 900)
    begin = np.full(rows, 700)
    lengths[0], begin[0] = (900, 700) if rows == 1 else (705, 700)  # no room for 6 points
    series, ends = places_after(begin, lengths, 6)
    assert (ends >= 700).all()
    assert (ends <= 894).all()
    assert len(ends) <= 2048
    if rows == 1:
        assert ends.tolist() == list(range(700, 895))
    else:
        assert 0 not in series
        assert len(np.unique(series)) == (6 if rows == 7 else -(-(rows - 1) // (rows // 2048 + 1)))
