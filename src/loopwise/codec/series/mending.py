"""What may be wrong with points, told or mended: order, duplicates, gaps, missing values."""

import warnings
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.series.frequency import Frequency
from loopwise.codec.series.layouts import Points
from loopwise.codec.series.panel import Floats, Integers, Panel, offsets_of
from loopwise.codec.series.stamps import stamp_text
from loopwise.errors import DataError, DataWarning

Missing = Literal["error", "interpolate", "mask"]

_LARGEST_GROWTH = 100  # a table whose gaps make it longer than that many times has a wrong step


def in_order(points: Points) -> Points:
    """Points by series and within them by stamp; warns where a series was not in order.

    Raises:
        DataError: a series has a stamp twice.
    """
    if (np.diff(points.codes) < 0).any():
        points = _by(points, np.argsort(points.codes, kind="stable"))
    same = points.codes[1:] == points.codes[:-1]
    back = np.flatnonzero(same & (points.stamps[1:] < points.stamps[:-1]))
    if not len(back):
        _refuse_twice(points)
        return points
    k = int(back[0]) + 1
    told = (
        f"{points.where(k)}: {stamp_text(points.stamps[k])} comes after "
        f"{stamp_text(points.stamps[k - 1])}{_more(len(back), 'such rows')}; "
        f"the rows of each series were sorted by time"
    )
    points = _by(points, np.lexsort((points.stamps, points.codes)))
    _refuse_twice(points)
    warnings.warn(told, DataWarning, stacklevel=3)
    return points


def _refuse_twice(points: Points) -> None:
    twice = np.flatnonzero(
        (points.codes[1:] == points.codes[:-1]) & (points.stamps[1:] == points.stamps[:-1])
    )
    if len(twice):
        k = int(twice[0])
        hint = "; several series need an id column" if points.ids[0] in points.names else ""
        if points.zone is None and stamp_text(points.stamps[k]).endswith(":00"):
            hint += "; where a clock was set back, give times with their offset"
        raise DataError(
            f"{points.where(k)}: {stamp_text(points.stamps[k])} comes again in row "
            f"{points.rows[k + 1]}{_more(len(twice), 'such stamps')}; "
            f"a series has each stamp once{hint}"
        )


def _by(points: Points, order: Integers) -> Points:
    return replace(
        points,
        codes=points.codes[order],
        stamps=points.stamps[order],
        rows=points.rows[order],
        numbers=points.numbers[order],
    )


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
    names: tuple[str, ...],
    offsets: Integers,
    rows: Integers,
    missing: Missing,
    ids: tuple[str | int, ...],
    step: Frequency,
    first: NDArray[np.generic],
) -> Floats:
    """Numbers without infinities, and with `missing` ``"interpolate"`` without NaN.

    Args:
        numbers: [total, columns].
        names: of the columns.
        offsets: where each series begins, and the end, [N + 1].
        rows: the row of each point, or 0 for one that fills a gap, [total].
        missing: what to do with missing and infinite values.
        ids: names of the series.
        step: the step of the series.
        first: the stamp of each series' first point, [N].

    Raises:
        DataError: a value is missing or infinite and `missing` is ``"error"``; a series has no
            finite value in a column.
    """
    broken = ~np.isfinite(numbers)
    if not broken.any():
        return numbers
    real = broken & (rows > 0)[:, None]
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
