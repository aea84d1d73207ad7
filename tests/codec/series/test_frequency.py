import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwise.codec.series.frequency import Frequency
from loopwise.errors import DataError

# A name, the same as pandas has it, and a first stamp on its grid.
OF_PANDAS = [
    ("s", "s", "2024-02-28T23:59:30"),
    ("30s", "30s", "2024-01-01T00:00:30"),
    ("min", "min", "2024-01-01"),
    ("15min", "15min", "1969-12-31T23:45"),
    ("90min", "90min", "2024-01-01"),
    ("h", "h", "1969-12-31T20:00"),
    ("2h", "2h", "2024-01-01T01:00"),
    ("D", "D", "1999-12-25T06:00"),
    ("2D", "2D", "2024-02-27"),
    ("B", "B", "2024-01-04T12:00"),
    ("W", "W-MON", "2024-01-01"),
    ("2W", "2W-SUN", "2024-01-07"),
    ("MS", "MS", "1960-11-01"),
    ("ME", "ME", "2023-11-30"),
    ("2MS", "2MS", "2023-11-01"),
    ("QS", "QS-FEB", "2024-02-01"),
    ("QE", "QE-DEC", "1968-03-31"),
    ("YS", "YS-JUL", "1901-07-01"),
    ("YE", "YE-DEC", "2023-12-31"),
    ("2YS", "2YS", "1968-01-01"),
]
NAMES = [name for name, _, _ in OF_PANDAS]


@pytest.mark.parametrize(("name", "pandas", "first"), OF_PANDAS)
def test_stamps_are_those_of_pandas_and_are_found_again(name, pandas, first):
    stamps = pd.date_range(first, periods=40, freq=pandas).to_numpy().astype("datetime64[us]")
    assert stamps[0] == np.datetime64(first)
    step = Frequency.parse(name)
    np.testing.assert_array_equal(step.stamps(stamps[0], 40), stamps)
    assert Frequency.infer(stamps) == step
    np.testing.assert_array_equal(step.index(stamps[7], stamps), np.arange(-7, 33))
    assert step.fits(stamps[0], stamps).all()


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("H", "h"),
        ("T", "min"),
        ("S", "s"),
        ("24h", "D"),
        ("1440min", "D"),
        ("60s", "min"),
        ("120min", "2h"),
        ("7D", "W"),
        ("1d", "D"),
        ("w", "W"),
        ("W-MON", "W"),
        ("M", "ME"),
        ("Q", "QE"),
        ("Q-DEC", "QE"),
        ("QS-FEB", "QS"),
        ("A", "YE"),
        ("AS", "YS"),
        ("AS-JUL", "YS"),
        ("12MS", "YS"),
        ("1mo", "mo"),
        ("q", "3mo"),
        ("y", "12mo"),
        (" 1 ", "1"),
        (5, "5"),
        ("ms", "ms"),
        ("1500ms", "1500ms"),
    ],
)
def test_names_of_pandas_and_polars_are_taken_and_have_one_form(given, name):
    step = Frequency.parse(given)
    assert step.name == str(step) == name
    assert Frequency.parse(step.name) == Frequency.parse(step) == step


@given(st.sampled_from([*NAMES, "1", "mo", "q"]), st.integers(1, 50), st.integers(-1000, 1000))
def test_a_name_is_read_back_and_the_position_of_a_stamp_is_found_again(name, times, position):
    base = Frequency.parse(name)
    step = Frequency.parse(
        f"{times * (base.count if base.numbered else 1)}{name.lstrip('0123456789')}"
    )
    assert Frequency.parse(step.name) == step
    first = np.datetime64("2024-01-31T09:30", "us") if not step.numbered else np.int64(3)
    first = step.at(first, 0)
    stamp = step.at(first, position)
    assert step.index(first, stamp) == position
    assert step.fits(first, stamp)
    later = stamp + 1
    assert step.fits(first, later) == ((step.numbered and step.count == 1) or step.name == "us")
    assert step.index(first, later) == position + (step.numbered and step.count == 1)


def test_the_same_day_of_months_is_the_last_one_in_short_months():
    step = Frequency.parse("mo")
    stamps = step.stamps("2023-12-31T08:00", 5)
    assert [str(stamp)[:10] for stamp in stamps] == [
        "2023-12-31", "2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30",
    ]  # fmt: skip
    fifteenth = Frequency.parse("3mo").stamps("2024-01-15", 9)
    assert Frequency.infer(fifteenth) == Frequency.parse("3mo")


