"""What is wrong with a table and can be mended is mended, with a warning that says so."""

import numpy as np
import polars as pl
import pytest

from codec.series.tables import error_of, long, warning_of
from loopwise.codec.series.table import panel_from_table
from loopwise.errors import DataWarning


def test_rows_out_of_order_are_sorted_with_a_warning():
    frame = long()[[0, 1, 6, 3, 4, 5, 2, 7]]
    panel, message = warning_of(frame)
    assert message == (
        "series 'a', row 5: 2024-01-03 comes after 2024-01-04 (2 such rows); "
        "the rows of each series were sorted by time"
    )
    np.testing.assert_array_equal(panel.values, panel_from_table(long()).values)


def test_gaps_are_filled_with_a_warning():
    frame = long()[[0, 1, 2, 5, 6, 7]]
    panel, message = warning_of(frame, missing="mask")
    assert message == (
        "series 'a': no row for 2024-01-03, between row 3 (2024-01-02) and row 5 (2024-01-04), "
        "with frequency D (2 missing stamps); taken as unknown"
    )
    np.testing.assert_array_equal(panel.values[:, 0], [0, 2, np.nan, 6, 1, np.nan, 5, 7])
    panel, _ = warning_of(frame, missing="interpolate")
    np.testing.assert_allclose(panel.values[:, 0], [0, 2, 4, 6, 1, 3, 5, 7])


def test_missing_values_are_interpolated_within_their_series():
    frame = long(y=[None, 1.0, 2, np.inf, None, 5, 8, None])
    panel, message = warning_of(frame, missing="interpolate")
    assert message == (
        "series 'a', row 1 (2024-01-01): 'y' is missing (4 missing or infinite values); "
        "interpolated"
    )
    np.testing.assert_allclose(panel.values[:, 0], [2, 2, 5, 8, 1, 3, 5, 5])
    panel, _ = warning_of(frame, missing="mask")
    nan = np.nan
    np.testing.assert_array_equal(panel.values[:, 0], [nan, 2, nan, 8, 1, nan, 5, nan])


def test_strings_among_numbers_count_as_missing():
    frame = long(y=["0", "1", "2", "x", "?", "5", "", "7"])
    for options in ({"missing": "mask"}, {"missing": "interpolate"}):
        with pytest.warns(DataWarning) as caught:
            panel = panel_from_table(frame, **options)
        done = {"mask": "taken as unknown", "interpolate": "interpolated"}[options["missing"]]
        assert [str(each.message) for each in caught] == [
            f"series 'b', row 4 (2024-01-02): 'y' is 'x', which is not a number (2 such entries); {done}",  # noqa: E501
            f"series 'a', row 7 (2024-01-04): 'y' is missing; {done}",
        ]
        assert {each.filename for each in caught} == {__file__}
        values = [0, 2, np.nan, np.nan, 1, np.nan, 5, 7]
        if options["missing"] == "interpolate":
            values = [0, 2, 2, 2, 1, 3, 5, 7]
        np.testing.assert_array_equal(panel.values[:, 0], values)
    # what is wrong with other series does not matter
    chosen = {"missing": "mask", "ids": ["b"]}
    _, message = warning_of(frame, **chosen)
    assert message.startswith("series 'b', row 4 (2024-01-02): 'y' is 'x', which is not a number;")


@pytest.mark.parametrize("layout", ["wide", "rows"])
def test_strings_among_numbers_of_other_layouts(layout):
    if layout == "wide":
        frame = pl.DataFrame({"ds": [1, 2, 3], "a": ["1", "x", "3"], "b": ["4", "5", "z"]})
        first = "series 'a', row 2 (2): 'y' is 'x'"
    else:
        frame = pl.DataFrame({"V1": ["a", "b"], "V2": [1, 4], "V3": ["x", "5"], "V4": ["3", "z"]})
        first = "series 'a', row 1 (2): 'y' is 'x'"
    panel, message = warning_of(frame, layout=layout, missing="mask")
    assert message == f"{first}, which is not a number (2 such entries); taken as unknown"
    np.testing.assert_array_equal(panel.lengths, [3, 3])
    np.testing.assert_array_equal(panel.values[:, 0], [1, np.nan, 3, 4, 5, np.nan])
    assert error_of(frame, layout=layout).startswith(first)


def test_of_rows_with_the_same_stamp_the_last_is_kept():
    again = pl.concat([long(), long()[[2, 3]].with_columns(y=pl.Series([2.0, 9.0]))])
    again = pl.concat([again, again[[9]].with_columns(y=pl.lit(8.0))])  # b's second day thrice
    for missing in ("mask", "interpolate"):
        with pytest.warns(DataWarning) as caught:
            panel = panel_from_table(again, missing=missing)
        assert [str(each.message) for each in caught] == [
            "series 'a', row 3: 2024-01-02 comes again in row 9; of rows that are alike one was kept",  # noqa: E501
            "series 'b', row 4: 2024-01-02 comes again in row 10 (2 such stamps); of rows with other values the last was kept",  # noqa: E501
        ]
        assert {each.filename for each in caught} == {__file__}
        np.testing.assert_array_equal(panel.values[:, 0], [0, 2, 4, 6, 1, 8, 5, 7])


@pytest.mark.filterwarnings("error")
def test_a_stamp_twice_is_told_once():
    """A row that is appended again is no matter of order, which nothing needs to be said of."""
    assert error_of(pl.concat([long(), long()[[2]]])) == (
        "series 'a', row 3: 2024-01-02 comes again in row 9; a series has each stamp once"
    )


def test_order_is_told_of_the_rows_that_are_kept():
    frame = pl.concat([long()[[0, 1, 4, 3, 2, 5, 6, 7]], long()[[6]]])
    with pytest.warns(DataWarning) as caught:
        panel = panel_from_table(frame, missing="mask")
    assert [str(each.message).partition(":")[0] for each in caught] == [
        "series 'a', row 7",  # again in row 9
        "series 'a', row 5",  # before row 3
    ]
    np.testing.assert_array_equal(panel.values, panel_from_table(long()).values)
