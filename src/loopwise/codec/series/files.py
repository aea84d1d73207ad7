"""Files of tables: CSV and Parquet, read and written."""

import csv
import io
import os
import re
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loopwise.codec.corpus import Source, read_sources
from loopwise.codec.series.columns import open_frame
from loopwise.codec.series.times import times
from loopwise.errors import DataError, missing_extra
from loopwise.files import write_atomically

if TYPE_CHECKING:
    import narwhals as nw
    import polars as pl

_PARQUET = b"PAR1"
_ZIP = b"PK\x03\x04"  # what files of Excel begin with
_SEPARATORS = ",;\t"
_SNIFFED = 100  # rows that rule out most columns that are no numbers


@contextmanager
def naming(path: str | os.PathLike[str]) -> Generator[None]:
    """Put the name of a file before what is wrong with the table in it."""
    try:
        yield
    except DataError as error:
        name = "standard input" if os.fspath(path) == "-" else os.fspath(path)
        raise DataError(f"{name}: {error}") from None


def read_table(path: str | os.PathLike[str]) -> "nw.DataFrame[Any]":
    """A table from a file.

    Args:
        path: CSV, also with ``;`` or tabs between its cells and also ended by ``.gz``; Parquet;
            or ``-`` for either from standard input. The first line of CSV names the columns.

    Returns:
        A narwhals frame over polars. Columns of CSV that hold nothing but numbers are numbers, all
        others strings, so that an error can name the entry; empty cells are null.

    Raises:
        DataError: the file is missing, unreadable, empty, no UTF-8, or a row of it has too many
            cells.
        MissingExtraError: polars or narwhals is not installed.
    """
    try:
        import narwhals as nw
        import polars as pl
    except ModuleNotFoundError as error:
        raise missing_extra(error, "Reading tables") from error
    if os.path.isdir(path):
        raise DataError(f"{os.fspath(path)}: is a folder; give one file, CSV or Parquet")
    (source, *others) = read_sources([path])
    if others:
        raise DataError(f"{os.fspath(path)!r} is more than one file; give one")
    if source.data.startswith(_ZIP):
        raise DataError(
            f"{source.name}: is a workbook or another zip file; a table is CSV in UTF-8, or Parquet"
        )
    if source.data.startswith(_PARQUET):
        try:
            table = pl.read_parquet(io.BytesIO(source.data))
        except (pl.exceptions.PolarsError, OSError) as error:
            raise DataError(f"{source.name}: broken Parquet file ({_one_line(error)})") from None
    else:
        table = _read_csv(source)
    if not table.height:
        raise DataError(f"{source.name}: no rows, only names of columns")
    return nw.from_native(table)


def _read_csv(source: Source) -> "pl.DataFrame":
    import polars as pl

    source.text("a table is CSV in UTF-8, or Parquet")
    data = source.data.removeprefix(b"\xef\xbb\xbf")
    if not data.strip():
        raise DataError(f"{source.name}: empty, there is no table to read")
    header = data.partition(b"\n")[0].decode()
    separator = max(_SEPARATORS, key=header.count)
    names = next(csv.reader([header.rstrip("\r")], delimiter=separator), [])
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise DataError(f"{source.name}: two columns are named {twice[0]!r}")
    try:
        table = pl.read_csv(data, infer_schema=False, separator=separator)
    except pl.exceptions.PolarsError as error:
        why = _too_many_cells(data, separator, len(names)) or _one_line(error)
        raise DataError(f"{source.name}: cannot be read as CSV, {why}") from None
    return table.select(_typed(column) for column in table.get_columns())


def _too_many_cells(data: bytes, separator: str, allowed: int) -> str | None:
    lines = csv.reader(io.StringIO(data.decode()), delimiter=separator)
    for row, cells in enumerate(lines):
        if len(cells) > allowed:
            return f"row {row} has {len(cells)} cells and the header {allowed}"
    return None


def _one_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _typed(column: "pl.Series") -> "pl.Series":
    """Numbers, if all entries are; codes such as 007 are none."""
    import polars as pl

    missing = column.null_count()
    if missing == len(column):
        return column
    head = column.head(_SNIFFED)
    for kind in (pl.Int64, pl.Float64):
        if head.cast(kind, strict=False).null_count() > head.null_count():
            continue
        numbers = column.cast(kind, strict=False)
        if numbers.null_count() == missing:
            zeros = column.filter(column.str.starts_with("0"))
            return column if zeros.str.contains(r"^0\d").any() else numbers
    return column


def write_table(frame: Any, path: str | os.PathLike[str]) -> None:
    """Write a table, whole or not at all.

    Args:
        frame: of any kind that narwhals takes.
        path: ends in ``.csv`` or ``.parquet``; or is ``-``, CSV on standard output. What is there
            is replaced.

    Raises:
        DataError: another ending, or the file cannot be written.
        MissingExtraError: polars or narwhals is not installed.
    """
    name = os.fspath(path)
    ending = re.search(r"\.(csv|parquet)$", name)
    if name != "-" and not ending:
        raise DataError(f"{name}: cannot tell the format; allowed endings are .csv and .parquet")
    table, buffer = _as_polars(open_frame(frame)), io.BytesIO()
    if ending and ending[1] == "parquet":
        table.write_parquet(buffer)
    else:
        _short_times(table).write_csv(buffer)
    if name == "-":
        sys.stdout.write(buffer.getvalue().decode())
        return
    try:
        write_atomically(Path(name), buffer.getvalue())
    except OSError as error:
        raise DataError(f"{name}: cannot be written ({error.strerror})") from None


def _as_polars(frame: "nw.DataFrame[Any]") -> "pl.DataFrame":
    import narwhals as nw
    import polars as pl

    native = frame.to_native()
    if isinstance(native, pl.DataFrame):
        return native
    columns: dict[str, pl.Series] = {}
    for name in frame.columns:
        column = frame[name]
        if column.dtype.is_numeric():
            columns[name] = pl.Series(name, column.to_numpy())
        elif isinstance(column.dtype, nw.Datetime) or column.dtype == nw.Unknown:
            moments, zone = times(column)
            plain = pl.Series(name, moments)
            columns[name] = plain.dt.replace_time_zone("UTC") if zone else plain
            if zone in _zones_of_polars():
                columns[name] = columns[name].dt.convert_time_zone(zone)
        else:
            columns[name] = pl.Series(name, column.to_list(), strict=False)
    return pl.DataFrame(columns)


def _zones_of_polars() -> set[str]:
    import zoneinfo

    return zoneinfo.available_timezones()


def _short_times(table: "pl.DataFrame") -> "pl.DataFrame":
    """Times as texts, as short as they can be: dates where all are at midnight."""
    import polars as pl

    short: list[pl.Series] = []
    for column in table.get_columns():
        if isinstance(column.dtype, pl.Datetime):
            if column.dtype.time_zone:
                column = column.dt.strftime("%Y-%m-%dT%H:%M:%S%.f%:z")
            elif (column == column.dt.truncate("1d")).all():
                column = column.dt.date()
            else:
                column = column.dt.strftime("%Y-%m-%dT%H:%M:%S%.f")
        short.append(column)
    return pl.DataFrame(short)
