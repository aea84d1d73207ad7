"""What may be wrong with points, told or mended: order, duplicates, gaps, what is no number."""

import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.series.columns import why_no_number
from loopwise.codec.series.frequency import Frequency
from loopwise.codec.series.layouts import Points
from loopwise.codec.series.panel import Floats, Integers, Panel, offsets_of
from loopwise.codec.series.stamps import stamp_text
from loopwise.codec.series.zones import shown_twice
from loopwise.errors import DataError, DataWarning

Missing = Literal["error", "interpolate", "mask"]

_LARGEST_GROWTH = 100  # a table whose gaps make it longer than that many times has a wrong step


def in_order(points: Points, missing: Missing) -> Points:
    """Points by series and within them by stamp, each stamp once in a series.

    Args:
        points: in any order.
        missing: what to do where a series has a stamp twice: refuse it, or take the last of such
            rows and warn.

    Raises:
        DataError: a series has a stamp twice, and `missing` is ``"error"``.

    Warns:
        DataWarning: a series was not in order, or had a stamp twice.
    """
    if (np.diff(points.codes) < 0).any():
        points = points.take(np.argsort(points.codes, kind="stable"))
    if not (_within(points) & (points.stamps[1:] <= points.stamps[:-1])).any():
        return points
    order = np.lexsort((points.stamps, points.codes))
    ordered = points.take(order)
    twice = _within(ordered) & (ordered.stamps[1:] == ordered.stamps[:-1])
    for told in _told_twice(ordered, twice, missing):
        warnings.warn(told, DataWarning, stacklevel=3)
    given = points.take(np.sort(order[np.append(True, ~twice)]))  # each stamp as it first comes
    back = np.flatnonzero(_within(given) & (given.stamps[1:] < given.stamps[:-1]))
    if len(back):
        k = int(back[0]) + 1
        warnings.warn(
            f"{given.where(k)}: {stamp_text(given.stamps[k])} comes after "
            f"{stamp_text(given.stamps[k - 1])}{_more(len(back), 'such rows')}; "
            f"the rows of each series were sorted by time",
            DataWarning,
            stacklevel=3,
        )
    return ordered.take(np.append(~twice, True))


def _within(points: Points) -> NDArray[np.bool_]:
    """Whether a point and the next one are of one series, [n - 1]."""
    return points.codes[1:] == points.codes[:-1]


def _told_twice(points: Points, twice: NDArray[np.bool_], missing: Missing) -> Iterator[str]:
    """What to say of points, in order, whose stamp the next one has too."""
    same = (points.numbers[1:] == points.numbers[:-1]) | (
        np.isnan(points.numbers[1:]) & np.isnan(points.numbers[:-1])
    )
    alike = same.all(axis=1)
    if missing == "error":
        kinds = [(twice, "a series has each stamp once")]
    else:
        kinds = [
            (twice & alike, "of rows that are alike one was kept"),
            (twice & ~alike, "of rows with other values the last was kept"),
        ]
    for which, done in kinds:
        if not which.any():
            continue
        k = int(np.argmax(which))
        told = (
            f"{points.where(k)}: {stamp_text(points.stamps[k])} comes again in row "
            f"{points.rows[k + 1]}{_more(int(which.sum()), 'such stamps')}; "
            f"{done}{_why_twice(points, k)}"
        )
        if missing == "error":
            raise DataError(told)
        yield told


def _why_twice(points: Points, k: int) -> str:
    """What may have made a stamp come twice."""
    hint = "; several series need an id column" if points.ids[0] in points.names else ""
    stamp = points.stamps[k]
    if points.zone is None and ":" in stamp_text(stamp) and shown_twice(stamp):
        hint += "; where a clock was set back, give times with their offset"
    return hint


def without_texts(points: Points, missing: Missing) -> None:
    """Tell of entries that are no numbers, which count as missing.

    Raises:
        DataError: there are some, and `missing` is ``"error"``.
    """
    if points.texts is None:
        return
    places, columns = np.nonzero(points.texts != None)  # noqa: E711
    if not len(places):
        return
    k, column = int(places[0]), int(columns[0])
    told = (
        f"{points.where(k)} ({stamp_text(points.stamps[k])}): {points.names[column]!r} is "
        f"{points.texts[k, column]!r}, which is not a number{_more(len(places), 'such entries')}"
        f"{why_no_number(points.texts[k, column])}"
    )
    if missing == "error":
        raise DataError(f"{told}; correct it, or choose missing=interpolate or missing=mask")
    warnings.warn(f"{told}; {_DONE[missing]}", DataWarning, stacklevel=3)


