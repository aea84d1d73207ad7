"""Laws that tables keep, whatever is in them."""

import warnings

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from loopwise.codec.series.frequency import Frequency
from loopwise.codec.series.table import panel_from_table
from loopwise.errors import DataWarning

STEPS = ["1", "min", "h", "D", "B", "W", "MS", "ME", "QS"]
NUMBERS = st.floats(-1e6, 1e6)
SERIES = st.lists(
    st.tuples(NUMBERS, st.lists(st.none() | NUMBERS, max_size=10), NUMBERS).map(
        lambda parts: [parts[0], *parts[1], parts[2]]  # a series begins and ends with a value
    ),
    min_size=1,
    max_size=4,
)


def table(series, step):
    """A long table with rows for what is there, and all rows with null for the rest."""
    frequency = Frequency.parse(step)
    first = np.int64(5) if frequency.numbered else frequency.at("2024-02-26", 0)
    parts = [
        pl.DataFrame(
            {
                "unique_id": [f"s{i}"] * len(values),
                "ds": frequency.stamps(first, len(values)),
                "y": pl.Series(values, dtype=pl.Float64),
            }
        )
        for i, values in enumerate(series)
    ]
    return pl.concat(parts)


def read(frame, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return panel_from_table(frame, **options)


def same(one, other):
    assert one.ids == other.ids
    assert one.schema == other.schema
    for name in ("offsets", "first", "values"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@given(SERIES, st.sampled_from(STEPS))
def test_a_row_that_is_not_there_and_one_without_a_value_are_the_same(series, step):
    frame = table(series, step)
    masked = read(frame, missing="mask", frequency=step)
    same(masked, read(frame.drop_nulls(), missing="mask", frequency=step))
    expected = [np.nan if value is None else value for values in series for value in values]
    np.testing.assert_array_equal(masked.values[:, 0], expected)
    np.testing.assert_array_equal(masked.all_stamps(), frame["ds"].to_numpy())


@given(SERIES, st.sampled_from(STEPS), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_only_the_order_of_series(series, step, random):
    frame = table(series, step)
    order = list(range(frame.height))
    random.shuffle(order)
    shuffled = read(frame[order], missing="mask", frequency=step)
    names = [f"s{i}" for i in range(len(series))]
    same(
        read(frame[order], missing="mask", frequency=step, ids=names),
        read(frame, missing="mask", frequency=step),
    )
    assert list(shuffled.ids) == frame[order]["unique_id"].unique(maintain_order=True).to_list()


@given(SERIES, st.sampled_from(STEPS))
def test_interpolation_is_that_of_numpy_in_each_series(series, step):
    panel = read(table(series, step), missing="interpolate", frequency=step)
    for i, values in enumerate(series):
        known = [k for k, value in enumerate(values) if value is not None]
        expected = np.interp(range(len(values)), known, [values[k] for k in known])
        np.testing.assert_allclose(panel.series(i)[:, 0], expected, rtol=1e-9, atol=1e-6)


@given(SERIES)
def test_long_wide_and_rows_are_three_ways_to_say_the_same(series):
    long = table(series, "1").with_columns(ds=pl.col("ds") - 4)
    wide = long.pivot("unique_id", index="ds", values="y").sort("ds")
    rows = long.pivot("ds", index="unique_id", values="y", maintain_order=True)
    expected = read(long, missing="mask", frequency=1)
    same(read(wide, missing="mask", layout="wide", frequency=1), expected)
    same(read(rows, missing="mask", layout="rows", frequency=1), expected)
