"""The step between the stamps of a series: its names, its arithmetic, and finding it in data."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from loopwise.codec.series.stamps import DAY, Stamps, stamp_array, stamp_text
from loopwise.config import nearest
from loopwise.errors import DataError

Unit = Literal["number", "microsecond", "day", "business day", "month"]
Anchor = Literal["start", "end", "same"]

_SECOND = 1_000_000
_MINUTE, _HOUR = 60 * _SECOND, 3600 * _SECOND
_SPANS = {"us": 1, "ms": 1000, "s": _SECOND, "min": _MINUTE, "h": _HOUR}
_MONTHS = {"start": {12: "YS", 3: "QS", 1: "MS"}, "end": {12: "YE", 3: "QE", 1: "ME"}}

# What users may write, and what it is: a unit, how many of it, and an anchor.
_NAMES: dict[str, tuple[Unit, int, Anchor | None]] = {
    **dict.fromkeys(("us", "U"), ("microsecond", 1, None)),
    **dict.fromkeys(("ms", "L"), ("microsecond", 1000, None)),
    **dict.fromkeys(("s", "S", "sec"), ("microsecond", _SECOND, None)),
    **dict.fromkeys(("min", "T"), ("microsecond", _MINUTE, None)),
    **dict.fromkeys(("h", "H"), ("microsecond", _HOUR, None)),
    **dict.fromkeys(("D", "d"), ("day", 1, None)),
    "B": ("business day", 1, None),
    **dict.fromkeys(("W", "w"), ("day", 7, None)),
    "MS": ("month", 1, "start"),
    **dict.fromkeys(("ME", "M"), ("month", 1, "end")),
    "mo": ("month", 1, "same"),
    "QS": ("month", 3, "start"),
    **dict.fromkeys(("QE", "Q"), ("month", 3, "end")),
    "q": ("month", 3, "same"),
    **dict.fromkeys(("YS", "AS"), ("month", 12, "start")),
    **dict.fromkeys(("YE", "Y", "A"), ("month", 12, "end")),
    "y": ("month", 12, "same"),
}
_WEEKDAYS = "MON TUE WED THU FRI SAT SUN"
_MONTH_NAMES = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC"
_ALLOWED = (
    "allowed are s, min, h, D, B (business days), W, MS and ME (start and end of the month), QS, "
    "QE, YS, YE, also with a number as in 15min, and a bare number for stamps that are numbers"
)


@dataclass(frozen=True)
class Frequency:
    """One step between the stamps of a series.

    The first stamp of a series says where its steps begin: a week of ``W`` begins on whatever day
    the first stamp is, and a day of ``D`` at its hour.

    Attributes:
        unit: what is counted; ``"number"`` is for stamps that are whole numbers.
        count: how many of the unit a step has, at least 1.
        anchor: for months only: stamps lie on the first day of a month, on the last, or on the day
            of the first stamp, if need be the last one that a month has.

    Raises:
        DataError: `count` is below 1, microseconds make up whole days, or months have no anchor.
    """

    unit: Unit
    count: int = 1
    anchor: Anchor | None = None

    def __post_init__(self):
        if self.count < 1:
            raise DataError(f"a step of {self.count} {self.unit}s; it must be at least 1")
        if self.unit == "microsecond" and self.count % DAY == 0:
            raise DataError(f"a step of {self.count} microseconds is one of days; count these")
        if (self.unit == "month") != (self.anchor is not None):
            raise DataError(
                f"a step in {self.unit}s with anchor {self.anchor!r}; only months have one"
            )

    @classmethod
    def parse(cls, name: "str | int | Frequency") -> "Frequency":
        """The frequency of a name, such as ``"h"``, ``"15min"``, ``"D"``, ``"QS"`` or ``1``.

        Pandas' names, old and new, and those of polars mean what they mean there; the weekday of
        ``"W-MON"`` and the month of ``"QS-FEB"`` are left to the first stamp of a series.

        Raises:
            DataError: there is no such frequency.
        """
        if isinstance(name, Frequency):
            return name
        text = str(name).strip()
        match = re.fullmatch(r"(\d*)([A-Za-z]*)(?:-([A-Z]{3}))?", text)
        if not match or not text:
            raise DataError(f"frequency {text!r} is not known; {_ALLOWED}")
        digits, letters, tail = match.groups()
        count = int(digits or 1)
        if not letters and not tail:
            return cls("number", count)
        if letters == "m":
            raise DataError(f"frequency {text!r}: for minutes write min, for months MS or ME")
        known = _NAMES.get(letters)
        if known is None or not _tail_fits(known, tail):
            hint = nearest(letters, list(_NAMES))
            raise DataError(f"frequency {text!r} is not known{hint}; {_ALLOWED}")
        unit, size, anchor = known
        if unit == "microsecond" and count * size % DAY == 0:
            return cls("day", count * size // DAY)
        return cls(unit, count * size, anchor)

    @property
    def name(self) -> str:
        """A name that `parse` takes back; it is what is saved."""
        match self.unit:
            case "number":
                return str(self.count)
            case "microsecond":
                unit = next(unit for unit in reversed(_SPANS) if self.count % _SPANS[unit] == 0)
                return _times(self.count // _SPANS[unit], unit)
            case "day":
                weeks, rest = divmod(self.count, 7)
                return _times(self.count, "D") if rest else _times(weeks, "W")
            case "business day":
                return _times(self.count, "B")
            case "month":
                names = _MONTHS.get(self.anchor or "", {1: "mo"})
                size = next(size for size in names if self.count % size == 0)
                return _times(self.count // size, names[size])

    def __str__(self) -> str:
        return self.name

    @property
    def numbered(self) -> bool:
        """Whether stamps are whole numbers, not times."""
        return self.unit == "number"

    @property
    def local(self) -> bool:
        """Whether steps follow the clock on the wall: days and longer do, hours do not.

        It matters where the clock changes: the day after noon is noon, 23 or 25 hours later.
        """
        return self.unit in ("day", "business day", "month")

    @property
    def seasons(self) -> tuple[int, ...]:
        """Usual lengths of a season, in steps, shortest first; empty where none is usual."""
        match self.unit:
            case "microsecond" if self.count < _MINUTE:
                cycles = (_MINUTE, _HOUR)
            case "microsecond" if self.count < 5 * _MINUTE:
                cycles = (_HOUR, DAY)
            case "microsecond":
                cycles = (DAY, 7 * DAY)
            case "day" if self.count % 7 == 0:
                return tuple(n for n in (52 // (self.count // 7),) if n > 1)
            case "day":
                cycles = (7,)
            case "business day":
                cycles = (5,)
            case "month":
                cycles = (12,)
            case "number":
                return ()
        whole = (cycle // self.count for cycle in cycles if cycle % self.count == 0)
        return tuple(length for length in whole if length > 1)

    def at(self, first: ArrayLike, positions: ArrayLike) -> Stamps:
        """The stamps so many steps after a first one.

        Args:
            first: one or many, broadcast with `positions`.
            positions: whole numbers; negative ones lie before `first`.

        Returns:
            int64 or datetime64[us], of their common shape.
        """
        start = stamp_array(first)
        steps = self.count * np.asarray(positions, np.int64)
        match self.unit:
            case "number":
                return start + steps
            case "microsecond":
                return start + steps.astype("timedelta64[us]")
            case "day":
                return start + steps.astype("timedelta64[D]")
            case "business day":
                day = start.astype("datetime64[D]")
                return np.busday_offset(day, steps, roll="forward") + (start - day)
            case "month":
                return self._months_after(start, steps)

    def _months_after(self, start: Stamps, steps: NDArray[np.int64]) -> Stamps:
        day = start.astype("datetime64[D]")
        month = start.astype("datetime64[M]")
        target = month + steps.astype("timedelta64[M]")
        begin = target.astype("datetime64[D]")
        last = (target + 1).astype("datetime64[D]") - begin - np.timedelta64(1, "D")
        if self.anchor == "start":
            within = np.zeros_like(last)
        elif self.anchor == "end":
            within = last
        else:
            within = np.minimum(day - month.astype("datetime64[D]"), last)
        return begin + within + (start - day)

    def stamps(self, first: Any, count: int) -> Stamps:
        """The stamps [count] of a series without gaps, from its first."""
        return self.at(first, np.arange(count))

    def index(self, first: ArrayLike, stamps: ArrayLike) -> NDArray[np.int64]:
        """How many steps after the first stamp each stamp is; between two, that of the earlier.

        Args:
            first: one or many, broadcast with `stamps`.
            stamps: any that are of the same kind, numbers or times.

        Returns:
            int64, of their common shape.
        """
        start, given = stamp_array(first), stamp_array(stamps)
        match self.unit:
            case "number":
                return (given - start) // self.count
            case "microsecond" | "day":
                size = self.count * (DAY if self.unit == "day" else 1)
                return (given - start).astype(np.int64) // size
            case "business day":
                begin, end = (each.astype("datetime64[D]") for each in (start, given))
                guess = np.asarray(np.busday_count(begin, end), np.int64) // self.count
            case "month":
                begin, end = (each.astype("datetime64[M]") for each in (start, given))
                guess = (end - begin).astype(np.int64) // self.count
        return guess - (self.at(start, guess) > given)

    def fits(self, first: ArrayLike, stamps: ArrayLike) -> NDArray[np.bool_]:
        """Whether stamps are a whole number of steps from the first one."""
        given = stamp_array(stamps)
        return self.at(first, self.index(first, given)) == given

    def require_fit(
        self,
        stamps: Stamps,
        offsets: NDArray[np.int64] | None = None,
        where: Callable[[int], str] | None = None,
    ) -> None:
        """Refuse stamps that this step does not reach from the first one of their series.

        Args:
            stamps: of all series, end to end, [total]; of each in ascending order.
            offsets: where each series begins, and the end, [N + 1]; None for a single series.
            where: names the place of a stamp in messages, from its position in `stamps`.

        Raises:
            DataError: names the first stamp that does not fit, and the kind of stamps if they are
                numbers and the step is one of time, or the other way round.
        """
        if self.numbered != (stamps.dtype.kind != "M"):
            kind = "numbers" if stamps.dtype.kind != "M" else "times"
            allowed = "a number such as 1" if kind == "numbers" else "such as h or D"
            raise DataError(f"frequency {self.name} does not fit stamps that are {kind}; {allowed}")
        first = np.repeat(stamps[_starts(stamps, offsets)], _lengths(stamps, offsets))
        wrong = np.flatnonzero(~self.fits(first, stamps))
        if len(wrong):
            k = int(wrong[0])
            raise DataError(
                f"{(where or _nth)(k)}: {stamp_text(stamps[k])} is not on the grid of frequency "
                f"{self.name} that begins at {stamp_text(first[k])}"
                f"{_so_many(len(wrong), 'such stamps')}; correct it, or give another frequency"
            )

    @classmethod
    def infer(
        cls,
        stamps: ArrayLike,
        offsets: NDArray[np.int64] | None = None,
        where: Callable[[int], str] | None = None,
    ) -> "Frequency":
        """The most common step between the stamps of one or many series; gaps do no harm.

        Months are told from days by where stamps lie, and business days by the weekends that are
        left out.

        Args:
            stamps: of all series, end to end, [total]; of each in ascending order, none twice.
            offsets: where each series begins, and the end, [N + 1]; None for a single series.
            where: names the place of a stamp in messages, from its position in `stamps`.

        Raises:
            DataError: no series has two points, stamps do not ascend, or one is off the grid of
                the most common step; names the first of these.
        """
        given = stamp_array(stamps)
        inner = np.ones(len(given), bool)
        inner[_starts(given, offsets)] = False
        later = np.flatnonzero(inner)
        if not len(later):
            raise DataError(
                "the step between stamps cannot be seen, no series has two points; "
                "give the frequency, such as h or D"
            )
        steps = (given[later] - given[later - 1]).astype(np.int64)
        if steps.min() <= 0:
            k = int(later[np.argmin(steps > 0)])
            raise DataError(
                f"{(where or _nth)(k)}: {stamp_text(given[k])} does not come after "
                f"{stamp_text(given[k - 1])}; stamps must ascend"
            )
        step = _most_common(steps)
        found = cls("number", step) if given.dtype.kind != "M" else _of_times(given, later, step)
        found = found or cls._span(step)
        first = np.repeat(given[_starts(given, offsets)], _lengths(given, offsets))
        if found.anchor == "same" and not found.fits(first, given).all():
            found = cls._span(step)
        found.require_fit(given, offsets, where)
        return found

    @classmethod
    def _span(cls, step: int) -> "Frequency":
        return cls("microsecond", step) if step % DAY else cls("day", step // DAY)


def _tail_fits(known: tuple[Unit, int, Anchor | None], tail: str | None) -> bool:
    """Whether a name may end so: weeks in a weekday, quarters and years in a month."""
    if tail is None:
        return True
    unit, size, anchor = known
    if unit == "month" and size > 1 and anchor != "same":
        return tail in _MONTH_NAMES.split()
    return unit == "day" and size == 7 and tail in _WEEKDAYS.split()


def _times(count: int, name: str) -> str:
    return name if count == 1 else f"{count}{name}"


def _starts(stamps: Stamps, offsets: NDArray[np.int64] | None) -> NDArray[np.int64]:
    if offsets is None:
        return np.zeros(min(len(stamps), 1), np.int64)
    return offsets[:-1][np.diff(offsets) > 0]


def _lengths(stamps: Stamps, offsets: NDArray[np.int64] | None) -> NDArray[np.int64]:
    bounds = np.append(_starts(stamps, offsets), len(stamps))
    return np.diff(bounds)


def _nth(position: int) -> str:
    return f"stamp {position + 1}"


def _so_many(count: int, things: str) -> str:
    return f" ({count} {things})" if count > 1 else ""


def _most_common(steps: NDArray[np.int64]) -> int:
    sizes, counts = np.unique(steps, return_counts=True)
    return int(sizes[np.argmax(counts)])


def _of_times(stamps: Stamps, later: NDArray[np.int64], step: int) -> Frequency | None:
    """Months or business days, if the stamps look like these."""
    day = stamps.astype("datetime64[D]")
    if step == DAY:
        weekdays = np.is_busday(day)
        crossed = (np.busday_count(day[later - 1], day[later]) == 1) & (
            day[later] - day[later - 1] > np.timedelta64(1, "D")
        )
        return Frequency("business day") if weekdays.all() and crossed.any() else None
    if step < 28 * DAY:
        return None
    month = stamps.astype("datetime64[M]")
    count = _most_common((month[later] - month[later - 1]).astype(np.int64))
    if not count or not 28 * count <= step / DAY <= 31 * count:
        return None
    if (day == month.astype("datetime64[D]")).all():
        return Frequency("month", count, "start")
    if (day + 1 == (month + 1).astype("datetime64[D]")).all():
        return Frequency("month", count, "end")
    return Frequency("month", count, "same")
