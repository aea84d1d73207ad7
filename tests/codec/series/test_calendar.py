import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwise.codec.series.calendar import calendar, calendar_names
from loopwise.codec.series.frequency import Frequency
from loopwise.errors import DataError

STEPS = "s 30s min 15min h 6h D 2D B W 2W MS ME mo QS YS 1".split()  # noqa: SIM905


def hands(name):
    return {feature.removesuffix(" sin") for feature in calendar_names(Frequency.parse(name))[::2]}


def test_only_what_moves_is_told():
    assert hands("h") == {"hour of day", "day of week", "day of month", "day of year"}
    assert hands("s") - hands("h") == {"second of minute", "minute of hour"}
    assert hands("15min") - hands("h") == {"minute of hour"}
    assert hands("D") == hands("B") == {"day of week", "day of month", "day of year"}
    assert hands("W") == {"day of month", "day of year"}
    assert hands("MS") == hands("QE") == {"month of year"}
    assert hands("YS") == hands("1") == set()


@given(
    st.sampled_from(STEPS),
    st.integers(-(2**51), 2**51),
    st.sampled_from([None, "Europe/Berlin"]),
)
def test_features_are_pairs_on_the_circle(name, ticks, zone):
    step = Frequency.parse(name)
    first = np.int64(ticks) if step.numbered else np.datetime64(ticks, "us")
    features = calendar(step, step.stamps(first, 50), zone)
    assert features.dtype == np.float32
    assert features.shape == (50, len(calendar_names(step)))
    np.testing.assert_allclose(features[:, ::2] ** 2 + features[:, 1::2] ** 2, 1, atol=1e-6)


def test_hands_stand_where_pandas_says():
    stamps = pd.date_range("1968-02-27T22:10:30", periods=5000, freq="7h")
    got = calendar(Frequency.parse("s"), stamps.to_numpy().astype("M8[us]"))
    days_of_year = np.where(stamps.is_leap_year, 366, 365)
    shares = {
        "second of minute": stamps.second / 60,
        "minute of hour": stamps.minute / 60,
        "hour of day": stamps.hour / 24,
        "day of week": stamps.day_of_week / 7,
        "day of month": (stamps.day - 1) / stamps.days_in_month,
        "day of year": (stamps.day_of_year - 1) / days_of_year,
    }
    names = calendar_names(Frequency.parse("s"))
    for k, share in enumerate(shares.values()):
        assert names[2 * k : 2 * k + 2] == (f"{list(shares)[k]} sin", f"{list(shares)[k]} cos")
        np.testing.assert_allclose(got[:, 2 * k], np.sin(2 * np.pi * share), atol=1e-6)
        np.testing.assert_allclose(got[:, 2 * k + 1], np.cos(2 * np.pi * share), atol=1e-6)
    months = calendar(Frequency.parse("MS"), stamps.to_numpy())
    np.testing.assert_allclose(months[:, 0], np.sin(2 * np.pi * (stamps.month - 1) / 12), atol=1e-6)


def test_hours_are_those_of_the_zone_and_days_already_are():
    hour, day = Frequency.parse("h"), Frequency.parse("D")
    stamps = np.array(["2024-06-30T22:00"], "M8[us]")  # midnight in Berlin
    midnight = np.array(["2024-07-01"], "M8[us]")
    np.testing.assert_array_equal(calendar(hour, stamps, "Europe/Berlin"), calendar(hour, midnight))
    np.testing.assert_array_equal(calendar(day, midnight, "Europe/Berlin"), calendar(day, midnight))


def test_holidays_of_a_country():
    step = Frequency.parse("6h")
    stamps = step.stamps("2024-12-24", 12)
    assert calendar_names(step, "DE")[-1] == "holiday"
    got = calendar(step, stamps.reshape(3, 4), country="DE")
    assert got.shape == (3, 4, len(calendar_names(step, "DE")))
    np.testing.assert_array_equal(got[..., -1], [[0] * 4, [1] * 4, [1] * 4])
    epiphany = np.array(["2025-01-06"], "M8[us]")
    assert calendar(step, epiphany, country="DE-BY")[0, -1] == 1
    assert calendar(step, epiphany, country="DE")[0, -1] == 0
    assert calendar(Frequency.parse("1"), np.arange(3), country="DE").shape == (3, 0)
    assert calendar(step, stamps[:0], country="DE").shape[0] == 0


@pytest.mark.parametrize("country", ["XX", "DE-XX", "Narnia"])
def test_an_unknown_country_is_named(country):
    with pytest.raises(DataError, match=f"no holidays of '{country}' are known"):
        calendar(Frequency.parse("D"), np.array(["2025-01-06"], "M8[us]"), country=country)
