"""Streams of a fitted forecaster."""

import numpy as np
import pandas as pd
import pytest

from loopwise.errors import (
    DataError,
)
from tasks.forecast.estimators import forecaster, table


def test_a_stream_goes_on_where_the_table_ends(model):
    known, later = table(), table(80)[lambda x: x["ds"] >= "2006-01-01"]
    frame = pd.concat([known, later])
    stream = model.stream()
    for _, points in later.groupby("ds"):
        found = stream.update(points["y"])
    whole = model.predict(df=frame, level=[80])
    np.testing.assert_allclose(found.median.ravel(), whole["loopwise"], rtol=1e-5)
    np.testing.assert_allclose(found.interval(80)[1].ravel(), whole["loopwise-hi-80"], rtol=1e-5)
    other = model.stream(known)
    assert other.lengths.tolist() == [72, 72, 72]


@pytest.mark.parametrize("names", [("a", "b", "c"), (7, 8, 9)], ids=["texts", "numbers"])
def test_a_stream_of_known_series_goes_on_where_they_end(names):
    sizes = dict(zip(names, [0.0, 1.0, 4.0], strict=True))
    known, later = (
        table(length, names).assign(size=lambda x: x["unique_id"].map(sizes)) for length in (72, 80)
    )
    later = later[later["ds"] >= "2006-01-01"]
    model = forecaster(max_steps=3, static="size").fit(known)
    whole = model.predict(df=pd.concat([known, later]), level=[80])
    one, last = later[later["unique_id"] == names[0]], names[2]
    stream = model.stream(names[0])
    assert (stream.ids, stream.lengths.tolist()) == ((names[0],), [72])
    for y in one["y"]:
        found = stream.update(y)
    expected = whole[whole["unique_id"] == names[0]]
    np.testing.assert_allclose(found.median.ravel(), expected["loopwise"], rtol=1e-5)
    np.testing.assert_allclose(found.interval(80)[1].ravel(), expected["loopwise-hi-80"], rtol=1e-5)
    # several, among them one that begins
    stream = model.stream([last, "new", names[0]])
    assert (stream.ids, stream.lengths.tolist()) == ((last, "new", names[0]), [72, 0, 72])
    for own, other in zip(one["y"], later[later["unique_id"] == last]["y"], strict=True):
        found = stream.update([other, own, own])
    for row, name in ((0, last), (2, names[0])):
        expected = whole[whole["unique_id"] == name]["loopwise"]
        np.testing.assert_allclose(found.median[row].ravel(), expected, rtol=1e-5)
    begun = one.assign(unique_id="new", size=np.nan)
    alone = model.fitted.predict(begun, missing="mask")["loopwise"]
    np.testing.assert_allclose(found.median[1].ravel(), alone, rtol=1e-5)


def test_streams_of_series_take_one_name_or_several(model):
    assert model.stream("x").update(3.0).median.shape == (1, 6, 1)
    assert model.stream(np.array(["a", "x"])).lengths.tolist() == [72, 0]
    with pytest.raises(DataError, match="ids: 2 of them, 1 different"):
        model.stream(["a", "a"])
    numbered = forecaster(max_steps=1).fit(table(names=[7, 8]))
    assert numbered.stream("7").ids == (7,)
    assert numbered.stream(np.int64(7)).lengths.tolist() == [72]


def test_a_stream_is_told_covariates():
    frame = table(90)
    rng = np.random.default_rng(5)
    frame["price"], frame["visits"] = rng.normal(size=(2, len(frame)))
    frame["size"] = np.repeat([1.0, 5.0, 9.0], 90)
    model = forecaster(
        future="price", past="visits", static="size", calendar=True, max_steps=3
    ).fit(frame)  # fmt: skip
    stamps = np.sort(frame["ds"].unique())
    price = frame.pivot(index="unique_id", columns="ds", values="price").to_numpy()[..., None]
    visits = frame.pivot(index="unique_id", columns="ds", values="visits").to_numpy()[..., None]
    stream = model.stream(frame[frame["ds"] < stamps[60]])
    for t in range(60, 84):
        points = frame[frame["ds"] == stamps[t]]
        found = stream.update(points["y"], past=visits[:, t], future=price[:, t : t + 7])
    whole = model.predict(
        df=frame[frame["ds"] <= stamps[83]], future=frame.drop(columns="y"), level=[80]
    )
    np.testing.assert_allclose(found.median.ravel(), whole["loopwise"], rtol=1e-5)
    np.testing.assert_allclose(found.interval(80)[0].ravel(), whole["loopwise-lo-80"], rtol=1e-5)
    with pytest.raises(
        DataError, match=r"the model needs 'price': give them as future=, \[3, 7, 1"
    ):
        stream.update(points["y"], past=visits[:, 84])
    with pytest.raises(DataError, match="the model is told the calendar: give first="):
        model.stream(["x"])
    assert len(model.stream(["x"], first="2001-01-01")) == 1
