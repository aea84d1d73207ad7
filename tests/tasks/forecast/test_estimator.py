"""`loopwise.Forecaster`, as a person in Python uses it."""

import copy
import dataclasses
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone

import loopwise
from loopwise.errors import (
    ConfigError,
    DataError,
    DataWarning,
    LoopwiseError,
    RunError,
    TrainingError,
)
from loopwise.runtime.forecaster import LoadedForecaster
from loopwise.tasks.forecast.config import ForecastConfig
from tasks.forecast.estimators import LEVELS, SETTINGS, close, forecaster, table


def test_it_is_fitted_quietly_and_forecasts_its_series(capsys):
    model = forecaster()
    assert model.fit(table()) is model
    assert model.result.steps == 20
    assert capsys.readouterr().out == ""
    found = model.predict()
    assert list(found.columns) == ["unique_id", "ds", "loopwise"]
    assert found["unique_id"].tolist() == ["a"] * 6 + ["b"] * 6 + ["c"] * 6
    assert found["ds"].iloc[0] == pd.Timestamp("2006-01-01")
    assert np.isfinite(found["loopwise"]).all()


def test_progress_is_shown_on_demand(capsys):
    forecaster(max_steps=1).fit(table(), verbose=True)
    assert "3 series of 72 points" in capsys.readouterr().out


def test_what_it_was_fitted_to_is_as_good_as_a_table(model):
    close(model.predict(level=LEVELS), model.predict(df=table(), level=LEVELS), rtol=0)


def test_it_is_better_than_no_season(model):
    found = model.evaluate().set_index("model")
    assert found.loc["loopwise", "mase"] < found.loc["naive", "mase"]
    assert {"seasonal naive", "naive", "drift", "naive2"} < set(found.index)
    each = model.evaluate(per_series=True)
    assert each["unique_id"].unique().tolist() == ["a", "b", "c"]
    means = each.groupby("model")[["mae", "mase", "smape"]].mean()
    pd.testing.assert_frame_equal(means, found.loc[means.index, means.columns])


def test_only_what_was_held_out_is_evaluated():
    model = forecaster(max_steps=1, valid_series=2).fit(table())
    each = model.evaluate(per_series=True)
    assert len(each["unique_id"].unique()) == 2
    assert len(model.evaluate(table(), per_series=True)["unique_id"].unique()) == 3


def test_series_too_short_to_be_evaluated_are_named(model):
    frame = pd.concat([table(), table(7, ["short", "small"], seed=2)])
    with pytest.warns(DataWarning, match="2 series left out, .*: 'short', 'small'") as caught:
        found = model.evaluate(df=frame)
    assert caught[0].filename == __file__
    pd.testing.assert_frame_equal(found, model.evaluate(df=table()))


@pytest.mark.parametrize("point", ["median", "mean"])
@pytest.mark.parametrize("h", [2, 6, 15])
def test_intervals_lie_within_each_other_and_about_the_median(model, h, point):
    found = model.predict(h, level=LEVELS, quantiles=[0.1, 0.9], point=point)
    assert len(found) == 3 * h
    ends = [f"loopwise-lo-{p}" for p in reversed(LEVELS)] + [f"loopwise-hi-{p}" for p in LEVELS]
    assert (np.diff(found[ends], axis=1) >= 0).all()
    np.testing.assert_allclose(found["loopwise-q-0.1"], found["loopwise-lo-80"])
    np.testing.assert_allclose(found["loopwise-q-0.9"], found["loopwise-hi-80"])


def test_a_longer_horizon_begins_like_a_shorter_one(model):
    close(model.predict(2), model.predict(6).groupby("unique_id").head(2), rtol=0)


def test_the_size_of_a_series_does_not_matter():
    frame = table()
    larger = frame.assign(y=frame["y"] * 1000)
    one, other = forecaster().fit(frame), forecaster().fit(larger)
    there = one.predict(level=LEVELS)
    names = [name for name in there.columns if name.startswith("loopwise")]
    np.testing.assert_allclose(other.predict(level=LEVELS)[names], there[names] * 1000, rtol=1e-3)
    close(one.predict(df=larger).assign(loopwise=lambda x: x["loopwise"] / 1000), one.predict())


