import numpy as np
import pandas as pd
import pytest

from loopwise.codec.series.zones import to_local, to_utc
from loopwise.errors import DataError

ZONES = ["Europe/Berlin", "America/New_York", "America/St_Johns", "Australia/Lord_Howe",
         "Africa/Casablanca", "Asia/Kolkata", "UTC"]  # fmt: skip
HOURS = np.arange("1969-06-01", "1971-06-01", dtype="M8[h]").astype("M8[us]")
RECENT = np.arange("2023-01-01", "2025-01-01", dtype="M8[h]").astype("M8[us]")


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("moments", [HOURS, RECENT], ids=["1970", "2024"])
def test_the_wall_shows_what_pandas_says(zone, moments):
    expected = pd.DatetimeIndex(moments).tz_localize("UTC").tz_convert(zone).tz_localize(None)
    np.testing.assert_array_equal(to_local(moments, zone), expected.to_numpy())


@pytest.mark.parametrize("zone", ZONES)
def test_every_moment_comes_back_but_the_later_of_an_hour_shown_twice(zone):
    moments = np.arange(RECENT[0], RECENT[-1], np.timedelta64(30, "m"))
    local = to_local(moments, zone)
    back = to_utc(local, zone)
    np.testing.assert_array_equal(to_local(back, zone), local)
    assert (back <= moments).all()
    assert (back != moments).sum() == len(local) - len(np.unique(local))


def test_a_time_that_the_clock_jumps_over_is_as_much_later():
    jumped = np.array(["2024-03-31T02:30"], "M8[us]")  # 02:00 became 03:00
    assert to_utc(jumped, "Europe/Berlin") == np.datetime64("2024-03-31T01:30")
    assert to_local(to_utc(jumped, "Europe/Berlin"), "Europe/Berlin") == np.datetime64(
        "2024-03-31T03:30"
    )


def test_fixed_offsets_and_shapes():
    noon = np.array([["2024-01-01T12:00"]], "M8[us]")
    assert to_local(noon, "UTC+05:30")[0, 0] == np.datetime64("2024-01-01T17:30")
    assert to_utc(noon, "-02:00")[0, 0] == np.datetime64("2024-01-01T14:00")
    assert to_local(noon[:0], "Europe/Berlin").shape == (0, 1)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../etc", "", "+99:00"])
def test_an_unknown_zone_is_named(zone):
    with pytest.raises(DataError, match=r"time zone .* is not known"):
        to_local(RECENT, zone)


def test_times_beyond_the_calendar_are_refused():
    with pytest.raises(DataError, match="years 2 to 9997"):
        to_local(np.array(["9999-06-01"], "M8[us]"), "Europe/Berlin")
