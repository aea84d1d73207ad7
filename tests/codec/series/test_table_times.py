"""Tables of another step than a model's, in time zones, about changes of the clock."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from codec.series.tables import error_of, warning_of
from loopwise.codec.series.table import panel_from_table


def every(step, count=9):
    """A series at every step."""
    days = pd.date_range("2024-01-01", periods=count, freq=step)
    return pd.DataFrame({"ds": days, "y": 1.0})


@pytest.mark.parametrize(
    ("step", "known", "message"),
    [
        (
            "h",
            "D",
            (
                "series 'y', row 2: 2024-01-01 01:00 comes after 2024-01-01; the step of this "
                "table is h, that of the model is D: sum or average the rows of each D first, as "
                "with resample in pandas or group_by_dynamic in polars"
            ),
        ),
        (
            "h",
            "15min",
            (
                "series 'y', row 2: 2024-01-01 01:00 comes after 2024-01-01; the step of this "
                "table is h, that of the model is 15min: give a row for each 15min, or choose "
                "missing=interpolate or missing=mask"
            ),
        ),
        (
            "MS",
            "D",
            (
                "series 'y', row 2: 2024-02-01 comes after 2024-01-01; the step of this table is "
                "MS, that of the model is D: give a row for each D, or choose missing=interpolate "
                "or missing=mask"
            ),
        ),
    ],
)
def test_a_table_of_another_step_than_the_models_is_told(step, known, message):
    schema = panel_from_table(every(known)).schema
    assert error_of(every(step), like=schema) == message
    given = error_of(every(step), frequency=known)
    assert given == message.replace("that of the model", "the one given")


ZONED = pd.date_range("2024-01-01", periods=4, freq="h", tz="Europe/Berlin").to_list()


@pytest.mark.parametrize(
    ("stamps", "message"),
    [
        (
            [*ZONED[:2], *(each.tz_convert("UTC") for each in ZONED[2:])],
            (
                "series 'y', row 3, column 'ds': stamp '2024-01-01 01:00:00+00:00' is in the time "
                "zone UTC, that of row 1 in Europe/Berlin; put all into one, as with "
                "pandas.to_datetime(..., utc=True)"
            ),
        ),
        (
            [*(each.tz_localize(None) for each in ZONED[:3]), ZONED[3]],
            (
                "series 'y', row 4, column 'ds': stamp '2024-01-01 03:00:00+01:00' is of another "
                "kind than '2024-01-01 00:00:00' in row 1; all must be of one"
            ),
        ),
    ],
)
def test_stamps_of_several_time_zones_are_told_by_their_row(stamps, message):
    frame = pd.DataFrame({"ds": pd.Series(stamps, dtype=object), "y": 1.0})
    assert error_of(frame) == message


def test_pythons_own_times_with_a_zone():
    stamps = pd.Series([each.to_pydatetime() for each in ZONED], dtype=object)
    panel = panel_from_table(pd.DataFrame({"ds": stamps, "y": 1.0}))
    assert (panel.zone, panel.frequency.name) == ("Europe/Berlin", "h")
    assert str(panel.first[0]) == "2023-12-31T23:00:00.000000"


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
@pytest.mark.parametrize("step", ["30min", "h", "D", "B", "W", "MS", "ME", "QS"])
@pytest.mark.parametrize("make", [pd.DataFrame, pl.from_pandas], ids=["pandas", "polars"])
def test_series_in_a_zone_go_through_changes_of_the_clock(zone, step, make):
    index = pd.date_range(
        "2023-10-01", periods=600 if step in ("30min", "h") else 200, freq=step, tz=zone
    )
    if step == "30min":
        index = pd.date_range("2024-03-28", periods=600, freq=step, tz=zone)
    panel = panel_from_table(make(pd.DataFrame({"ds": index, "y": 1.0})))
    assert panel.frequency.name == step
    assert panel.zone == zone
    assert panel.lengths[0] == len(index)
    expected = (
        index.tz_localize(None)
        if panel.frequency.local
        else index.tz_convert("UTC").tz_localize(None)
    )
    np.testing.assert_array_equal(panel.stamps(0), expected.to_numpy().astype("M8[us]"))


def test_an_hour_shown_twice_without_its_offset_is_told():
    stamps = pd.date_range("2024-10-26", periods=60, freq="h", tz="Europe/Berlin")
    frame = pd.DataFrame({"unique_id": "a", "ds": stamps.tz_localize(None), "y": 1.0})
    assert error_of(frame) == (
        "series 'a', row 27: 2024-10-27 02:00 comes again in row 28; a series has each stamp once"
        "; where a clock was set back, give times with their offset"
    )


@pytest.mark.parametrize("missing", ["error", "mask"])
@pytest.mark.parametrize(
    ("at", "hinted"),
    [
        ("2024-01-15 10:00", False),
        ("2024-10-27 02:00", True),
        ("2024-10-27 05:00", False),
        ("2024-10-28 02:00", False),
        ("2024-11-03 01:30", True),
        ("2024-11-03 00:00", False),
    ],
)
def test_a_changed_clock_is_suspected_where_one_was(at, hinted, missing):
    stamps = pd.date_range(pd.Timestamp(at) - pd.Timedelta("5h"), periods=40, freq="30min")
    frame = pd.DataFrame({"ds": [*stamps, pd.Timestamp(at)], "y": 1.0})
    if missing == "error":
        message = error_of(frame)
    else:
        _, message = warning_of(frame, missing=missing)
    assert ("where a clock was set back" in message) == hinted


def test_a_zone_can_be_given_for_times_without():
    stamps = pd.date_range("2024-03-30", periods=3, freq="D", tz="Europe/Berlin")
    texts = [stamp.isoformat() for stamp in stamps]
    for ds in (texts, stamps.tz_localize(None), stamps.tz_convert("UTC")):
        panel = panel_from_table(pd.DataFrame({"ds": ds, "y": 1.0}), zone="Europe/Berlin")
        assert (panel.zone, panel.frequency.name) == ("Europe/Berlin", "D")
        assert str(panel.first[0])[:16] == "2024-03-30T00:00"


def test_like_asks_for_the_frequency_of_a_model():
    schema = panel_from_table(every("D")).schema
    one = panel_from_table(every("h", 1), like=schema)  # too short to see its step
    assert one.frequency.name == "D"
    weekdays = every("B")
    assert "no row for 2024-01-06" in error_of(weekdays, like=schema)  # gaps: most steps are days
    hours = panel_from_table(every("15min")).schema
    filled, said = warning_of(every("h", 3), like=hours, missing="interpolate")
    assert filled.lengths.tolist() == [9]
    assert "6 missing stamps" in said
