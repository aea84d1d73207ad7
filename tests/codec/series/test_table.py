"""Tables of every kind become panels, and what is wrong with one is told with its place."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from codec.series.tables import error_of, long, warning_of
from loopwise.codec.series.table import Columns, panel_from_table
from loopwise.errors import DataError

KINDS = {
    "polars": lambda frame: frame,
    "lazy": lambda frame: frame.lazy(),
    "pandas": lambda frame: frame.to_pandas(),
    "pandas-object": lambda frame: frame.to_pandas().astype({"unique_id": object}),
    "pandas-category": lambda frame: frame.to_pandas().astype({"unique_id": "category"}),
    "pandas-index": lambda frame: frame.to_pandas().set_index(["unique_id", "ds"]),
    "pyarrow": lambda frame: frame.to_arrow(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_data_frame_gives_the_same_panel(kind):
    panel = panel_from_table(KINDS[kind](long()))
    assert panel.ids == ("a", "b")
    assert panel.frequency.name == "D"
    assert panel.targets == ("y",)
    np.testing.assert_array_equal(panel.values[:, 0], [0, 2, 4, 6, 1, 3, 5, 7])
    np.testing.assert_array_equal(panel.offsets, [0, 4, 8])
    assert panel.first.dtype == "M8[us]"
    assert str(panel.first[0])[:10] == "2024-01-01"


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (pl.Series([7, 3] * 4), (7, 3)),
        (pl.Series([7.0, 3.0] * 4), (7, 3)),
        (pl.Series(["z", "a"] * 4, dtype=pl.Categorical), ("z", "a")),
        (pl.Series([True, False] * 4), ("true", "false")),
    ],
)
def test_series_come_as_they_first_come_in_the_table(ids, expected):
    found = panel_from_table(long(unique_id=ids)).ids
    assert tuple(str(each).lower() for each in found) == tuple(str(each) for each in expected)


@pytest.mark.parametrize("unit", ["ns", "us", "ms", "s"])
def test_units_of_time_do_not_matter(unit):
    frame = long().to_pandas()
    panel = panel_from_table(frame.assign(ds=frame.ds.astype(f"datetime64[{unit}]")))
    assert str(panel.first[1])[:10] == "2024-01-01"


def test_stamps_may_be_dates_periods_strings_or_numbers():
    stamps = {
        "date": pl.Series(long()["ds"].dt.date()),
        "text": pl.Series(long()["ds"].dt.strftime("%Y-%m-%d")),
        "slashes": pl.Series(long()["ds"].dt.strftime("%Y/%m/%d")),
        "minutes": pl.Series(long()["ds"].dt.strftime("%Y-%m-%d %H:%M")),
        "fractions": pl.Series(long()["ds"].dt.strftime("%Y-%m-%dT%H:%M:%S%.6f")),
    }
    for column in stamps.values():
        assert panel_from_table(long(ds=column)).frequency.name == "D"
    frame = long().to_pandas()
    for column in (frame.ds.dt.to_period("D"), frame.ds.dt.date):
        assert panel_from_table(frame.assign(ds=column)).frequency.name == "D"
    months = np.repeat(["2024-01", "2024-02", "2024-03", "2024-04"], 2)
    assert panel_from_table(long(ds=months)).frequency.name == "MS"
    for numbers in (np.repeat([1, 3, 5, 7], 2), np.repeat(["1", "3", "5", "7"], 2)):
        panel = panel_from_table(long(ds=numbers))
        assert panel.frequency.name == "2"
        np.testing.assert_array_equal(panel.first, [1, 1])


def test_indexes_of_pandas_become_columns():
    frame = long().to_pandas()
    one = frame[frame.unique_id == "a"].drop(columns="unique_id").set_index("ds")
    for table in (
        one,
        one.rename_axis(None),
        one.y,
        one.set_index(one.index.to_period("D")),
        frame.set_index(["unique_id", "ds"], drop=False),
    ):
        assert panel_from_table(table).frequency.name == "D"


def test_numbers_of_pandas_that_may_be_missing():
    frame = pd.DataFrame({"ds": pd.Series([1, 2, 3], dtype="Int64"), "y": [1.0, 2, 3]})
    for y in (
        pd.Series([1, None, 3], dtype="Int64"),
        pd.Series([1, None, 3], dtype="double[pyarrow]"),
        pd.Series([1, None, 3], dtype=object),
        pd.Series(["1", "NA", "3"]),
    ):
        panel, _ = warning_of(frame.assign(y=y), missing="mask")
        np.testing.assert_array_equal(panel.values[:, 0], [1, np.nan, 3])
    objects = frame.assign(ds=pd.Series([1, 2, 3], dtype=object))
    assert panel_from_table(objects).frequency.name == "1"


def test_one_series_needs_no_column_of_ids():
    frame = long().filter(pl.col("unique_id") == "a").drop("unique_id")
    assert panel_from_table(frame).ids == ("y",)
    series = frame.to_pandas().set_index("ds").y
    assert panel_from_table(series).ids == ("y",)
    assert panel_from_table(series.rename(None)).ids == ("y",)


def test_several_targets_are_channels():
    frame = long(z=np.arange(8.0) * 10)
    panel = panel_from_table(frame, Columns(target=["y", "z"]))
    assert panel.targets == ("y", "z")
    np.testing.assert_array_equal(panel.series(1), [[1, 10], [3, 30], [5, 50], [7, 70]])


def test_covariates_of_every_sort():
    frame = long(
        region=["north", "south"] * 4,
        size=[1, 2] * 4,
        price=np.arange(8) / 2,
        rain=np.arange(8) * 3,
        weight=[0.5, 1.5] * 4,
    )
    columns = Columns(static=["region", "size"], past="rain", future=["price"], weight="weight")
    panel = panel_from_table(frame, columns)
    assert (panel.category_names, panel.category_values) == (("region",), (("north", "south"),))
    np.testing.assert_array_equal(panel.categories, [[1], [2]])
    np.testing.assert_array_equal(panel.static, [[1], [2]])
    np.testing.assert_array_equal(panel.past[:4, 0], [0, 6, 12, 18])
    np.testing.assert_array_equal(panel.future[4:, 0], [0.5, 1.5, 2.5, 3.5])
    np.testing.assert_array_equal(panel.weights, [0.5, 1.5])


def test_a_category_that_a_model_does_not_know_has_code_0():
    columns = Columns(static="region")
    trained = panel_from_table(long(region=["north", "south"] * 4), columns)
    other = panel_from_table(long(region=["south", "east"] * 4), columns, like=trained.schema)
    np.testing.assert_array_equal(other.categories, [[2], [0]])
    other.require_like(trained)


def test_a_wide_table_has_a_series_in_each_column():
    frame = pl.DataFrame(
        {
            "ds": np.arange("2024-01-01", "2024-01-06", dtype="M8[D]"),
            "late": [None, None, 3, 4, 5],
            "early": [1.0, 2, 3, None, None],
        }
    )
    panel = panel_from_table(frame, layout="wide")
    assert panel.ids == ("late", "early")
    np.testing.assert_array_equal(panel.lengths, [3, 3])
    np.testing.assert_array_equal(panel.values[:, 0], [3, 4, 5, 1, 2, 3])
    assert [str(stamp)[:10] for stamp in panel.first] == ["2024-01-03", "2024-01-01"]


def test_a_table_may_have_a_series_in_each_row():
    frame = pl.DataFrame({"V1": ["A", "B"], "V2": ["1", "4"], "V3": ["2", None], "V4": ["3", ""]})
    panel = panel_from_table(frame, layout="rows", minimum=1)
    assert panel.ids == ("A", "B")
    np.testing.assert_array_equal(panel.lengths, [3, 1])
    np.testing.assert_array_equal(panel.stamps(0), [1, 2, 3])
    assert error_of(frame.with_columns(V3=pl.Series(["x", "y"])), layout="rows") == (
        "series 'A', row 1 (2): 'y' is 'x', which is not a number (2 such entries); "
        "correct it, or choose missing=interpolate or missing=mask"
    )
    twice = pl.DataFrame({"V1": ["A", "B", "A"], "V2": [1.0, 2, 3]})
    assert error_of(twice, layout="rows").startswith("series 'A' is in row 1 and again in row 3")
    middle = pl.DataFrame({"V1": ["A", "B"], "V2": [1.0, 2], "V3": [None, 3.0], "V4": [5.0, 6]})
    assert error_of(middle, layout="rows").startswith("series 'A', row 1 (2): 'y' is missing")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"y": [1, 2, 3, 4, None, 6, 7, 8]},
            (
                "series 'a', row 5 (2024-01-03): 'y' is missing; "
                "correct it, or choose missing=interpolate or missing=mask"
            ),
        ),
        (
            {"y": np.array([1, 2, np.inf, 4, 5, -np.inf, 7, 8])},
            (
                "series 'a', row 3 (2024-01-02): 'y' is infinite (2 missing or infinite values); "
                "correct it, or choose missing=interpolate or missing=mask"
            ),
        ),
        (
            {"y": ["1", "2", "3", "x", "5", "6", "4,5", "8"]},
            (
                "series 'b', row 4 (2024-01-02): 'y' is 'x', which is not a number (2 such "
                "entries); correct it, or choose missing=interpolate or missing=mask"
            ),
        ),
        (
            {"y": ["1", "2", "3", "4,5", "5", "6", "7", "8"]},
            (
                "series 'b', row 4 (2024-01-02): 'y' is '4,5', which is not a number; numbers are "
                "written with a point and without thousands marks; correct it, or choose "
                "missing=interpolate or missing=mask"
            ),
        ),
        (
            {
                "ds": np.repeat(
                    np.array(["2024-01-01", "2024-01-01", "2024-01-02", "2024-01-03"], "M8[us]"), 2
                )
            },
            (
                "series 'a', row 1: 2024-01-01 comes again in row 3 (2 such stamps); "
                "a series has each stamp once"
            ),
        ),
        (
            {
                "ds": np.repeat(
                    np.array(["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-06"], "M8[us]"), 2
                )
            },
            (
                "series 'a': no row for 2024-01-04, between row 5 (2024-01-03) and row 7 "
                "(2024-01-06), with frequency D (4 missing stamps); add them, or choose "
                "missing=interpolate or missing=mask"
            ),
        ),
        (
            {
                "ds": [
                    *np.arange("2024-01-01", "2024-01-05", dtype="M8[D]").repeat(2)[:7].tolist(),
                    None,
                ]
            },
            "series 'b', row 8, column 'ds': the stamp is missing",
        ),
        (
            {"unique_id": ["a", "b", None, "b"] * 2},
            "column 'unique_id', row 3: the id is missing (2 such rows)",
        ),
        (
            {"ds": ["2024-01-01", "1", "2024-01-02", "2", "2024-01-03", "3", "2024-01-04", "4"]},
            (
                "series 'b', row 2, column 'ds': stamp '1' is of another kind than '2024-01-01' in "
                "row 1; all must be of one"
            ),
        ),
        (
            {"ds": ["1", "1", "2", "2", "x", "3", "4", "4"]},
            "series 'a', row 5, column 'ds': stamp 'x' is not a whole number, as '1' in row 1 is",
        ),
        (
            {"ds": ["2024-01-01Z", "2024-02-30", *["2024-01-02"] * 6]},
            (
                "series 'a', row 1, column 'ds': '2024-01-01Z' is not a stamp; allowed are dates "
                "and times as 2024-01-31 or 2024-01-31T12:00:00, with or without an offset such "
                "as +01:00, and whole numbers"
            ),
        ),
        (
            {"ds": np.repeat([1, 2.5, 3, 4], 2)},
            "series 'a', row 3, column 'ds': stamp 2.5 is not a whole number",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(change, message):
    assert error_of(long(**change)) == message
    if not any(isinstance(each, list) and None in each for each in change.values()):
        assert error_of(long(**change).to_pandas()) == message


@pytest.mark.parametrize(
    ("change", "columns", "message"),
    [
        (
            {"region": ["n", "s", "n", "s", "w", "s", "n", "s"]},
            Columns(static="region"),
            (
                "series 'a': 'region' is 'n' in row 1 and 'region' is 'w' in row 5; "
                "a static column has one value for a series"
            ),
        ),
        (
            {"size": [1, 2, 1, 2, 1, 3, 1, 2]},
            Columns(static="size"),
            (
                "series 'b': 'size' is 2 in row 2 and 'size' is 3 in row 6; "
                "a static column has one value for a series"
            ),
        ),
        (
            {"region": ["n", None] * 4},
            Columns(static="region"),
            "series 'b', row 2: category 'region' is missing",
        ),
        (
            {"size": [1.0, None] * 4},
            Columns(static="size"),
            "series 'b', row 2, column 'size': missing",
        ),
        (
            {"w": [1, 0] * 4},
            Columns(weight="w"),
            "series 'b': weight 'w' is 0; it must be above 0",
        ),
        (
            {"rain": [1, 2, 3, None, 5, 6, 7, 8]},
            Columns(past="rain"),
            (
                "series 'b', row 4 (2024-01-02): 'rain' is missing; "
                "correct it, or choose missing=interpolate or missing=mask"
            ),
        ),
        (
            {},
            Columns(target="Y"),
            "the table has no column 'Y'; it has unique_id, ds, y; the option target names it",
        ),
        (
            {},
            Columns(time="dss"),
            (
                "the table has no column 'dss'; did you mean 'ds'?; it has unique_id, ds, y; "
                "the option time names it"
            ),
        ),
        (
            {},
            Columns(id="unique"),
            (
                "series 'y', row 1: 2024-01-01 comes again in row 2 (4 such stamps); "
                "a series has each stamp once; several series need an id column"
            ),
        ),
    ],
)
def test_what_is_wrong_with_columns_is_told(change, columns, message):
    assert error_of(long(**change), columns) == message


def test_columns_that_cannot_be_are_refused():
    with pytest.raises(DataError, match="column 'y' is named for two things"):
        Columns(past="y")
    with pytest.raises(DataError, match="no target column is named"):
        Columns(target=())
    with pytest.raises(DataError, match="None is no name of a column; names are strings"):
        Columns(id=None)
    with pytest.raises(DataError, match="1 is no name of a column; names are strings"):
        Columns(target=1)


@pytest.mark.parametrize(
    ("frame", "options", "message"),
    [
        (long().clear(), {}, "the table has no rows"),
        ([1, 2], {}, "list is not a table; allowed are data frames of pandas, polars"),
        (
            "t.csv",
            {},
            (
                "str is not a table; allowed are data frames of pandas, polars and others "
                "that narwhals knows; read a file first, as with pandas.read_csv"
            ),
        ),
        (long().to_pandas()[["ds", "y", "y"]], {}, "two columns of the table are named 'y'"),
        (
            pd.concat({"x": long().to_pandas()}, axis=1),
            {},
            "a column of the table is named ('x', 'unique_id'); names must be strings",
        ),
        (long(), {"ids": []}, "ids is empty; name one series at least, or give None for all"),
        (long(), {"missing": "drop"}, "missing='drop'; allowed are error, interpolate and mask"),
        (long(), {"layout": "tall"}, "layout='tall'; allowed are long, wide and rows"),
        (long(), {"ids": ["a", "c"]}, "there is no series 'c' in the table"),
        (
            long(),
            {"minimum": 5},
            "series 'a' has 4 points, from 2024-01-01; at least 5 are needed (2 such series)",
        ),
        (
            long(ds=np.repeat(["2024-01-01", "2024-02-01", "2024-03-02", "2024-04-01"], 2)),
            {"frequency": "MS"},
            "series 'a', row 5: 2024-03-02 is not on the grid of",
        ),
        (long(), {"frequency": 1}, "frequency 1 does not fit stamps that are times"),
        (long(ds=np.repeat(range(4), 2)), {"zone": "UTC"}, "time zone 'UTC' was given for stamps"),
        (long().head(2), {}, "the step between stamps cannot be seen, no series has two points"),
        (long(y=[None] * 8), {"missing": "mask"}, "series 'a': 'y' has no finite value at all"),
        (
            long(ds=np.repeat([1, 2, 3, 10**9], 2)),
            {"missing": "mask"},
            "series 'a': no row for 4, between row 5 (3) and row 7 (1000000000), with frequency 1",
        ),
        (
            long(z=1.0),
            {"layout": "wide", "columns": Columns(past="z")},
            "a table with layout 'wide'",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::loopwise.errors.DataWarning")
def test_what_cannot_be_used_is_refused(frame, options, message):
    assert error_of(frame, **options).startswith(message)


def test_ids_choose_series_and_their_order():
    assert panel_from_table(long(unique_id=[7, 5] * 4), ids=["5", 7]).ids == (5, 7)
    assert panel_from_table(long(), ids=["b"]).ids == ("b",)
    frame = long(y=[None, 1.0] * 4, size=[1, 2] * 4, kind=["u", "v"] * 4, w=[1, 3] * 4)
    columns = Columns(static=["size", "kind"], weight="w")
    one = panel_from_table(frame, columns, ids=["b"])  # what is wrong with others does not matter
    assert (one.static[0, 0], one.categories[0, 0], one.weights[0]) == (2, 2, 3)
    np.testing.assert_array_equal(one.values[:, 0], [1, 1, 1, 1])
    assert error_of(long(), ids=["b", "b"]) == "series 'b' is named twice; ids takes each once"
    assert panel_from_table(long(), ids=["b", "a"]).ids == ("b", "a")
