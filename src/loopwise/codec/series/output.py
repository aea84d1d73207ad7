"""Forecasts as tables of the kind that came in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.series.columns import Columns, is_text, open_frame
from loopwise.codec.series.layouts import Layout
from loopwise.codec.series.panel import Panel
from loopwise.codec.series.stamps import Stamps
from loopwise.codec.series.zones import to_local, to_utc
from loopwise.errors import DataError

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class TableKind:
    """What a table of forecasts shares with the table of the series.

    Attributes:
        library: whose data frame it is; tables of other libraries come back as polars'.
        id: the column of ids; None for a table of one series without it.
        time: the column of stamps.
        id_type: the library's own type of the ids, or None for its default.
        time_type: the same of the stamps.
        time_text: a stamp as it was written, where stamps are strings.
    """

    library: Literal["polars", "pandas", "pyarrow"] = "polars"
    id: str | None = "unique_id"
    time: str = "ds"
    id_type: Any = None
    time_type: Any = None
    time_text: str | None = None

    @classmethod
    def of(cls, frame: Any, columns: Columns | None = None, layout: Layout = "long") -> "TableKind":
        """The kind of a table; arguments as in `panel_from_table`."""
        columns = columns or Columns()
        table = open_frame(frame)
        library: Any = table.implementation.value
        has_id = columns.id in table.columns
        has_time = columns.time in table.columns
        text = None
        if has_time and is_text(table[columns.time]):
            text = str(table[columns.time][0]).strip()
        return cls(
            library=library if library in ("pandas", "pyarrow") else "polars",
            id=columns.id if has_id or layout != "long" else None,
            time=columns.time,
            id_type=_native_type(table[columns.id]) if has_id else None,
            time_type=_native_type(table[columns.time]) if has_time else None,
            time_text=text,
        )


def _native_type(column: Any) -> Any:
    native = column.to_native()
    return native.type if hasattr(native, "type") else native.dtype


def forecast_table(
    kind: TableKind, panel: Panel, stamps: Stamps, columns: Mapping[str, NDArray[Any]]
) -> Any:
    """A long table of forecasts: the ids, the stamps, and a column for each array.

    Args:
        kind: of the table that the series came in.
        panel: the series, for their ids, their frequency and their zone.
        stamps: as the panel keeps them, [N, h], such as those of `Panel.stamps_after`.
        columns: named arrays [N, h]; of stamps too.

    Returns:
        A data frame of the library, series by series, with ids and stamps of the types that came
        in, and stamps in the zone in which they came.

    Raises:
        DataError: an array has another shape than the stamps, or a name is that of the ids or of
            the stamps.
    """
    for name, array in columns.items():
        if array.shape != stamps.shape:
            raise DataError(f"column {name!r} is {list(array.shape)}, stamps {list(stamps.shape)}")
        if name in (kind.id, kind.time):
            raise DataError(f"column {name!r} would replace that of the same name in the table")
    build = _pandas if kind.library == "pandas" else _polars
    flat = {name: array.reshape(-1) for name, array in columns.items()}
    series = np.repeat(np.arange(len(panel)), stamps.shape[1])
    table = build(kind, panel, series, stamps.reshape(-1), flat)
    return table.to_arrow() if kind.library == "pyarrow" else table


def _moments(panel: Panel, stamps: Stamps) -> Stamps:
    """In UTC where there is a zone."""
    if panel.zone and panel.frequency.local:
        return to_utc(stamps, panel.zone)
    return stamps


def _texts(kind: TableKind, panel: Panel, stamps: Stamps) -> list[str]:
    """Stamps written as the one that `kind` has."""
    sample = kind.time_text or ""
    if stamps.dtype.kind != "M":
        return [str(each) for each in stamps.tolist()]
    wall = to_local(stamps, panel.zone) if panel.zone and not panel.frequency.local else stamps
    ahead = (wall - _moments(panel, stamps)) // np.timedelta64(1, "m")
    dates = not panel.zone and bool((wall == wall.astype("datetime64[D]")).all())
    if len(sample) == 7 and dates and panel.frequency.unit == "month":
        texts = np.datetime_as_string(wall, "M")
    elif dates and len(sample) <= 10:
        texts = np.datetime_as_string(wall, "D")
    else:
        whole = bool((wall == wall.astype("datetime64[s]")).all())
        texts = np.datetime_as_string(wall, "s" if whole else "us")
    written = [
        text.replace("T", "T" if "T" in sample else " ").replace("-", "/" if "/" in sample else "-")
        for text in texts.tolist()
    ]
    if not panel.zone:
        return written
    if sample.endswith("Z") and not ahead.any():
        return [text + "Z" for text in written]
    return [text + _offset(int(each)) for text, each in zip(written, ahead, strict=True)]


def _offset(minutes: int) -> str:
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02}:{rest:02}"


def _polars(
    kind: TableKind,
    panel: Panel,
    series: NDArray[np.int64],
    stamps: Stamps,
    columns: dict[str, NDArray[Any]],
) -> "pl.DataFrame":
    import polars as pl

    own_types = kind.library == "polars"

    def of_stamps(name: str, given: Stamps) -> pl.Series:
        if kind.time_text is not None:
            return pl.Series(name, _texts(kind, panel, given))
        column = pl.Series(name, _moments(panel, given))
        if panel.zone:
            column = column.dt.replace_time_zone("UTC").dt.convert_time_zone(panel.zone)
        return column.cast(kind.time_type) if own_types and kind.time_type else column

    table: list[pl.Series] = []
    if kind.id is not None:
        ids = pl.Series(kind.id, list(panel.ids))
        ids = ids.cast(kind.id_type) if own_types and kind.id_type else ids
        table.append(ids.gather(series))
    table.append(of_stamps(kind.time, stamps))
    for name, array in columns.items():
        table.append(of_stamps(name, array) if array.dtype.kind == "M" else pl.Series(name, array))
    return pl.DataFrame(table)


def _pandas(
    kind: TableKind,
    panel: Panel,
    series: NDArray[np.int64],
    stamps: Stamps,
    columns: dict[str, NDArray[Any]],
) -> Any:
    import pandas as pd

    def of_stamps(given: Stamps) -> Any:
        if kind.time_text is not None:
            return pd.Series(_texts(kind, panel, given)).astype(kind.time_type)
        column: Any = pd.Series(_moments(panel, given))
        if panel.zone:
            column = column.dt.tz_localize("UTC").dt.tz_convert(panel.zone)
        if kind.time_type is None:
            return column
        if kind.time_type.kind == "O" and kind.time_type.name == "object":
            return column.dt.date
        if isinstance(kind.time_type, pd.PeriodDtype):
            return column.dt.to_period(kind.time_type.freq)
        return column.astype(kind.time_type)

    table: dict[str, Any] = {}
    if kind.id is not None:
        ids = pd.Series(list(panel.ids))
        ids = ids if kind.id_type is None else ids.astype(kind.id_type)
        table[kind.id] = ids.take(series).reset_index(drop=True)
    table[kind.time] = of_stamps(stamps)
    for name, array in columns.items():
        table[name] = of_stamps(array) if array.dtype.kind == "M" else array
    return pd.DataFrame(table)