def test_the_order_of_series_does_not_matter(model):
    frame = table()
    turned = pd.concat([part for _, part in reversed(list(frame.groupby("unique_id")))])
    found = model.predict(df=turned, level=LEVELS)
    assert found["unique_id"].tolist() == ["c"] * 6 + ["b"] * 6 + ["a"] * 6
    close(found.sort_values(["unique_id", "ds"]), model.predict(level=LEVELS))


def test_series_that_it_has_not_seen_are_forecast(model):
    unseen = table(40, ["x", "y"], seed=7)
    assert np.isfinite(model.predict(df=unseen, level=LEVELS).iloc[:, 2:]).all(axis=None)
    with pytest.raises(DataError, match="the step of this table is D, that of the model is MS"):
        model.predict(df=unseen.assign(ds=pd.date_range("2000", periods=80, freq="D")))


@pytest.mark.parametrize(
    "of",
    [
        lambda t: np.full(len(t), 3.0),
        lambda t: np.zeros(len(t)),
        lambda t: -5 + np.sin(t),
        lambda t: np.where(t % 7 == 0, 4.0, 0.0),
        lambda t: np.exp(t / 5),
    ],
    ids=["constant", "zero", "negative", "rare", "explosive"],
)
def test_odd_series_are_learned_from_and_forecast(of):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = forecaster(max_steps=4).fit(table(names=["odd"], of=of))
        found = model.predict(level=LEVELS).iloc[:, 2:]
    assert np.isfinite(found).all(axis=None)


def test_constant_series_stay_about_constant(model):
    found = model.predict(df=table(names=["flat"], of=lambda t: np.full(len(t), 7.0)), level=[95])
    np.testing.assert_allclose(found.iloc[:, 2:], 7.0, rtol=1e-4)


@pytest.mark.parametrize("length", [1, 2, 5, 13])
def test_short_series_are_forecast(model, length):
    found = model.predict(df=table(length, ["new"]), level=LEVELS)
    assert np.isfinite(found.iloc[:, 2:]).all(axis=None)


def test_series_too_short_to_hold_anything_out_are_told():
    with pytest.raises(
        DataError, match="the longest series, 'a', has 7 points; with a horizon of 6"
    ):
        forecaster(window=12).fit(table(7))
    frame = pd.concat([table(), table(7, ["short", "small"])])
    with pytest.warns(
        DataWarning,
        match="2 of 5 series have fewer than 8 points, so nothing of them is validated on: "
        "'short', 'small'$",
    ):
        forecaster(max_steps=1).fit(frame)
    with pytest.raises(DataError, match=r"data\.valid=3 points are held out, and the horizon is 6"):
        forecaster(valid=3).fit(table())


def test_tables_of_polars_come_back_as_polars(model):
    frame = pl.DataFrame(table())
    found = model.predict(df=frame, level=[80])
    assert isinstance(found, pl.DataFrame)
    np.testing.assert_allclose(found["loopwise"], model.predict()["loopwise"])
    own = forecaster(max_steps=2).fit(frame)
    for each in (
        own.predict(), own.simulate(2), own.cross_validate(1), own.historical_forecasts(),
        own.evaluate(), own.evaluate(per_series=True),
    ):  # fmt: skip
        assert isinstance(each, pl.DataFrame)


def test_columns_have_the_names_that_they_are_given(capsys):
    frame = table().rename(columns={"unique_id": "shop", "ds": "day", "y": "sold"})
    frame["price"] = np.sin(np.arange(len(frame)))
    frame["visits"] = np.cos(np.arange(len(frame)))
    frame["kind"] = np.where(frame["shop"] == "a", "big", "small")
    frame["important"] = 2.0
    model = forecaster(
        id="shop", time="day", target="sold", future="price", past=["visits"], static=["kind"],
        weight="important", max_steps=3,
    ).fit(frame)  # fmt: skip
    stamps = pd.date_range("2006-01-01", periods=6, freq="MS")
    future = pd.DataFrame({"day": stamps, "price": np.zeros(6)})
    found = model.predict(future=future)
    assert list(found.columns) == ["shop", "day", "loopwise"]
    without = frame.drop(columns="important")
    close(model.predict(df=without, future=future), found, rtol=0)
    checked = model.cross_validate(2, level=[80])
    assert {"shop", "day", "cutoff", "sold", "loopwise", "loopwise-lo-80"} < set(checked.columns)
    with pytest.raises(DataError, match="'price' over the 6 steps"):
        model.predict()


