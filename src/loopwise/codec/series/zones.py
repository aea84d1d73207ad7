"""Time zones: between moments in UTC and the clock on the wall, whole arrays at once."""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.series.stamps import DAY, Stamps
from loopwise.errors import DataError

_SECOND = 1_000_000
_YEARS = (1, 9998)  # that Python's dates have on either side of a day


def zone_of(name: str) -> tzinfo:
    """The zone of a name: of the IANA list, as ``"Europe/Berlin"``, or ``"UTC+02:00"``.

    Raises:
        DataError: there is none, or this machine does not know it.
    """
    fixed = re.fullmatch(r"(?:UTC)?([+-])(\d\d):?(\d\d)", name)
    try:
        if fixed:
            sign, hours, minutes = fixed.groups()
            ahead = timedelta(hours=int(hours), minutes=int(minutes))
            return timezone(-ahead if sign == "-" else ahead)
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # the last is what an unknown zone raises
        raise DataError(
            f"time zone {name!r} is not known; allowed are names such as Europe/Berlin and UTC "
            f"(where all are missing, pip install tzdata)"
        ) from None


def to_local(moments: Stamps, zone: str) -> Stamps:
    """What the clock on the wall shows.

    Args:
        moments: in UTC, datetime64[us] of any shape.
        zone: as in `zone_of`.

    Returns:
        datetime64[us] of the same shape; an hour that the clock shows twice comes twice.
    """
    return moments + _ahead(moments, zone_of(zone)).astype("timedelta64[us]")


def to_utc(local: Stamps, zone: str) -> Stamps:
    """The moments at which the clock on the wall shows this; the inverse of `to_local`.

    Args:
        local: datetime64[us] of any shape.
        zone: as in `zone_of`.

    Returns:
        datetime64[us] of the same shape: of two moments the earlier; for a time that the clock
        jumps over, the moment that shows as much later as it jumps.
    """
    rules = zone_of(zone)
    # The offset before a change and the one after it, a day being enough to have either.
    day = np.timedelta64(DAY, "us")
    early, late = _ahead(local - day, rules), _ahead(local + day, rules)
    first = local - early.astype("timedelta64[us]")
    second = local - late.astype("timedelta64[us]")
    return np.where(
        _ahead(first, rules) == early, first, np.where(_ahead(second, rules) == late, second, first)
    )


def shown_twice(local: Any) -> bool:
    """Whether somewhere a clock was set back so that it showed this time, datetime64, twice."""
    shown = local.astype("datetime64[us]").item()
    zones = map(ZoneInfo, available_timezones())
    return any(_since(zone, shown, fold=0) > _since(zone, shown, fold=1) for zone in zones)


def _since(zone: ZoneInfo, shown: datetime, *, fold: int) -> timedelta:
    return shown.replace(fold=fold, tzinfo=zone).utcoffset() or timedelta()


def _ahead(moments: Stamps, zone: tzinfo) -> NDArray[np.int64]:
    """By how many microseconds the wall is ahead of UTC at each moment."""
    if not moments.size:
        return np.zeros(moments.shape, np.int64)
    ticks = moments.astype("datetime64[us]").astype(np.int64)
    days = np.arange(int(ticks.min()) // DAY, int(ticks.max()) // DAY + 2) * DAY
    offsets = [_offset(int(day), zone) for day in days]
    begins, values = [int(days[0])], [offsets[0]]
    for k in range(1, len(days)):
        if offsets[k] != offsets[k - 1]:
            begins.append(_change(int(days[k - 1]), int(days[k]), zone))
            values.append(offsets[k])
    place = np.searchsorted(np.array(begins), ticks, side="right") - 1
    return np.array(values, np.int64)[np.maximum(place, 0)]


def _change(before: int, after: int, zone: tzinfo) -> int:
    """The first second with the later offset, where the offset changes between two moments."""
    old = _offset(before, zone)
    while after - before > _SECOND:
        middle = (before + after) // (2 * _SECOND) * _SECOND
        before, after = (middle, after) if _offset(middle, zone) == old else (before, middle)
    return after


def _offset(tick: int, zone: tzinfo) -> int:
    moment = np.datetime64(tick, "us")
    year = int(moment.astype("datetime64[Y]").astype(np.int64)) + 1970
    if not _YEARS[0] < year < _YEARS[1]:
        raise DataError(f"{moment}: times in a zone are allowed in the years 2 to 9997")
    ahead = datetime.fromtimestamp(tick // _SECOND, UTC).astimezone(zone).utcoffset()
    return round((ahead or timedelta()).total_seconds()) * _SECOND