@given(st.sampled_from(OF_PANDAS), st.lists(st.integers(5, 195), max_size=40, unique=True))
def test_gaps_do_not_hide_the_step(case, lost):
    name, _, first = case
    step = Frequency.parse(name)
    stamps = np.delete(step.stamps(first, 200), lost)
    assert Frequency.infer(stamps) == step


def test_the_step_is_the_most_common_of_all_series():
    day = Frequency.parse("D")
    parts = [day.stamps("2024-01-01", 1), day.stamps("2024-01-05", 9), day.stamps("2020-01-01", 3)]
    assert Frequency.infer(np.concatenate(parts), np.array([0, 1, 10, 13])) == day
    assert Frequency.infer([7, 9, 11, 1, 3], np.array([0, 3, 5])).name == "2"


def test_days_without_weekends_are_business_days_only_if_one_was_skipped():
    assert Frequency.infer(Frequency.parse("D").stamps("2024-01-01", 5)).name == "D"
    assert Frequency.infer(Frequency.parse("B").stamps("2024-01-01", 6)).name == "B"
    assert Frequency.infer(Frequency.parse("D").stamps("2024-01-01", 6)).name == "D"


def test_four_weeks_are_no_month():
    assert Frequency.infer(Frequency.parse("4W").stamps("2024-01-01", 20)).name == "4W"
    assert Frequency.infer(Frequency.parse("30D").stamps("2024-01-01", 20)).name == "30D"


@pytest.mark.parametrize(
    ("name", "seasons"),
    [
        ("h", (24, 168)),
        ("30min", (48, 336)),
        ("15min", (96, 672)),
        ("10min", (144, 1008)),
        ("min", (60, 1440)),
        ("s", (60, 3600)),
        ("D", (7,)),
        ("B", (5,)),
        ("W", (52,)),
        ("MS", (12,)),
        ("ME", (12,)),
        ("QS", (4,)),
        ("YE", ()),
        ("1", ()),
        ("2h", (12, 84)),
        ("7h", (24,)),
        ("2MS", (6,)),
        ("5MS", ()),
        ("3D", ()),
        ("52W", ()),
    ],
)
def test_usual_seasons(name, seasons):
    assert Frequency.parse(name).seasons == seasons


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hh", "frequency 'hh' is not known; did you mean 'h'?; allowed are s, min"),
        ("m", "frequency 'm': for minutes write min, for months MS or ME"),
        ("", "frequency '' is not known"),
        ("1.5h", "frequency '1.5h' is not known"),
        ("-1", "frequency '-1' is not known"),
        ("W-FEB", "frequency 'W-FEB' is not known"),
        ("h-MON", "frequency 'h-MON' is not known"),
        ("0h", "a step of 0 days; it must be at least 1"),
        ("0", "a step of 0 numbers; it must be at least 1"),
        ("BMS", "frequency 'BMS' is not known"),
    ],
)
def test_an_unknown_name_is_refused_with_what_is_allowed(name, message):
    with pytest.raises(DataError) as error:
        Frequency.parse(name)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_a_frequency_that_cannot_be_is_refused():
    with pytest.raises(DataError, match="only months have one"):
        Frequency("month", 1)
    with pytest.raises(DataError, match="only months have one"):
        Frequency("day", 1, "start")
    with pytest.raises(DataError, match="is one of days"):
        Frequency("microsecond", 86_400_000_000)


def test_what_cannot_be_inferred_is_named():
    with pytest.raises(DataError, match="no series has two points; give the frequency"):
        Frequency.infer(np.array([1, 2]), np.array([0, 1, 2]))
    stamps = np.array(["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-03T12:30"], "M8[us]")
    with pytest.raises(DataError) as error:
        Frequency.infer(stamps)
    assert str(error.value) == (
        "stamp 4: 2024-01-03 12:30 is not on the grid of frequency D that begins at 2024-01-01; "
        "correct it, or give another frequency"
    )
    with pytest.raises(DataError, match="place 2: 3 does not come after 5; stamps must ascend"):
        Frequency.infer([4, 5, 3, 6], where=lambda k: f"place {k}")


def test_a_step_of_another_kind_than_the_stamps_is_refused():
    with pytest.raises(DataError, match="frequency h does not fit stamps that are numbers"):
        Frequency.parse("h").require_fit(np.array([1, 2]))
    with pytest.raises(DataError, match="frequency 1 does not fit stamps that are times"):
        Frequency.parse("1").require_fit(np.array(["2024-01-01"], "M8[us]"))