def test_several_targets_are_forecast_beside_each_other():
    frame = table().assign(z=lambda x: 3 * x["y"])
    model = forecaster(target=["y", "z"], max_steps=3).fit(frame)
    found = model.predict(level=[80])
    assert {"loopwise-y", "loopwise-z", "loopwise-z-hi-80"} < set(found.columns)
    np.testing.assert_allclose(found["loopwise-z"], 3 * found["loopwise-y"], rtol=1e-3)
    assert {"y", "z", "loopwise-z"} < set(model.cross_validate(1).columns)
    assert {"y", "z"} < set(model.historical_forecasts().columns)


def test_paths_are_drawn(model):
    found = model.simulate(3, h=8, seed=1)
    assert list(found.columns[2:]) == [f"loopwise-path-{n}" for n in (1, 2, 3)]
    assert len(found) == 24
    pd.testing.assert_frame_equal(found, model.simulate(3, h=8, seed=1))
    assert not found.equals(model.simulate(3, h=8, seed=2))


def test_forecasts_are_drawn(model):
    figure = model.plot(series=["b", "a"], n_paths=3)
    assert [axis.get_title("left") for axis in figure.axes[:2]] == ["b", "a"]
    for one in ("b", ["b"]):
        assert [axis.get_title("left") for axis in model.plot(series=one).axes] == ["b"]
    model.plot(h=9, df=table(50), level=())
    with pytest.raises(DataError, match="there is no series 'z' among these 3"):
        model.plot(series=["z"])


def test_saved_and_loaded_it_is_the_same(model, tmp_path):
    model.save(tmp_path / "f.safetensors")
    there = loopwise.Forecaster.load(tmp_path / "f.safetensors")
    close(there.predict(df=table(), level=LEVELS), model.predict(level=LEVELS), rtol=0)
    plain = loopwise.load(tmp_path / "f.safetensors")
    close(plain.predict(table(), level=LEVELS), model.predict(level=LEVELS), rtol=0)
    assert there.config == model.config
    assert there.get_params()["hidden_size"] == 8
    with pytest.raises(RunError, match="has no series of its own: give them as df="):
        there.predict()
    settings = {"unit": "chars", "max_steps": 1, "batch_size": 2, "threads": 1, "hidden_size": 4}
    loopwise.LanguageModel(**settings).fit("abc " * 200).save(tmp_path / "lm.safetensors")
    with pytest.raises(ConfigError, match="is a language-model, not a forecaster"):
        loopwise.Forecaster.load(tmp_path / "lm.safetensors")


@pytest.mark.parametrize("missing", ["error", "mask"])
def test_a_saved_model_knows_the_layout_of_its_table(missing, tmp_path):
    wide = table().pivot(index="ds", columns="unique_id", values="y").reset_index()
    model = forecaster(max_steps=2, layout="wide", missing=missing).fit(wide)
    model.save(tmp_path / "f.safetensors")
    plain = loopwise.load(tmp_path / "f.safetensors")
    holed = wide.assign(b=wide["b"].where(wide.index != 40))
    for there in (loopwise.Forecaster.load(tmp_path / "f.safetensors"), plain):
        found = there.predict(df=wide) if there is not plain else there.predict(wide)
        close(found, model.predict(), rtol=0)
    if missing == "mask":
        with pytest.warns(DataWarning, match="'y' is missing; taken as unknown"):
            assert np.isfinite(plain.predict(holed)["loopwise"]).all()
    else:
        with pytest.raises(DataError, match="'y' is missing"):
            plain.predict(holed)
    close(plain.predict(table(), layout="long"), model.predict(), rtol=0)
    # a bundle from before it was kept is of the long layout
    before = dataclasses.replace(plain.bundle, codec=dict(plain.bundle.codec))
    del before.codec["layout"], before.codec["missing"]
    close(LoadedForecaster(before).predict(table()), model.predict(), rtol=0)


