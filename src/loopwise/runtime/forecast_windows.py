"""Forecasts of many windows of the same series, beside what came, as one table. No torch."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.series.output import TableKind, forecast_table
from loopwise.codec.series.panel import Panel
from loopwise.codec.series.stamps import stamp_array, stamp_text
from loopwise.errors import ConfigError, DataError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

WINDOWS = 2048
"""Held-out windows that are looked at, at most."""
CUTOFF = "cutoff"
"""The column of the last stamp that a forecast has seen."""


def windows_table(
    kind: TableKind, panel: Panel, series: Integers, ends: Integers, columns: Mapping[str, Floats]
) -> Any:
    """A table of windows.

    Args:
        kind: of the table that the series came in.
        panel: N series, with what came after the windows' ends.
        series: which of them each window is of, [B].
        ends: how many points come before the forecast, [B].
        columns: named forecasts, [B, h].

    Returns:
        A data frame, window by window: ids, stamps, ``cutoff``, the targets as they came (NaN
        where they are unknown), and the forecasts.

    Raises:
        DataError: a target is called as one of the other columns.
    """
    (h,) = {values.shape[1] for values in columns.values()}
    places = ends[:, None] + np.arange(h)
    first = panel.first[series]
    stamps = panel.frequency.at(first[:, None], places)
    cutoff = np.repeat(panel.frequency.at(first, ends - 1)[:, None], h, axis=1)
    there = places < panel.lengths[series][:, None]
    index = panel.offsets[:-1][series][:, None] + np.where(there, places, 0)
    named: dict[str, NDArray[Any]] = {CUTOFF: cutoff}
    for target, name in enumerate(panel.targets):
        if name in named or name in columns:
            raise DataError(f"target {name!r} is called as a column of forecasts; rename it")
        named[name] = np.where(there, panel.values[index, target], np.nan)
    bare = panel.tail(0).select(series)
    return forecast_table(kind, bare, stamps, {**named, **columns})


def places_from(
    panel: Panel, start: Any, stride: int, h: int, window: int
) -> tuple[Integers, Integers]:
    """Every so many places of each series that have `h` points after them.

    Args:
        panel: N series.
        start: of the first place: how many points come before it (from 2), which share of a series
            does (above 0 and below 1), or the stamp that is forecast first; None for `window`
            points, or half of a series that has fewer than two such windows.
        stride: points from one place to the next.
        h: points after it.
        window: points that a forecast reads.

    Returns:
        series [B] and how many points come before each place [B].

    Raises:
        ConfigError: a start that is not allowed.
        DataError: no series has such a place.
    """
    lengths = panel.lengths
    if start is None:
        first = np.minimum(window, lengths // 2)
    elif isinstance(start, bool):
        raise ConfigError(f"start={start!r}: {_STARTS}")
    elif isinstance(start, int | np.integer):
        if start < 2:
            raise ConfigError(f"start={start}: {_STARTS}")
        first = np.full(len(panel), int(start))
    elif isinstance(start, float):
        if not 0 < start < 1:
            raise ConfigError(f"start={start:g}: {_STARTS}")
        first = (lengths * start).astype(np.int64)
    else:
        first = _of_stamp(panel, start)
    first = np.maximum(first, 2)
    ends = lengths - h + 1
    found = [np.arange(begin, end, stride) for begin, end in zip(first, ends, strict=True)]
    series = np.repeat(np.arange(len(panel)), [len(each) for each in found])
    if not len(series):
        raise DataError(
            f"no series has a place with {h} points after it: {panel.longest}, and the first "
            f"place is after {int(first.min(initial=0))}"
        )
    return series, np.concatenate(found)


def places_after(begin: Integers, lengths: Integers, h: int) -> tuple[Integers, Integers]:
    """Places in the last part of each row that have `h` points after them, spread evenly.

    Args:
        begin: where that part begins, [R]; a row without one has its length.
        lengths: points of each row, [R].
        h: points after a place.

    Returns:
        rows [B] and how many points come before each place [B], at most 2048: of more rows every
        n-th lends one. None where no row has any.
    """
    last = lengths - h
    usable = np.flatnonzero((begin < lengths) & (last >= begin))
    if not len(usable):
        return usable, usable
    usable = usable[:: -(-len(usable) // WINDOWS)]
    most = WINDOWS // len(usable)
    rows: list[Integers] = []
    ends: list[Integers] = []
    for row in usable:
        count = min(int(last[row] - begin[row]) + 1, most)
        found = np.unique(np.linspace(last[row], begin[row], count).astype(np.int64))
        ends.append(found)
        rows.append(np.full(len(found), row))
    return np.concatenate(rows), np.concatenate(ends)


_STARTS = (
    "must be a number of points from 2, a share of a series between 0 and 1, or the stamp that is "
    "forecast first"
)


def _of_stamp(panel: Panel, start: Any) -> Integers:
    try:
        stamp = stamp_array(start)
    except (ValueError, TypeError):
        raise ConfigError(f"start={start!r}: {_STARTS}") from None
    if stamp.ndim or stamp.dtype.kind != panel.first.dtype.kind:
        raise ConfigError(f"start={start!r}: {_STARTS}")
    longest = int(panel.lengths.max(initial=0))
    found = np.empty(len(panel), np.int64)
    for i in range(len(panel)):
        stamps = panel.frequency.stamps(panel.first[i], longest)
        found[i] = np.searchsorted(stamps, stamp)
    if (found >= longest).all():
        last = stamp_text(panel.frequency.stamps(panel.first[0], longest)[-1])
        raise DataError(f"start={start!r}: is after the series, which end at {last}")
    return found
