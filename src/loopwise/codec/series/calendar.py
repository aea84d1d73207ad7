"""Where stamps lie in the minute, the day, the week, the month and the year, as numbers."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.series.frequency import Frequency
from loopwise.codec.series.stamps import DAY, Stamps
from loopwise.codec.series.zones import to_local
from loopwise.errors import DataError, missing_extra

_MINUTE, _HOUR, _WEEK = 60_000_000, 3_600_000_000, 7 * DAY
_MONTH, _YEAR = 2_629_746_000_000, 31_556_952_000_000  # on average, in the Gregorian calendar
_HOLIDAY = "holiday"


@dataclass(frozen=True)
class _Cycle:
    """One hand of the clock: where in its round a stamp is.

    Attributes:
        name: what it tells.
        period: how long a round takes, in microseconds.
        phase: the share of the round that is over, in [0, 1), from stamps.
    """

    name: str
    period: int
    phase: Callable[[Stamps], NDArray[np.float64]]


def _share(unit: str, whole: str) -> Callable[[Stamps], NDArray[np.float64]]:
    """The share of `whole` that is over, in rounds that all have as many of `unit`."""
    count = np.timedelta64(1, whole) // np.timedelta64(1, unit)

    def phase(stamps: Stamps) -> NDArray[np.float64]:
        units = stamps.astype(f"datetime64[{unit}]").astype(np.int64)
        return (units % count) / count

    return phase


def _weekday(stamps: Stamps) -> NDArray[np.float64]:
    return ((stamps.astype("datetime64[D]").astype(np.int64) + 3) % 7) / 7  # 1970 began on Thursday


def _monthday(stamps: Stamps) -> NDArray[np.float64]:
    month = stamps.astype("datetime64[M]")
    begin, end = month.astype("datetime64[D]"), (month + 1).astype("datetime64[D]")
    return (stamps.astype("datetime64[D]") - begin) / (end - begin)


def _yearday(stamps: Stamps) -> NDArray[np.float64]:
    year = stamps.astype("datetime64[Y]")
    begin, end = year.astype("datetime64[D]"), (year + 1).astype("datetime64[D]")
    return (stamps.astype("datetime64[D]") - begin) / (end - begin)


def _month(stamps: Stamps) -> NDArray[np.float64]:
    return (stamps.astype("datetime64[M]").astype(np.int64) % 12) / 12


_CYCLES = (
    _Cycle("second of minute", _MINUTE, _share("s", "m")),
    _Cycle("minute of hour", _HOUR, _share("m", "h")),
    _Cycle("hour of day", DAY, _share("h", "D")),
    _Cycle("day of week", _WEEK, _weekday),
    _Cycle("day of month", _MONTH, _monthday),
    _Cycle("day of year", _YEAR, _yearday),
)
_MONTHS = _Cycle("month of year", _YEAR, _month)


def _cycles(frequency: Frequency) -> list[_Cycle]:
    """Those whose hand moves from step to step."""
    match frequency.unit:
        case "number":
            return []
        case "month":
            return [_MONTHS] if frequency.count % 12 else []
        case "microsecond":
            step = frequency.count
        case "day" | "business day":
            step = frequency.count * DAY
    return [cycle for cycle in _CYCLES if step % cycle.period]


def calendar_names(frequency: Frequency, country: str | None = None) -> tuple[str, ...]:
    """The names of the features that `calendar` gives, in its order.

    Args:
        frequency: the step between stamps; the features are those that tell its stamps apart.
        country: of the holidays, as in `calendar`.
    """
    if frequency.numbered:
        return ()
    names = [f"{cycle.name} {part}" for cycle in _cycles(frequency) for part in ("sin", "cos")]
    return (*names, _HOLIDAY) if country else tuple(names)


def calendar(
    frequency: Frequency, stamps: Stamps, zone: str | None = None, country: str | None = None
) -> NDArray[np.float32]:
    """Features of stamps for a network.

    Args:
        frequency: the step between stamps.
        stamps: as a panel keeps them, of any shape.
        zone: the panel's; the clock of this zone counts.
        country: add a feature that is 1 on its public holidays: ISO 3166 code such as ``"DE"``, or
            with a part of it, ``"DE-BY"``.

    Returns:
        float32 [..., K] in [-1, 1]: the sine and cosine of each share of a round that is over.
        No features for stamps that are whole numbers.

    Raises:
        DataError: the country is not known.
        MissingExtraError: holidays are asked for and their library is not installed.
    """
    if frequency.numbered:
        return np.empty((*stamps.shape, 0), np.float32)
    wall = to_local(stamps, zone) if zone and not frequency.local else stamps
    features: list[NDArray[np.float64]] = []
    for cycle in _cycles(frequency):
        angle = 2 * np.pi * cycle.phase(wall)
        features += [np.sin(angle), np.cos(angle)]
    if country:
        features.append(_holidays(wall, country).astype(np.float64))
    if not features:
        return np.empty((*stamps.shape, 0), np.float32)
    return np.stack(features, axis=-1).astype(np.float32)


def _holidays(wall: Stamps, country: str) -> NDArray[np.bool_]:
    try:
        import holidays
    except ModuleNotFoundError as error:
        raise missing_extra(error, "The calendar of holidays") from error
    days = wall.astype("datetime64[D]")
    if not days.size:
        return np.zeros(days.shape, bool)
    first, last = (int(str(day)[:4]) for day in (days.min(), days.max()))
    name, _, part = country.partition("-")
    try:
        known = holidays.country_holidays(name, subdiv=part or None, years=range(first, last + 1))
    except NotImplementedError:
        raise DataError(
            f"no holidays of {country!r} are known; allowed are codes such as DE, US or DE-BY"
        ) from None
    return np.isin(days, np.array(sorted(known), "datetime64[D]"))