def test_a_run_is_loaded_with_its_options(tmp_path):
    model = forecaster(max_steps=2).fit(table(), out=tmp_path / "run")
    there = loopwise.Forecaster.load(tmp_path / "run")
    assert there.config == model.config
    close(there.predict(df=table()), model.predict(), rtol=0)


def test_a_bundle_without_options_tells_what_it_can(tmp_path):
    forecaster(max_steps=2, target="y").fit(table(), out=tmp_path / "run")
    there = loopwise.Forecaster.load(tmp_path / "run/bundle.safetensors")
    assert (there.config.data.horizon, there.config.model.hidden_size) == (6, 8)
    assert there.config.data.season_length == (12,)


def test_runs_are_equal_bit_by_bit_and_resumed_ones_too(tmp_path):
    frame = table()
    whole = forecaster(max_steps=12).fit(frame).predict(level=LEVELS)
    pd.testing.assert_frame_equal(forecaster(max_steps=12).fit(frame).predict(level=LEVELS), whole)
    # the schedule must not see where the first half ends
    settings = {"schedule": "constant", "warmup": 0, "validate_every": 6, "window": 24}
    whole = forecaster(max_steps=12, **settings).fit(frame).predict(level=LEVELS)
    forecaster(max_steps=6, **settings).fit(frame, out=tmp_path / "run")
    resumed = forecaster(max_steps=12, **settings).fit(frame, out=tmp_path / "run", resume=True)
    pd.testing.assert_frame_equal(resumed.predict(level=LEVELS), whole)
    assert not forecaster(max_steps=12, seed=2).fit(frame).predict(level=LEVELS).equals(whole)
    with pytest.raises(DataError, match="checkpoint is of other data"):
        forecaster(max_steps=12, **settings).fit(table(80), out=tmp_path / "run", resume=True)


def test_a_warm_start_begins_where_the_model_is():
    frame = table()
    model = forecaster(max_steps=60, validate_every=20).fit(frame)
    before = model.result.best
    cold = forecaster(max_steps=1, lr=1e-9).fit(frame).result.best
    model.set_params(max_steps=1, lr=1e-9)
    warm = model.fit(frame, warm_start=True).result.best
    assert warm == pytest.approx(before, rel=1e-3)
    assert cold != pytest.approx(before, rel=0.05)


def test_a_warm_start_needs_a_model_that_fits():
    frame = table()
    with pytest.raises(RunError, match="not trained yet"):
        forecaster().fit(frame, warm_start=True)
    model = forecaster(max_steps=1).fit(frame)
    with pytest.raises(ConfigError, match=r"to begin with is of another model: members\.0"):
        model.set_params(hidden_size=12).fit(frame, warm_start=True)
    with pytest.raises(ConfigError, match="a forecaster of other static: none in it and size here"):
        model.set_params(hidden_size=8, static=["size"]).fit(
            frame.assign(size=1.0), warm_start=True
        )


def test_parameters_are_kept_as_scikit_learn_keeps_them():
    model = forecaster(window=24)
    params = model.get_params()
    assert params == {**SETTINGS, "window": 24, "config": None}
    again = type(model)(**{name: copy.deepcopy(value) for name, value in params.items()})
    assert again.get_params() == params
    assert again.config == model.config
    assert again.set_params(window=36) is again
    assert again.config.model.window == 36
    assert repr(loopwise.Forecaster(3, cell="gru")) == "Forecaster(horizon=3, cell='gru')"
    with pytest.raises(ConfigError, match="unknown option 'windw'; did you mean 'window'"):
        again.set_params(windw=3)
    assert again.config.model.window == 36


