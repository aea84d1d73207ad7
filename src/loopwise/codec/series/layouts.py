"""Layouts of tables, a row for a point, a column for a series or a row for it, all as points."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.series.columns import (
    Columns,
    as_strings,
    is_text,
    numbers,
    numbers_and_texts,
    require_columns,
)
from loopwise.codec.series.stamps import Stamps
from loopwise.codec.series.times import times
from loopwise.errors import DataError

if TYPE_CHECKING:
    import narwhals as nw
    import polars as pl

Layout = Literal["long", "wide", "rows"]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Texts = NDArray[np.object_]


@dataclass(frozen=True)
class Points:
    """The points of all series as a table has them, in its order.

    Attributes:
        ids: names of the series, by when they first come.
        codes: which of these a point belongs to, [n].
        stamps: [n]; in UTC if there is a zone.
        rows: the row of the table that a point stands in, from 1, [n].
        numbers: targets, past and future covariates of each point, [n, C + P + F].
        names: of these columns.
        zone: the time zone, or None.
        texts: entries that are no numbers and NaN in `numbers`, of the same shape, None elsewhere;
            None where there is none.
    """

    ids: tuple[str | int, ...]
    codes: Integers
    stamps: Stamps
    rows: Integers
    numbers: Floats
    names: tuple[str, ...]
    zone: str | None
    texts: Texts | None = None

    def take(self, chosen: Integers | NDArray[np.bool_]) -> "Points":
        """Some of the points, in this order."""
        return replace(
            self,
            codes=self.codes[chosen],
            stamps=self.stamps[chosen],
            rows=self.rows[chosen],
            numbers=self.numbers[chosen],
            texts=None if self.texts is None else self.texts[chosen],
        )

    def where(self, k: int) -> str:
        """The place of a point, for messages."""
        return f"series {self.ids[self.codes[k]]!r}, row {self.rows[k]}"


def read_points(frame: "nw.DataFrame[Any]", columns: Columns, layout: Layout) -> Points:
    """The points of a table.

    Raises:
        DataError: a column is missing or cannot be read, an id or a stamp is missing, or a layout
            without covariates is asked for some.
    """
    if layout == "long":
        return _long(frame, columns)
    if columns.static or columns.past or columns.future or columns.weight:
        raise DataError(f"a table with layout {layout!r} has no covariates; use layout 'long'")
    return _wide(frame, columns) if layout == "wide" else _rows(frame, columns)


def series_of(
    frame: "nw.DataFrame[Any]", columns: Columns
) -> tuple[tuple[str | int, ...], Integers]:
    """The names of the series in a long table, and which of them each row belongs to.

    A table without the id column holds one series, named like the target.
    """
    if columns.id in frame.columns:
        return encode(frame[columns.id])
    name = columns.targets[0] if len(columns.targets) == 1 else "series"
    return (name,), np.zeros(len(frame), np.int64)


def encode(column: "nw.Series[Any]") -> tuple[tuple[str | int, ...], Integers]:
    """The different values of a column, by when they first come, and a code for each row.

    Raises:
        DataError: an id is missing; names its row.
    """
    missing = np.flatnonzero(column.is_null().to_numpy())
    if len(missing):
        more = f" ({len(missing)} such rows)" if len(missing) > 1 else ""
        raise DataError(f"column {column.name!r}, row {missing[0] + 1}: the id is missing{more}")
    if column.dtype.is_integer():
        return _encode_integers(np.asarray(column.to_numpy(), np.int64))
    if column.dtype.is_float():
        values = numbers(column)
        if (values == np.floor(values)).all():
            return _encode_integers(values.astype(np.int64))
    return encode_strings(as_strings(column))


def _encode_integers(values: Integers) -> tuple[tuple[int, ...], Integers]:
    different, begins, codes = np.unique(values, return_index=True, return_inverse=True)
    order = np.argsort(begins)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return tuple(different[order].tolist()), rank[codes]


def encode_strings(texts: "pl.Series") -> tuple[tuple[str, ...], Integers]:
    """As `encode`, of strings of which none is missing."""
    runs = texts.rle_id().to_numpy().astype(np.int64)  # rows of a series mostly adjoin
    heads = texts.gather(np.flatnonzero(np.diff(runs, prepend=-1)))
    different = heads.unique(maintain_order=True)
    codes = heads.replace_strict(different, np.arange(len(different)))
    return tuple(different.to_list()), codes.to_numpy().astype(np.int64)[runs]


def _long(frame: "nw.DataFrame[Any]", columns: Columns) -> Points:
    names = (*columns.targets, *columns.past, *columns.future)
    require_columns(frame, (columns.time, *names), columns)
    ids, codes = series_of(frame, columns)

    def place(k: int) -> str:
        return f"series {ids[codes[k]]!r}, row {k + 1}, column {columns.time!r}"

    stamps, zone = times(frame[columns.time], place)
    values, texts = _read([frame[name] for name in names])
    return Points(
        ids=ids,
        codes=codes,
        stamps=stamps,
        rows=np.arange(1, len(frame) + 1),
        numbers=np.ascontiguousarray(values.T),
        names=names,
        zone=zone,
        texts=None if texts is None else texts.T,
    )


def _read(columns: Sequence["nw.Series[Any]"]) -> tuple[Floats, Texts | None]:
    """The numbers of columns, and what is none; see `Points`, but each column is a row here."""
    found = [numbers_and_texts(column) for column in columns]
    values = np.stack([values for values, _ in found])
    if all(texts is None for _, texts in found):
        return values, None
    nothing = np.full(values.shape[1], None, object)
    return values, np.stack([nothing if texts is None else texts for _, texts in found])


def _wide(frame: "nw.DataFrame[Any]", columns: Columns) -> Points:
    require_columns(frame, [columns.time], columns)
    ids = tuple(name for name in frame.columns if name != columns.time)
    if not ids:
        raise DataError(f"the table has no column beside {columns.time!r}; each is a series")
    stamps, zone = times(frame[columns.time])
    values, texts = _read([frame[name] for name in ids])
    return _of_grid(ids, stamps, np.arange(1, len(frame) + 1), values, texts, columns, zone)


def _of_grid(
    ids: Sequence[str | int],
    stamps: Stamps,
    rows: Integers,
    values: Floats,
    texts: Texts | None,
    columns: Columns,
    zone: str | None,
) -> Points:
    """Points of series that begin and end where they have an entry; values and texts [N, T]."""
    present = ~np.isnan(values)
    if texts is not None:
        present |= texts != None  # noqa: E711
    empty = np.flatnonzero(~present.any(axis=1))
    if len(empty):
        raise DataError(f"series {ids[empty[0]]!r} has no value at all")
    begin = present.argmax(axis=1)
    lengths = values.shape[1] - present[:, ::-1].argmax(axis=1) - begin
    offsets = np.cumsum(lengths) - lengths
    codes = np.repeat(np.arange(len(values)), lengths)
    steps = np.arange(len(codes)) + np.repeat(begin - offsets, lengths)
    return Points(
        ids=tuple(ids),
        codes=codes,
        stamps=stamps[steps],
        rows=rows[steps],
        numbers=values[codes, steps][:, None],
        names=columns.targets[:1],
        zone=zone,
        texts=None if texts is None else texts[codes, steps][:, None],
    )


def _rows(frame: "nw.DataFrame[Any]", columns: Columns) -> Points:
    """A series in each row, as in the files of the M4 competition: its id, then its values."""
    named = columns.id if columns.id in frame.columns else frame.columns[0]
    if named != columns.id and not is_text(frame[named]):
        require_columns(frame, [columns.id], columns)
    names = [name for name in frame.columns if name != named]
    if not names:
        raise DataError(f"the table has no column beside {named!r}; they hold the values in order")
    ids, codes = encode(frame[named])
    if len(ids) < len(frame):
        first, second = np.flatnonzero(codes == codes[_first_repeat(codes)])[:2]
        raise DataError(
            f"series {ids[codes[first]]!r} is in row {first + 1} and again in row {second + 1}; "
            f"in this layout a row is a series"
        )
    values, texts = _read([frame[name] for name in names])
    values, texts = np.ascontiguousarray(values.T), None if texts is None else texts.T
    stamps = np.arange(1, len(names) + 1)
    points = _of_grid(ids, stamps, stamps, values, texts, columns, None)
    return replace(points, rows=points.codes + 1)


def _first_repeat(codes: Integers) -> int:
    """Where a code comes that came before; codes count up as they first come."""
    return int(np.flatnonzero(np.diff(np.maximum.accumulate(codes), prepend=-1) == 0)[0])
