import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from loopwise.codec.series.output import TableKind, forecast_table
from loopwise.codec.series.panel import Panel
from loopwise.codec.series.table import panel_from_table
from loopwise.errors import DataError

LENGTH, HORIZON = 6, 4


def halves(stamps):
    """A table of two series with the first stamps, and one with those that follow."""
    frame = pd.DataFrame({"ds": stamps})
    both = pd.concat([frame.assign(unique_id=name) for name in ("b", "a")])
    both = both[["unique_id", "ds"]].assign(y=1.0)
    return both.groupby("unique_id", sort=False).head(LENGTH), (
        both.groupby("unique_id", sort=False).tail(HORIZON).reset_index(drop=True)
    )


def forecast(table, **columns):
    panel = panel_from_table(table)
    stamps = panel.stamps_after(HORIZON)
    columns = columns or {"y": np.ones(stamps.shape)}
    return forecast_table(TableKind.of(table), panel, stamps, columns)


AHEAD = dt.timezone(dt.timedelta(hours=2))
STAMPS = [
    pd.date_range("2024-03-28", periods=LENGTH + HORIZON, freq=step, tz=zone)
    for step in ("h", "6h", "D", "B", "W", "MS", "ME", "YE")
    for zone in (None, "UTC", "Europe/Berlin", "America/New_York", AHEAD)
]


@pytest.mark.parametrize("stamps", STAMPS, ids=lambda stamps: f"{stamps.freqstr} {stamps.tz}")
@pytest.mark.parametrize("unit", ["ns", "us", "s"])
def test_pandas_gets_the_rows_that_follow_in_the_types_that_came(stamps, unit):
    known, ahead = halves(stamps.as_unit(unit))
    pd.testing.assert_frame_equal(forecast(known), ahead)


@pytest.mark.parametrize(
    "stamps",
    [each for each in STAMPS if each.tz != AHEAD],
    ids=lambda stamps: f"{stamps.freqstr} {stamps.tz}",
)
def test_polars_gets_the_rows_that_follow_in_the_types_that_came(stamps):
    known, ahead = (pl.from_pandas(frame) for frame in halves(stamps))
    got = forecast(known)
    assert got.schema == ahead.schema
    assert got.equals(ahead)
    if str(stamps.tz) == "None":
        assert isinstance(forecast(known.to_arrow()), pa.Table)


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.astype({"unique_id": "category"}),
        lambda frame: frame.astype({"unique_id": object}),
        lambda frame: frame.assign(unique_id=(frame.unique_id == "a") + 7),
        lambda frame: frame.assign(ds=frame.ds.dt.to_period("D")),
        lambda frame: frame.assign(ds=frame.ds.dt.date),
        lambda frame: frame.assign(ds=frame.ds.dt.strftime("%Y-%m-%d")),
        lambda frame: frame.assign(ds=frame.ds.dt.strftime("%Y/%m/%d")),
        lambda frame: frame.assign(ds=frame.ds.dt.strftime("%Y-%m-%d %H:%M:%S")),
        lambda frame: frame.assign(ds=frame.ds.dt.strftime("%Y-%m-%dT%H:%M:%SZ")),
        lambda frame: frame.assign(ds=frame.ds.dt.day),
        lambda frame: frame.assign(ds=frame.ds.dt.day.astype("int16")),
        lambda frame: frame.assign(ds=frame.ds.dt.day.astype(str)),
    ],
)
def test_ids_and_stamps_keep_their_type_and_manner(change):
    known, ahead = (change(frame) for frame in halves(pd.date_range("2024-01-01", periods=10)))
    pd.testing.assert_frame_equal(forecast(known), ahead)


@pytest.mark.parametrize("ids", [pl.Categorical, pl.Enum(["b", "a"]), pl.String])
@pytest.mark.parametrize("stamps", [pl.Date, pl.Datetime("ms"), pl.Datetime("ns")])
def test_types_of_polars_are_kept(ids, stamps):
    known, ahead = (
        pl.from_pandas(frame).cast({"unique_id": ids, "ds": stamps})
        for frame in halves(pd.date_range("2024-01-01", periods=10))
    )
    got = forecast(known)
    assert got.schema == ahead.schema
    assert got.equals(ahead)


def test_one_series_without_ids_gets_none():
    table = pl.DataFrame({"ds": [1, 2, 3], "y": [1.0, 2, 3]})
    assert forecast(table).columns == ["ds", "y"]


def test_a_wide_table_gets_a_long_one():
    table = pd.DataFrame({"ds": [1, 2, 3], "a": [1.0, 2, 3], "b": [1.0, 2, 3]})
    panel = panel_from_table(table, layout="wide")
    kind = TableKind.of(table, layout="wide")
    got = forecast_table(kind, panel, panel.stamps_after(1), {"y": np.zeros((2, 1))})
    assert got.to_dict("list") == {"unique_id": ["a", "b"], "ds": [4, 4], "y": [0.0, 0.0]}


def test_columns_may_hold_stamps_too():
    known, ahead = halves(pd.date_range("2024-03-28", periods=10, tz="Europe/Berlin"))
    panel = panel_from_table(known)
    stamps = panel.stamps_after(HORIZON)
    cutoff = np.broadcast_to(panel.stamps_after(1), stamps.shape)
    got = forecast_table(TableKind.of(known), panel, stamps, {"cutoff": cutoff})
    assert got.cutoff.dtype == known.ds.dtype
    assert (got.cutoff == ahead.ds.iloc[0]).all()


def test_a_panel_of_arrays_gets_polars():
    panel = Panel.from_arrays([[1, 2], [3, 4]], first="2024-01-01", frequency="D")
    got = forecast_table(TableKind(), panel, panel.stamps_after(1), {"mean": np.ones((2, 1))})
    assert got.schema == {"unique_id": pl.Int64, "ds": pl.Datetime("us"), "mean": pl.Float64}


def test_what_does_not_fit_is_refused():
    known, _ = halves(range(10))
    with pytest.raises(DataError, match=r"column 'm' is \[2, 1\], stamps \[2, 4\]"):
        forecast(known, m=np.zeros((2, 1)))
    with pytest.raises(DataError, match="column 'ds' would replace"):
        forecast(known, ds=np.zeros((2, HORIZON)))
