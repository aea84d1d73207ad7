"""Tables into panels: data frames of pandas, polars and others, in three layouts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from loopwise.codec.series.columns import Columns, numbers, open_frame, require_columns
from loopwise.codec.series.frequency import Frequency
from loopwise.codec.series.grid import on_grid
from loopwise.codec.series.layouts import Layout, Points, read_points, series_of
from loopwise.codec.series.mending import (
    Missing,
    in_order,
    without_gaps,
    without_missing,
    without_texts,
)
from loopwise.codec.series.panel import Floats, Integers, Panel, Schema, offsets_of
from loopwise.codec.series.stamps import Stamps, stamp_text
from loopwise.codec.series.statics import read_statics
from loopwise.codec.series.times import times
from loopwise.codec.series.zones import to_local, to_utc
from loopwise.config import nearest
from loopwise.errors import DataError

if TYPE_CHECKING:
    import narwhals as nw

__all__ = ["Columns", "Layout", "Missing", "future_values", "panel_from_table"]


def panel_from_table(
    frame: Any,
    columns: Columns | None = None,
    *,
    frequency: str | int | Frequency | None = None,
    missing: Missing = "error",
    layout: Layout = "long",
    ids: Sequence[str | int] | None = None,
    minimum: int = 1,
    zone: str | None = None,
    like: Schema | None = None,
) -> Panel:
    """A panel of the series in a table.

    Rows are counted from 1 in messages, a header not being a row.

    Args:
        frame: a data frame of pandas, polars or another kind that narwhals takes; a pandas series
            with an index of times.
        columns: which column means what; without, ``unique_id``, ``ds`` and ``y``.
        frequency: the step between stamps, as `Frequency.parse` takes it; without, the most common
            one in the table.
        missing: what to do with gaps between stamps, with missing and infinite values and with
            entries that are no numbers: ``"error"``; ``"interpolate"``, on straight lines; or
            ``"mask"``, which leaves them NaN. The last two warn, and of rows with the same stamp
            they take the last.
        layout: ``"long"``, a row for each point; ``"wide"``, a time column and a column for each
            series; ``"rows"``, a row for each series, its id and then its values, numbered from 1
            and ended by empty cells. The last two have no covariates, and a series begins and ends
            with its first and last value.
        ids: the series to take, in this order, numbers also as texts; without, all, as they first
            come in the table.
        minimum: the fewest points that a series may have.
        zone: the time zone of the stamps; those without a zone are what its clocks show, others are
            moved to it.
        like: the schema that a model knows: its frequency, and the values of its categories.

    Returns:
        A panel; NaN only with `missing` ``"mask"``.

    Raises:
        DataError: a column is missing or of a wrong kind, a number is none, a stamp is unreadable,
            missing, twice in a series or off the grid; there are gaps or missing values; a static
            value varies; a series is unknown or too short; the panel is not like `like`. The
            message has the series, the stamp and the row.
        MissingExtraError: narwhals or polars is not installed.

    Warns:
        DataWarning: a series was not in order of time, or something was mended by `missing`.
    """
    if missing not in ("error", "interpolate", "mask"):
        raise DataError(f"missing={missing!r}; allowed are error, interpolate and mask")
    if layout not in ("long", "wide", "rows"):
        raise DataError(f"layout={layout!r}; allowed are long, wide and rows")
    columns = columns or Columns()
    table = open_frame(frame)
    points = _zoned(read_points(table, columns, layout), zone)
    statics = (
        read_statics(table, columns, points.ids, points.codes, like, missing != "error")
        if layout == "long"
        else {}
    )
    if ids is not None:
        chosen = _places(points.ids, ids)
        points, statics = _only(points, chosen), _only_statics(statics, chosen)
    without_texts(points, missing)
    points = in_order(points, missing)
    wanted = like.frequency if like and frequency is None else frequency
    points, step = on_grid(points, wanted, missing, known=wanted is not frequency)
    first = points.stamps[_starts(points)]
    values, offsets, rows = without_gaps(points, step, missing)
    values = without_missing(values, points, offsets, rows, missing, step, first)
    targets, past = len(columns.targets), len(columns.targets) + len(columns.past)
    panel = Panel(
        ids=points.ids,
        offsets=offsets,
        values=np.ascontiguousarray(values[:, :targets]),
        first=first,
        frequency=step,
        targets=points.names[:targets],
        past=np.ascontiguousarray(values[:, targets:past]),
        past_names=tuple(columns.past),
        future=np.ascontiguousarray(values[:, past:]),
        future_names=tuple(columns.future),
        zone=points.zone,
        **statics,
    )
    _require_length(panel, minimum)
    if like is not None:
        panel.require_like(like)
    return panel


def _zoned(points: Points, zone: str | None) -> Points:
    if zone is None:
        return points
    if points.stamps.dtype.kind != "M":
        raise DataError(f"time zone {zone!r} was given for stamps that are whole numbers")
    stamps = points.stamps if points.zone else to_utc(points.stamps, zone)
    return replace(points, stamps=stamps, zone=zone)


def _starts(points: Points) -> Integers:
    return offsets_of(np.bincount(points.codes, minlength=len(points.ids)))[:-1]


def _places(known: tuple[str | int, ...], ids: Sequence[str | int]) -> Integers:
    """Where the series of these names are among the known ones."""
    if not len(ids):
        raise DataError("ids is empty; name one series at least, or give None for all")
    place = {str(name): i for i, name in enumerate(known)}
    twice = [name for name, count in Counter(map(str, ids)).items() if count > 1]
    if twice:
        raise DataError(f"series {twice[0]!r} is named twice; ids takes each once")
    for name in ids:
        if str(name) not in place:
            raise DataError(
                f"there is no series {name!r} in the table{nearest(str(name), list(place))}"
            )
    return np.array([place[str(name)] for name in ids])


def _only(points: Points, chosen: Integers) -> Points:
    """The points of some series, in the order of these."""
    code = np.full(len(points.ids), -1)
    code[chosen] = np.arange(len(chosen))
    codes = code[points.codes]
    kept = codes >= 0
    ids = tuple(points.ids[i] for i in chosen)
    return replace(points, ids=ids, codes=codes).take(kept)


def _only_statics(statics: dict[str, Any], chosen: Integers) -> dict[str, Any]:
    return {
        name: value[chosen] if isinstance(value, np.ndarray) else value
        for name, value in statics.items()
    }


def _require_length(panel: Panel, minimum: int) -> None:
    short = np.flatnonzero(panel.lengths < minimum)
    if len(short):
        i = int(short[0])
        more = f" ({len(short)} such series)" if len(short) > 1 else ""
        raise DataError(
            f"series {panel.ids[i]!r} has {panel.lengths[i]} points, from "
            f"{stamp_text(panel.first[i])}; at least {minimum} are needed{more}"
        )


def future_values(
    frame: Any, panel: Panel, columns: Columns | None = None, *, horizon: int
) -> Floats:
    """The covariates known ahead, over the steps after each series' end.

    Args:
        frame: a long table with the time column and those of the covariates, of any kind as in
            `panel_from_table`; the target is not needed, other rows and columns do no harm, and
            without the id column the values hold for all series.
        panel: the series.
        columns: which column means what.
        horizon: how many steps.

    Returns:
        float64 [N, horizon, F], in the order of `Panel.future_names`.

    Raises:
        DataError: a column, a row or a value is missing, a value is infinite, or a series has a
            stamp twice; names covariate, series and stamp.
        MissingExtraError: narwhals or polars is not installed.
    """
    if not panel.future_names:
        return np.empty((len(panel), horizon, 0))
    columns = columns or Columns()
    table = open_frame(frame)
    require_columns(table, (columns.time, *panel.future_names), columns)
    stamps = _stamps_like(table, columns, panel)
    wanted = panel.stamps_after(horizon)
    series = _series_like(table, columns, panel)
    rows = _rows_of(series, stamps, wanted, panel.ids)
    if (rows < 0).any():
        i, k = (int(place[0]) for place in np.nonzero(rows < 0))
        lost = int((rows < 0).sum())
        more = f" ({lost} such rows)" if lost > 1 else ""
        raise DataError(
            f"series {panel.ids[i]!r}: no row for {stamp_text(wanted[i, k])}, where "
            f"{panel.future_names[0]!r} must be known for a forecast{more}"
        )
    found = [numbers(table[name])[rows] for name in panel.future_names]
    result = np.stack(found, axis=-1)
    if not np.isfinite(result).all():
        i, k, f = (int(place[0]) for place in np.nonzero(~np.isfinite(result)))
        kind = "missing" if np.isnan(result[i, k, f]) else "infinite"
        raise DataError(
            f"series {panel.ids[i]!r}, row {rows[i, k] + 1} ({stamp_text(wanted[i, k])}): "
            f"{panel.future_names[f]!r} is {kind}; a forecast needs it"
        )
    return result


def _stamps_like(table: "nw.DataFrame[Any]", columns: Columns, panel: Panel) -> Stamps:
    """The stamps of a table as a panel keeps them."""
    stamps, zone = times(table[columns.time])
    if (stamps.dtype.kind != "M") != panel.frequency.numbered:
        kinds = ("numbers", "times") if panel.frequency.numbered else ("times", "numbers")
        raise DataError(
            f"column {columns.time!r}: stamps of the series are {kinds[0]}, these are {kinds[1]}"
        )
    if panel.zone is None:
        return stamps
    if panel.frequency.local:
        return to_local(stamps, panel.zone) if zone else stamps
    return stamps if zone else to_utc(stamps, panel.zone)


def _series_like(table: "nw.DataFrame[Any]", columns: Columns, panel: Panel) -> Integers | None:
    """Which series of a panel each row belongs to, -1 for none; None if each belongs to all."""
    if columns.id not in table.columns:
        return None
    ids, codes = series_of(table, columns)
    place = {name: i for i, name in enumerate(panel.ids)}
    return np.array([place.get(name, -1) for name in ids], np.int64)[codes]


def _rows_of(
    series: Integers | None, stamps: Stamps, wanted: Stamps, ids: tuple[str | int, ...]
) -> Integers:
    """The row of a table for each of the wanted stamps [N, h], or -1."""
    ticks, sought = stamps.astype(np.int64), wanted.astype(np.int64)
    different = np.unique(ticks)
    place = np.searchsorted(different, sought)
    place = np.minimum(place, len(different) - 1)
    there = different[place] == sought
    owner = np.zeros(len(ticks), np.int64) if series is None else series
    row_key = owner * len(different) + np.searchsorted(different, ticks)
    sought_owner = np.arange(len(ids))[:, None] if series is not None else 0
    key = sought_owner * len(different) + place
    order = np.argsort(row_key, kind="stable")
    ordered = row_key[order]
    twice = np.flatnonzero((ordered[1:] == ordered[:-1]) & (ordered[1:] >= 0))
    if len(twice):
        row, again = order[twice[0]], order[twice[0] + 1]
        of = "" if series is None else f"series {ids[series[row]]!r}, "
        raise DataError(
            f"{of}row {row + 1}: {stamp_text(stamps[row])} comes again in row {again + 1}; "
            f"covariates have each stamp once"
        )
    found = np.minimum(np.searchsorted(ordered, key), len(order) - 1)
    rows = order[found]
    return np.where(there & (row_key[rows] == key), rows, -1)