def without_gaps(
    points: Points, frequency: Frequency, missing: Missing
) -> tuple[Floats, Integers, Integers]:
    """A point at every step from the first to the last of each series.

    Args:
        points: in order, on the grid of `frequency`, of every series one at least.
        frequency: the step.
        missing: what to do with gaps: refuse them, or make points of NaN and warn.

    Returns:
        numbers [total, columns], offsets [N + 1], and the row of each, or 0 where there was none.

    Raises:
        DataError: there are gaps, and `missing` is ``"error"``; or more of them than a step of
            that size can explain.
    """
    starts = offsets_of(np.bincount(points.codes, minlength=len(points.ids)))
    first = points.stamps[starts[:-1]][points.codes]
    position = frequency.index(first, points.stamps)
    lengths = position[starts[1:] - 1] + 1
    offsets = offsets_of(lengths)
    total, given = int(offsets[-1]), len(points.codes)
    if total == given:
        return points.numbers, offsets, points.rows
    begins = np.flatnonzero((points.codes[1:] == points.codes[:-1]) & (np.diff(position) > 1))
    k = int(begins[0])
    lost = stamp_text(frequency.at(points.stamps[k], 1))
    told = (
        f"series {points.ids[points.codes[k]]!r}: no row for {lost}, between row {points.rows[k]} "
        f"({stamp_text(points.stamps[k])}) and row {points.rows[k + 1]} "
        f"({stamp_text(points.stamps[k + 1])}), with frequency {frequency.name}"
        f"{_more(total - given, 'missing stamps')}"
    )
    if missing == "error":
        raise DataError(f"{told}; add them, or choose missing=interpolate or missing=mask")
    if total > max(_LARGEST_GROWTH * given, 1_000_000):
        raise DataError(f"{told}; filled, {given} rows would be {total}: give a longer frequency")
    warnings.warn(f"{told}; {_DONE[missing]}", DataWarning, stacklevel=3)
    place = offsets[points.codes] + position
    numbers = np.full((total, points.numbers.shape[1]), np.nan)
    numbers[place] = points.numbers
    rows = np.zeros(total, np.int64)
    rows[place] = points.rows
    return numbers, offsets, rows


_DONE = {"interpolate": "interpolated", "mask": "taken as unknown"}


def without_missing(
    numbers: Floats,
    points: Points,
    offsets: Integers,
    rows: Integers,
    missing: Missing,
    step: Frequency,
    first: NDArray[np.generic],
) -> Floats:
    """Numbers without infinities, and with `missing` ``"interpolate"`` without NaN.

    Args:
        numbers: [total, columns].
        points: that they are made of, in order.
        offsets: where each series begins, and the end, [N + 1].
        rows: the row of each point, or 0 for one that fills a gap, [total].
        missing: what to do with missing and infinite values.
        step: the step of the series.
        first: the stamp of each series' first point, [N].

    Raises:
        DataError: a value is missing or infinite and `missing` is ``"error"``; a series has no
            finite value in a column.
    """
    broken = ~np.isfinite(numbers)
    if not broken.any():
        return numbers
    ids, names = points.ids, points.names
    real = broken & (rows > 0)[:, None]
    if points.texts is not None:  # which have been told
        real[rows > 0] &= points.texts == None  # noqa: E711
    if real.any():
        k, column = (int(place[0]) for place in np.nonzero(real))
        i = int(np.searchsorted(offsets, k, side="right")) - 1
        kind = "missing" if np.isnan(numbers[k, column]) else "infinite"
        stamp = stamp_text(step.at(first[i], k - offsets[i]))
        told = (
            f"series {ids[i]!r}, row {rows[k]} ({stamp}): "
            f"{names[column]!r} is {kind}{_more(int(real.sum()), 'missing or infinite values')}"
        )
        if missing == "error":
            raise DataError(f"{told}; correct it, or choose missing=interpolate or missing=mask")
        warnings.warn(f"{told}; {_DONE[missing]}", DataWarning, stacklevel=3)
    _require_some(broken, names, offsets, ids)
    if missing == "mask":
        return np.where(broken, np.nan, numbers)
    return np.stack([_interpolated(column, offsets) for column in numbers.T], axis=1)


def filled(panel: Panel) -> Panel:
    """A panel without NaN: on straight lines, and at the ends of a series its nearest value.

    What is nowhere known in a series stays NaN.
    """

    def each(values: Floats) -> Floats:
        if not np.isnan(values).any():
            return values
        columns = [_interpolated(column, panel.offsets) for column in values.T]
        return np.stack(columns, axis=1)

    return replace(
        panel, values=each(panel.values), past=each(panel.past), future=each(panel.future)
    )


def _require_some(
    broken: NDArray[np.bool_], names: tuple[str, ...], offsets: Integers, ids: tuple[str | int, ...]
) -> None:
    present = np.add.reduceat(~broken, offsets[:-1], axis=0)
    series, column = np.nonzero(present == 0)
    if len(series):
        raise DataError(
            f"series {ids[series[0]]!r}: {names[column[0]]!r} has no finite value at all"
        )


def _interpolated(values: Floats, offsets: Integers) -> Floats:
    """Straight lines between finite values; before the first and after the last, that value."""
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return values
    series = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    wanted = np.flatnonzero(~np.isfinite(values))
    after = np.searchsorted(known, wanted)
    left = known[np.maximum(after - 1, 0)]
    right = known[np.minimum(after, len(known) - 1)]
    left = np.where((after > 0) & (series[left] == series[wanted]), left, right)
    right = np.where(series[right] == series[wanted], right, left)
    share = (wanted - left) / np.maximum(right - left, 1)
    result = values.copy()
    own = series[left] == series[wanted]
    line = values[left] * (1 - share) + values[right] * share
    result[wanted] = np.where(own, line, np.nan)
    return result


def _more(count: int, things: str) -> str:
    return f" ({count} {things})" if count > 1 else ""
