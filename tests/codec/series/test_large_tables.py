"""Many series, and a long one, within time and memory."""

import tracemalloc

import numpy as np
import polars as pl

from loopwise.codec.series.table import panel_from_table


def many_series(number):
    length = 20
    return pl.DataFrame(
        {
            "unique_id": np.repeat(np.arange(number), length).astype(str),
            "ds": np.tile(np.arange("2024-01-01", "2024-01-21", dtype="M8[D]"), number),
            "y": np.arange(number * length, dtype=float),
        }
    )


def test_a_hundred_thousand_series_in_one_pass():
    number = 100_000
    panel = panel_from_table(many_series(number))
    assert len(panel) == number
    assert panel.before(5).values.shape == (number * 15, 1)
    assert panel.stamps_after(3).shape == (number, 3)
    np.testing.assert_array_equal(panel.series(99_999)[:, 0], np.arange(1_999_980, 2_000_000))


def test_memory_is_a_few_times_the_values():
    frame = many_series(10_000)  # each allocation is traced, which takes ten times as long
    tracemalloc.start()
    try:
        panel = panel_from_table(frame)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * panel.values.nbytes


def test_a_series_of_a_million_points():
    frame = pl.DataFrame({"ds": np.arange(10**6).astype("M8[m]").astype("M8[us]"), "y": 1.0})
    panel = panel_from_table(frame.with_columns(ds=pl.col("ds").dt.replace_time_zone("UTC")))
    assert panel.frequency.name == "min"
    assert panel.stamps(0)[-1] == np.datetime64(10**6 - 1, "m")
