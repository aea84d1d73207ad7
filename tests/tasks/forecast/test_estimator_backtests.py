"""Looking back: cross-validation and forecasts along the history."""

import numpy as np
import pandas as pd
import pytest

from loopwise.errors import (
    DataError,
    DataWarning,
)
from tasks.forecast.estimators import LEVELS, close, forecaster, table


@pytest.mark.parametrize("refit", [False, True, "warm"])
def test_cross_validation_sees_nothing_after_a_cutoff(refit):
    frame = table(96)
    changed = frame.copy()
    late = changed["ds"] > pd.Timestamp("2007-06-01")  # after the second of two cutoffs
    changed.loc[late, "y"] = 1e6
    settings = {"max_steps": 3}
    one = forecaster(**settings).cross_validate(2, df=frame, refit=refit, level=LEVELS)
    other = forecaster(**settings).cross_validate(2, df=changed, refit=refit, level=LEVELS)
    close(one, other, rtol=0)
    later = one[one["ds"] > pd.Timestamp("2007-06-01")]
    assert (other.loc[later.index, "y"] == 1e6).all()


def test_cross_validation_sees_nothing_that_was_interpolated_from_later():
    frame = table(96)
    # a gap over the only cutoff, which lines would fill from what comes after it
    frame.loc[frame["ds"].between("2007-05-01", "2007-08-01"), "y"] = np.nan
    changed = frame.copy()
    changed.loc[changed["ds"] > "2007-08-01", "y"] *= 100
    settings = {"max_steps": 3, "missing": "interpolate"}
    with pytest.warns(DataWarning, match="interpolated"):
        one = forecaster(**settings).cross_validate(1, df=frame)
    with pytest.warns(DataWarning, match="interpolated"):
        close(one, forecaster(**settings).cross_validate(1, df=changed), rtol=0)
    assert one["y"].isna().sum() == 6  # July and August of three series


def test_a_window_of_cross_validation_is_a_forecast_of_what_came_before_it():
    frame = table()
    model = forecaster(max_steps=5)
    found = model.cross_validate(2, level=[80], df=frame, refit=True)
    assert found.groupby("unique_id")["cutoff"].nunique().tolist() == [2, 2, 2]
    assert found["ds"].max() == frame["ds"].max()
    merged = found.merge(frame, on=["unique_id", "ds"])
    np.testing.assert_array_equal(merged["y_x"], merged["y_y"])
    last = found["cutoff"].max()
    there = forecaster(max_steps=5).fit(frame[frame["ds"] <= last]).predict(level=[80])
    close(found[found["cutoff"] == last], there, rtol=0)


def test_cross_validation_leaves_the_model_as_it_is(model):
    before = model.predict()
    model.cross_validate(1)
    pd.testing.assert_frame_equal(model.predict(), before)


def test_series_too_short_for_cross_validation_are_left_out():
    frame = pd.concat([table(), table(8, ["short"])])
    with pytest.warns(DataWarning, match="1 of 4 series are left out, .*: 'short'"):
        found = forecaster(max_steps=2).cross_validate(2, df=frame)
    assert set(found["unique_id"]) == {"a", "b", "c"}
    with pytest.raises(DataError, match="the longest series, 'a', has 8 points"):
        forecaster().cross_validate(2, df=table(8))


def test_historical_forecasts_are_those_of_each_beginning(model):
    frame = pd.concat([table(), table(30, ["late"], seed=3)])
    found = model.historical_forecasts(10, 7, 2, df=frame, level=[80])
    for (name, cutoff), part in found.groupby(["unique_id", "cutoff"]):
        before = frame[(frame["unique_id"] == name) & (frame["ds"] <= cutoff)]
        close(part, model.predict(2, df=before, level=[80]))
        assert part["y"].notna().all()
    assert found[found["unique_id"] == "late"]["cutoff"].nunique() == 3


@pytest.mark.parametrize(
    ("start", "first"), [(24, "2002-01-01"), (0.5, "2003-01-01"), ("2004-03-01", "2004-03-01")]
)
def test_historical_forecasts_start_where_they_are_asked_to(model, start, first):
    found = model.historical_forecasts(start)
    assert found["ds"].min() == pd.Timestamp(first)
    assert found["ds"].max() == pd.Timestamp("2005-12-01")
