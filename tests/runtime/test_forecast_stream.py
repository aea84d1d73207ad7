"""Streams say what forecasts of the whole history would, and how unusual each point was."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from loopwise.codec.series.panel import Panel
from loopwise.errors import ConfigError, DataError
from loopwise.runtime.forecast_paths import sample_paths
from loopwise.runtime.forecast_stream import ForecastStream
from runtime.forecasters import COVARIATES, forecaster, waves, with_covariates

LEVELS = [0.05, 0.5, 0.9]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return forecaster(tmp_path_factory.mktemp("one"), waves())


@pytest.fixture(scope="module", params=["independent", "mixed"])
def several(request, tmp_path_factory):
    setting = f"model.channels={request.param}"
    return forecaster(tmp_path_factory.mktemp("two"), waves(targets=2), setting)


def assert_as_whole(model, stream, series, found=None, rtol=1e-5):
    """What a stream says is what a forecast of all that came says."""
    panel = Panel.from_arrays(series, ids=stream.ids, targets=model.codec.schema.targets)
    whole = model.forecast(panel)
    found = stream.forecast() if found is None else found.forecasts
    np.testing.assert_allclose(found.point(), whole.point(), rtol)
    np.testing.assert_allclose(found.quantiles(LEVELS), whole.quantiles(LEVELS), rtol)


def test_a_stream_says_what_a_forecast_of_the_whole_history_says(model):
    panel = waves(length=200, seed=3)
    stream = model.stream(["s0", "s1", "s2"])
    series = np.stack([panel.series(i)[:, 0] for i in range(3)])
    for t in range(200):
        found = stream.update(series[:, t])
        if t in (0, 1, 5, 40, 83, 84, 85, 130, 199):  # the window has 84 points
            assert_as_whole(model, stream, list(series[:, : t + 1]), found)
    assert stream.lengths.tolist() == [200] * 3


def test_a_stream_goes_on_from_known_history(model):
    panel = waves(length=150, seed=4)
    begun = Panel.from_arrays([panel.series(i)[: 100 + 7 * i] for i in range(3)], ids=panel.ids)
    stream = ForecastStream(model, begun)
    assert stream.lengths.tolist() == [100, 107, 114]
    assert_as_whole(model, stream, [begun.series(i) for i in range(3)])
    for t in range(30):
        found = stream.update([panel.series(i)[100 + 7 * i + t, 0] for i in range(3)])
    assert_as_whole(model, stream, [panel.series(i)[: 130 + 7 * i] for i in range(3)], found)


def test_several_targets(several):
    panel = waves(length=120, targets=2, seed=5)
    stream = several.stream(list(panel.ids))
    for t in range(120):
        found = stream.update([panel.series(i)[t] for i in range(3)])
    assert_as_whole(several, stream, [panel.series(i) for i in range(3)], found)
    assert found.score.shape == found.p_value.shape == (3, 2)
    assert found.median.shape == (3, 6, 2)


@pytest.mark.parametrize("channels", ["independent", "mixed"])
def test_covariates_of_every_kind(channels, tmp_path):
    """They come along a stream as they stand in a table, over the points and ahead of them."""
    whole = with_covariates(waves(length=130, targets=2, seed=5))
    model = forecaster(tmp_path, whole, *COVARIATES, f"model.channels={channels}", swayed=True)
    h = model.horizon
    stream = ForecastStream(model, whole.head([20, 100, 1]))
    assert stream.lengths.tolist() == [20, 100, 1]
    for _ in range(24):
        at = whole.offsets[:-1] + stream.lengths
        told = whole.future[at[:, None] + np.arange(1 + h)]
        found = stream.update(whole.values[at], whole.past[at], told)
        panel = whole.head(stream.lengths)
        forecasts = model.forecast(panel, ahead=told[:, 1:])
        np.testing.assert_allclose(found.median, forecasts.point(), 1e-5)
        np.testing.assert_allclose(found.quantiles(LEVELS), forecasts.quantiles(LEVELS), 1e-5)
    for name in ("past", "future", "static", "categories", "first"):  # and all of it tells
        other = np.roll(getattr(panel, name), 1, axis=0)
        moved = model.forecast(replace(panel, **{name: other}), ahead=told[:, 1:])
        assert np.abs(moved.point() / forecasts.point() - 1).max() > 1e-3
    moved = stream.forecast(told[:, 1:] + 3.0)
    assert np.abs(moved.point() / forecasts.point() - 1).max() > 1e-3
    kept = stream.lengths
    for given, message in (
        ((whole.values[at],), "the model needs 'visitors': give them as past="),
        ((whole.values[at], whole.past[at]), r"the model needs 'price': give them as future="),
        (
            (whole.values[at], whole.past[at], told[:, 1:]),
            r"future: expected \[3, 7, 1\], given \[3, 6, 1\]",
        ),
    ):
        with pytest.raises(DataError, match=message):
            stream.update(*given)
    assert stream.lengths.tolist() == kept.tolist()


def test_what_was_never_below_zero_is_not_forecast_below(tmp_path):
    """Of a stream as of a table, until a value below 0 comes; with model.log=false it may be."""
    rng = np.random.default_rng(0)
    values = np.maximum(rng.normal(size=(2, 120)), 0.0)  # half of it 0
    panel = Panel.from_arrays(values)
    model = forecaster(tmp_path, panel)
    stream = model.stream([0, 1], adaptive=95)
    low = [0.01, 0.1]
    for t in range(120):
        found = stream.update(values[:, t])
        assert (found.quantiles(low) >= 0).all()
        assert (found.adapted[0] >= 0).all()
        if t in (30, 119):
            assert_as_whole(model, stream, list(values[:, : t + 1]), found)
    assert (model.forecast(panel, 20).quantiles(low) == 0).any()
    assert (model.forecast(panel, 20).point("mean") >= 0).all()
    assert (sample_paths(model, panel, 20, 20, None, 0) >= 0).all()
    below = stream.update([-1.0, 0.0]).quantiles(low)
    assert (below[0] < 0).any()
    assert (below[1] >= 0).all()
    series = [np.append(values[0], -1.0), np.append(values[1], 0.0)]
    assert_as_whole(model, stream, series)
    free = forecaster(tmp_path, panel, "model.log=false")
    assert (free.forecast(panel).quantiles(low) < 0).any()


def test_missing_values_are_passed_over(model):
    rng = np.random.default_rng(0)
    series = np.stack([waves(length=150).series(i)[:, 0] for i in range(3)])
    series[rng.random(series.shape) < 0.2] = np.nan
    series[0, :20] = np.nan
    series[1, 60:] = np.nan  # longer than a window
    stream = model.stream(["a", "b", "c"])
    for t in range(150):
        found = stream.update(series[:, t])
        missing = np.isnan(series[:, t])
        assert np.isnan(found.score[missing]).all()
        if t in (25, 80, 149):
            assert_as_whole(model, stream, list(series[:, : t + 1]), found)


def test_of_a_series_without_a_value_nothing_is_said(model):
    stream = model.stream(["a", "b"])
    found = stream.update([np.nan, 3.0])
    assert np.isnan(found.median[0]).all()
    assert np.isnan(found.quantiles([0.1])[0]).all()
    assert np.isfinite(found.median[1]).all()
    assert np.isnan(found.score).all()
    stream.update([2.0, 3.0])
    assert np.isfinite(stream.update([2.0, 4.0]).score).tolist() == [[False], [True]]


def test_logarithms_end_where_a_series_stops_being_positive(model):
    series = [waves(1, 150).series(0)[:, 0], waves(1, 150, seed=1).series(0)[:, 0]]
    series[0][100] = -2.0
    series[1][120] = 0.0
    stream = model.stream(["a", "b"])
    for t in range(150):
        found = stream.update([each[t] for each in series])
        if t in (99, 100, 101, 120, 149):
            assert_as_whole(model, stream, [each[: t + 1] for each in series], found)


@pytest.mark.parametrize("size", [1e-6, 1e9])
@pytest.mark.parametrize("about", [0, 1e4])
def test_sums_keep_their_digits(model, size, about):
    values = size * (about + np.sin(np.arange(2000)) - (0 if about else 2))
    stream = model.stream(["a"])
    for value in values:
        found = stream.update(value)
    assert_as_whole(model, stream, [values], found, rtol=1e-4 if about else 1e-5)


def test_fewer_steps_are_the_first_of_all(model):
    panel = waves(length=50, seed=6)
    whole, short = model.stream(list(panel.ids)), model.stream(list(panel.ids), h=2, adaptive=80)
    for t in range(50):
        values = [panel.series(i)[t, 0] for i in range(3)]
        one, other = whole.update(values), short.update(values)
    assert other.median.shape == other.adapted[0].shape == (3, 2, 1)
    np.testing.assert_allclose(other.median, one.median[:, :2], rtol=1e-6)
    np.testing.assert_allclose(other.quantiles(LEVELS), one.quantiles(LEVELS)[:, :2], rtol=1e-6)
    np.testing.assert_allclose(other.score, one.score, rtol=1e-5)
    with pytest.raises(ConfigError, match="h=7: must be at most the horizon, 6"):
        model.stream(["a"], h=7)


def test_series_may_come_at_different_times(model):
    panel = waves(length=120, seed=6)
    stream, rng = model.stream(list(panel.ids)), np.random.default_rng(1)
    for _ in range(200):
        some = np.flatnonzero((rng.random(3) < [0.2, 0.5, 0.9]) & (stream.lengths < 120))
        names = [panel.ids[i] for i in some[::-1]]
        values = [panel.series(i)[stream.lengths[i], 0] for i in some[::-1]]
        if names:
            found = stream.update(values, series=names)
            assert found.series == tuple(names)
    lengths = stream.lengths
    assert len(set(lengths)) == 3
    assert_as_whole(model, stream, [panel.series(i)[: lengths[i]] for i in range(3)])


def test_a_score_is_that_of_the_forecast_before(model):
    series = waves(1, 100, seed=7).series(0)[:, 0]
    stream = model.stream(["a"])
    for t, value in enumerate(series):
        found = stream.update(value)
        if t in (3, 50, 99):
            before = model.forecast(Panel.from_arrays([series[:t]]))
            actual = np.full((1, 6, 1), value)
            assert found.score[0, 0] == pytest.approx(before.scores(actual)[0, 0, 0], abs=1e-4)


def test_p_values_of_usual_points_are_uniform_and_of_anomalies_small(tmp_path):
    panel = waves(40, 200, seed=8)
    model = forecaster(tmp_path, panel, "data.valid=100")
    stream = model.stream(list(panel.ids))
    usual = waves(40, 200, seed=9)
    values = np.stack([usual.series(i)[:, 0] for i in range(40)])
    found = [stream.update(values[:, t]) for t in range(200)]
    p = np.concatenate([each.p_value.ravel() for each in found[120:]])
    assert stats.kstest(p, "uniform").statistic < 0.06
    assert (p > 0).all()
    assert (p <= 1).all()
    odd = stream.update(values[:, -1] * 3)
    assert (odd.score > 3).all()
    assert (odd.p_value < 0.01).all()


def test_intervals_that_adapt_hold_their_share(tmp_path):
    panel = waves(10, 120, seed=8)
    model = forecaster(tmp_path, panel)
    rng = np.random.default_rng(3)
    stream = model.stream(range(10), adaptive=80, rate=0.05)
    t = np.arange(500)
    # noise that no training has seen: fixed intervals are far too narrow
    values = 20 + np.sin(2 * np.pi * t / 6) + rng.normal(size=(10, 500))
    held, before = [], None
    for step in range(500):
        found = stream.update(values[:, step])
        if step > 100:
            low, high = before
            held.append((values[:, step] >= low[:, 0, 0]) & (values[:, step] <= high[:, 0, 0]))
        before = found.adapted
        assert before[0].shape == (10, 6, 1)
    assert np.mean(held) == pytest.approx(0.8, abs=0.03)


def test_time_and_memory_do_not_grow(model):
    stream = model.stream(["a"])
    sizes = set()
    for t in range(300):
        stream.update(1 + t % 6)
        sizes.add(len(stream.snapshot()))
    assert len(sizes) == 1


def test_a_snapshot_is_gone_back_to(model):
    series = waves(2, 120, seed=2)
    stream = model.stream(["a", "b"], adaptive=90)
    for t in range(100):
        stream.update([series.series(i)[t, 0] for i in range(2)])
    kept = stream.snapshot()
    after = [stream.update([series.series(i)[t, 0] for i in range(2)]) for t in range(100, 120)]
    again = model.stream(["a", "b"], adaptive=90)
    for one in (stream, again):
        one.restore(kept)
        for t, known in zip(range(100, 120), after, strict=True):
            found = one.update([series.series(i)[t, 0] for i in range(2)])
            np.testing.assert_array_equal(found.median, known.median)
            np.testing.assert_array_equal(found.score, known.score)
            np.testing.assert_array_equal(found.adapted, known.adapted)


def test_snapshots_of_others_are_refused(model, several):
    stream = model.stream(["a", "b"])
    stream.update([1.0, 2.0])
    kept = stream.snapshot()
    for other, message in (
        (model.stream(["a", "c"]), "of other series"),
        (several.stream(["a", "b"]), "of another model"),
        (model.stream(["a", "b"], adaptive=90), r"no missing of shape \[2, 1\]"),
    ):
        with pytest.raises(DataError, match=message):
            other.restore(kept)
    with pytest.raises(DataError, match="damaged"):
        stream.restore(kept[:50])
    assert stream.lengths.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.update([1.0]), r"y: expected \[2, 1\], given \[1\]"),
        (lambda s: s.update([1.0, np.inf]), "y: a value is infinite"),
        (lambda s: s.update(["x", 1]), "y: expected numbers"),
        (lambda s: s.update([1.0], series=["z"]), "series: there is no 'z' in the stream"),
        (lambda s: s.update([1.0, 1.0], series=["a", "a"]), "each may be named once in a call"),
    ],
)
def test_mistakes_leave_a_stream_as_it_was(model, call, message):
    stream = model.stream(["a", "b"])
    with pytest.raises(DataError, match=message):
        call(stream)
    assert stream.lengths.tolist() == [0, 0]


def test_mistakes_in_making_a_stream_are_told(model):
    with pytest.raises(DataError, match="ids: 2 of them, 1 different"):
        model.stream(["a", "a"])
    with pytest.raises(DataError, match="ids: 0 of them"):
        model.stream([])
    with pytest.raises(DataError, match="first='2020-01-01': must be a whole number"):
        model.stream(["a"], first="2020-01-01")
    with pytest.raises(ConfigError, match="adaptive=100: must be a percentage"):
        model.stream(["a"], adaptive=100)
    with pytest.raises(ConfigError, match="rate=0"):
        model.stream(["a"], adaptive=80, rate=0)
    with pytest.raises(ConfigError, match="level=0: must be a percentage"):
        model.stream(["a"]).update(1.0).interval(0)


@pytest.mark.parametrize(
    "settings",
    [
        ("model.scale=level", "model.patch=1"),
        ("model.scale=seasonal", "model.patch=4"),
        ("model.scale=smoothing", "model.patch=3"),
        ("model.num_layers=2", "model.dilations=[1, 2]"),
        (
            "model.num_layers=3", "model.dilations=[1, 2, 4]", "model.patch=3",
            "model.residual=true", "model.layer_norm=true", "model.peephole=true",
        ),
        (
            "model.num_layers=3", "model.dilations=[2, 1, 3]", "model.patch=3",
            "model.residual=true", "model.proj_size=4",
        ),
    ],
    ids=["level", "seasonal", "smoothing", "dilated", "normed", "projected"],
)  # fmt: skip
def test_every_kind_of_network_streams_at_every_point(settings, tmp_path):
    panel = waves(2, 90, seed=3)
    model = forecaster(tmp_path, panel, *settings)
    series = np.stack([panel.series(i)[:, 0] for i in range(2)])
    series[0, 17:20] = np.nan
    stream = model.stream(list(panel.ids))
    for t in range(30):
        found = stream.update(series[:, t])
        assert_as_whole(model, stream, list(series[:, : t + 1]), found)
