"""Covariates known ahead, from a table of their own."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from codec.series.tables import long
from loopwise.codec.series.table import Columns, future_values, panel_from_table
from loopwise.errors import DataError


def test_future_values_lie_after_the_end_of_each_series():
    days = np.arange("2024-01-01", "2024-01-08", dtype="M8[D]").astype("M8[us]")
    frame = long(price=np.arange(8.0)).filter(
        ~((pl.col("unique_id") == "b") & (pl.col("ds") > days[2]))
    )
    columns = Columns(future="price")
    panel = panel_from_table(frame, columns)
    ahead = pl.DataFrame(
        {
            "unique_id": ["b"] * 7 + ["a"] * 7 + ["other"] * 7,
            "ds": np.tile(days, 3),
            "price": range(21),
        }
    )
    found = future_values(ahead, panel, columns, horizon=2)
    np.testing.assert_array_equal(found[..., 0], [[11, 12], [3, 4]])
    np.testing.assert_array_equal(
        future_values(ahead.to_pandas(), panel, columns, horizon=2), found
    )
    shared = ahead.filter(pl.col("unique_id") == "b").drop("unique_id")
    np.testing.assert_array_equal(
        future_values(shared, panel, columns, horizon=2)[..., 0], [[4, 5], [3, 4]]
    )

    def error(table, horizon=2):
        with pytest.raises(DataError) as caught:
            future_values(table, panel, columns, horizon=horizon)
        return str(caught.value)

    assert error(ahead, 4) == (
        "series 'a': no row for 2024-01-08, where 'price' must be known for a forecast"
    )
    assert error(ahead.filter(pl.col("unique_id") != "b")).startswith(
        "series 'b': no row for 2024-01-04, where 'price' must be known for a forecast (2 such"
    )
    hole = ahead.with_columns(
        price=pl.when(pl.int_range(21) == 12).then(None).otherwise(pl.col("price"))
    )
    assert error(hole) == (
        "series 'a', row 13 (2024-01-06): 'price' is missing; a forecast needs it"
    )
    assert error(pl.concat([ahead, ahead[8:9]])) == (
        "series 'a', row 9: 2024-01-02 comes again in row 22; covariates have each stamp once"
    )
    assert error(pl.concat([shared, shared[:1]])) == (
        "row 1: 2024-01-01 comes again in row 8; covariates have each stamp once"
    )
    plain = panel_from_table(frame)
    assert future_values(None, plain, columns, horizon=2).shape == (2, 2, 0)
    assert error(ahead.rename({"price": "prices"})).startswith(
        "the table has no column 'price'; did you mean 'prices'?"
    )
    assert error(ahead.with_columns(ds=pl.int_range(21))) == (
        "column 'ds': stamps of the series are times, these are numbers"
    )


def test_future_values_in_a_zone():
    index = pd.date_range("2024-03-29", periods=6, freq="D", tz="Europe/Berlin")
    frame = pd.DataFrame({"ds": index, "y": 1.0, "x": range(6)})
    columns = Columns(future="x")
    panel = panel_from_table(frame.head(3), columns)
    for ahead in (
        frame,
        frame.assign(ds=index.tz_convert("UTC")),
        frame.assign(ds=index.tz_localize(None)),
    ):
        np.testing.assert_array_equal(
            future_values(ahead, panel, columns, horizon=3)[0, :, 0], [3, 4, 5]
        )
