"""Columns of a table: which means what, and their values as arrays, errors with their row."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from loopwise.config import nearest
from loopwise.errors import DataError, missing_extra

if TYPE_CHECKING:
    import narwhals as nw
    import polars as pl

_MISSING = ["", "na", "n/a", "#n/a", "nan", "null", "none", "."]
_SHOWN = 8  # names that a message lists


@dataclass(frozen=True)
class Columns:
    """Which column of a table means what.

    Attributes:
        id: names the series of a row. A table without this column holds one series.
        time: stamps, times or whole numbers.
        target: what to forecast; several are the channels of each series.
        static: what a series keeps: strings are categories, numbers numbers.
        past: numbers known only up to now.
        future: numbers known ahead, also over the horizon of a forecast.
        weight: weight of a series in training, above 0, the same in all its rows.
    """

    id: str = "unique_id"
    time: str = "ds"
    target: str | Sequence[str] = "y"
    static: Sequence[str] = ()
    past: Sequence[str] = ()
    future: Sequence[str] = ()
    weight: str | None = None

    def __post_init__(self):
        for name in ("target", "static", "past", "future"):
            given: Any = getattr(self, name)
            names = (
                tuple(given)
                if isinstance(given, Iterable) and not isinstance(given, str)
                else (given,)
            )
            object.__setattr__(self, name, names)
        if not self.target:
            raise DataError("no target column is named; at least one is needed")
        used: list[Any] = [
            self.id,
            self.time,
            *self.target,
            *self.static,
            *self.past,
            *self.future,
        ]
        used += [] if self.weight is None else [self.weight]
        for name in used:
            if not isinstance(name, str):
                raise DataError(f"{name!r} is no name of a column; names are strings")
        twice = sorted({name for name in used if used.count(name) > 1})
        if twice:
            raise DataError(f"column {twice[0]!r} is named for two things; each has its own")

    @property
    def targets(self) -> tuple[str, ...]:
        """The target columns."""
        return tuple(self.target)

    def option(self, name: str) -> str | None:
        """What a column of this name is for, as the attributes are called; None for nothing."""
        for option in ("id", "time", "target", "static", "past", "future", "weight"):
            given = getattr(self, option)
            if name == given or (not isinstance(given, str) and name in (given or ())):
                return option
        return None


def open_frame(table: Any) -> "nw.DataFrame[Any]":
    """A table of any kind as narwhals sees it; indexes of pandas become columns.

    Raises:
        DataError: it is none, or has no rows.
        MissingExtraError: narwhals or polars is not installed.
    """
    try:
        import narwhals as nw

        import_module("polars")  # what reads columns further down needs it
    except ModuleNotFoundError as error:
        raise missing_extra(error, "Reading tables") from error
    try:
        frame: Any = nw.from_native(_without_index(table))
    except TypeError:
        hint = (
            "; read a file first, as with pandas.read_csv" if isinstance(table, str | Path) else ""
        )
        raise DataError(
            f"{type(table).__name__} is not a table; allowed are data frames of pandas, polars "
            f"and others that narwhals knows{hint}"
        ) from None
    except nw.exceptions.DuplicateError:
        names = [str(name) for name in table.columns]
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"two columns of the table are named {twice!r}") from None
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect()
    for name in frame.columns:
        if not isinstance(name, str):
            raise DataError(f"a column of the table is named {name!r}; names must be strings")
    if not len(frame):
        raise DataError("the table has no rows")
    return frame


def _without_index(table: Any) -> Any:
    if not type(table).__module__.startswith("pandas"):
        return table
    if table.ndim == 1:
        table = table.to_frame(table.name or "y")
    if type(table.index).__name__ == "MultiIndex" or table.index.name is not None:
        kept = [level for level in table.index.names if level not in table.columns]
        dropped = [level for level in table.index.names if level in table.columns]
        table = table.reset_index(level=dropped, drop=True) if dropped else table
        return table.reset_index() if kept else table
    if type(table.index).__name__ in ("DatetimeIndex", "PeriodIndex"):
        return table.reset_index(names="ds")
    return table


def require_columns(frame: "nw.DataFrame[Any]", names: Iterable[str], columns: Columns) -> None:
    """Refuse a table that lacks one of these columns.

    The message has the nearest name, and which option names the column.
    """
    for name in names:
        if name not in frame.columns:
            shown = ", ".join(frame.columns[:_SHOWN]) + (", ..." * (len(frame.columns) > _SHOWN))
            raise DataError(
                f"the table has no column {name!r}{nearest(name, frame.columns)}; it has {shown}; "
                f"the option {columns.option(name)} names it"
            )


def numbers(column: "nw.Series[Any]", place: Callable[[int], str] | None = None) -> NDArray[Any]:
    """The numbers of a column, float64; what is missing is NaN, and infinities remain.

    Args:
        column: numbers, booleans, or strings that all are numbers.
        place: names the place of an entry in messages; without, column and row from 1.

    Raises:
        DataError: an entry is no number; names it.
    """
    values, texts = numbers_and_texts(column)
    if texts is not None:
        wrong = np.flatnonzero(texts != None)  # noqa: E711
        k = int(wrong[0])
        where = place(k) if place else f"column {column.name!r}, row {k + 1}"
        more = f" ({len(wrong)} such entries)" if len(wrong) > 1 else ""
        raise DataError(f"{where}: {texts[k]!r} is not a number{more}{why_no_number(texts[k])}")
    return values


def why_no_number(text: str) -> str:
    """How numbers are written, for messages about an entry that has commas; else nothing."""
    comma = re.fullmatch(r"\s*[+-]?[\d.,]*,[\d.,]*\s*", text)
    return "; numbers are written with a point and without thousands marks" if comma else ""


def numbers_and_texts(
    column: "nw.Series[Any]",
) -> tuple[NDArray[np.float64], NDArray[np.object_] | None]:
    """As `numbers`, but entries that are no numbers are NaN.

    Returns:
        the numbers [n]; and these entries as they are written, among None for all others, [n], or
        None where all is well.
    """
    import narwhals as nw

    if column.dtype.is_numeric() or column.dtype == nw.Boolean:
        values = column.cast(nw.Float64).fill_null(np.nan).to_numpy()
        return np.asarray(values, np.float64), None
    import polars as pl

    texts = as_strings(column)
    cleaned = texts.str.strip_chars()
    parsed = cleaned.cast(pl.Float64, strict=False)
    is_missing = cleaned.is_null() | cleaned.str.to_lowercase().is_in(_MISSING)
    wrong = (parsed.is_null() & ~is_missing).to_numpy()
    values = parsed.fill_null(np.nan).to_numpy()
    if not wrong.any():
        return values, None
    entries = np.full(len(wrong), None, object)
    entries[wrong] = texts.filter(pl.Series(wrong)).to_list()
    return values, entries


def as_strings(column: "nw.Series[Any]") -> "pl.Series":
    """A column as strings of polars; what is missing is null."""
    import narwhals as nw
    import polars as pl

    if column.dtype == nw.Categorical or column.dtype == nw.Enum:
        column = column.cast(nw.String)
    native = column.to_native()
    if isinstance(native, pl.Series) and native.dtype == pl.String:
        return native
    if column.implementation.is_pandas() and column.dtype == nw.String:
        codes, different = cast(
            Any, native
        ).factorize()  # a Python string for each value, not for each row
        texts = pl.Series(column.name, [*map(str, different), None], dtype=pl.String)
        return texts.gather(np.where(codes < 0, len(different), codes))
    entries = [None if is_nothing(each) else str(each) for each in column.to_list()]
    return pl.Series(column.name, entries, dtype=pl.String)


def is_nothing(entry: Any) -> bool:
    """Whether an entry is missing: None, NaN or NaT."""
    return entry is None or entry != entry


def is_text(column: "nw.Series[Any]") -> bool:
    """Whether a column holds strings or categories rather than numbers."""
    import narwhals as nw

    if any(column.dtype == kind for kind in (nw.String, nw.Categorical, nw.Enum)):
        return True
    if column.dtype != nw.Object:
        return False
    return any(isinstance(each, str) for each in column.to_list())