def test_it_is_cloned_by_scikit_learn():
    for model in (forecaster(), loopwise.Forecaster(config=ForecastConfig())):
        again = clone(model)
        assert again is not model
        assert again.get_params() == model.get_params()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: forecaster(horizon=0), "horizon: must be greater than or equal to 1"),
        (lambda: forecaster(horizn=3), "unknown option 'horizn'; did you mean 'horizon'"),
        (lambda: forecaster(train="x.csv"), "train= is no option; give a table to fit"),
        (lambda: forecaster(config=ForecastConfig()), "give config= or .*=, not both"),
        (lambda: loopwise.Forecaster(config=3), "config= must be a ForecastConfig, not 3"),
        (lambda: forecaster().predict(), "not trained yet: call fit"),
        (lambda: forecaster().cross_validate(), "has no series of its own"),
        (lambda: forecaster().cross_validate(refit="cold", df=table()), "refit='cold': must be"),
        (lambda: forecaster().cross_validate(0, df=table()), "windows=0: must be a whole number"),
        (lambda: forecaster().fit(table(), resume=True), "resume=True: needs out="),
        (lambda: forecaster().fit(table(), overwrite=True), "overwrite=True: needs out="),
        (
            lambda: forecaster().fit(table(), resume=True, warm_start=True),
            "resume and warm_start exclude each other",
        ),
        (lambda: forecaster().fit([1, 2, 3]), "list is not a table"),
    ],
)
def test_mistakes_are_told(call, message):
    with pytest.raises(LoopwiseError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.predict(0), "h=0: must be a whole number from 1"),
        (lambda m: m.predict(level=[120]), "level=120: must be a percentage"),
        (lambda m: m.predict(level=[0.8]), "level=0.8: .* did you mean 80"),
        (lambda m: m.predict(level="wide"), "level='wide': must be a number"),
        (lambda m: m.predict(quantiles=[2]), "quantiles=2: must be .* did you mean 0.02"),
        (lambda m: m.predict(table(1)), "given a DataFrame; a table of series is given as df="),
        (lambda m: m.predict(future=table(1)), "knows no covariates ahead; leave it out"),
        (lambda m: m.plot(level=[0.8]), "level=0.8: .* did you mean 80"),
        (lambda m: m.predict(point="mode"), "point='mode': must be 'median' or 'mean'"),
        (lambda m: m.simulate(0), "n_paths=0: must be a whole number from 1"),
        (lambda m: m.historical_forecasts(h=7), "h=7: must be at most the horizon, 6"),
        (lambda m: m.historical_forecasts(1), "start=1: must be a number of points from 2"),
        (lambda m: m.historical_forecasts(1.5), "start=1.5: must be"),
        (lambda m: m.historical_forecasts("soon"), "start='soon': must be"),
        (lambda m: m.historical_forecasts("2030-01-01"), "is after the series, which end at"),
        (lambda m: m.historical_forecasts(stride=0), "stride=0: must be a whole number from 1"),
        (lambda m: m.historical_forecasts(70, h=6), "no series has a place with 6 points after it"),
    ],
)
def test_mistakes_in_asking_are_told(model, call, message):
    with pytest.raises(LoopwiseError, match=message):
        call(model)


def test_a_training_that_comes_to_nothing_is_told():
    with pytest.raises(TrainingError):
        forecaster(lr=1e30, clip=0, schedule="constant", average=0.0).fit(table())


@pytest.mark.parametrize(
    ("output", "wrong", "message"),
    [
        ("poisson", -1.0, "'y' is -1; with model.output=poisson it must be a whole number from 0"),
        ("negative-binomial", 2.5, "series 'b', 2000-05-01: 'y' is 2.5; .* a whole number from 0"),
        ("bernoulli", 2.0, "'y' is 2; with model.output=bernoulli it must be 0 or 1"),
    ],
)
def test_counts_are_counts(output, wrong, message):
    counts = table(of=lambda t: t % 2)
    counts.loc[72 + 4, "y"] = wrong
    with pytest.raises(DataError, match=message):
        forecaster(output=output).fit(counts)


def test_one_level_needs_no_list(model):
    assert list(model.predict(1, level=80)) == list(model.predict(1, level=[80]))
    assert list(model.predict(1, quantiles=0.1)) == list(model.predict(1, quantiles=[0.1]))
