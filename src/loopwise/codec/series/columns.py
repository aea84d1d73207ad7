"""Columns of a table: which means what, and their values as arrays, errors with their row."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.series.stamps import Stamps
from loopwise.config import nearest
from loopwise.errors import DataError, missing_extra

if TYPE_CHECKING:
    import narwhals as nw
    import polars as pl

_MISSING = ["", "na", "n/a", "#n/a", "nan", "null", "none", "."]
_SHOWN = 8  # names that a message lists

# ISO 8601 and close relatives, by how many parts of the time they give.
_FORMATS = (
    "%Y-%m-%d",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%dT%H:%M",
    "%Y-%m",
)


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
        hint = "; for a file, give what read_table reads" if isinstance(table, str | Path) else ""
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


def require_columns(frame: "nw.DataFrame[Any]", names: Iterable[str]) -> None:
    """Refuse a table that lacks one of these columns; the message has the nearest name."""
    for name in names:
        if name not in frame.columns:
            shown = ", ".join(frame.columns[:_SHOWN]) + (", ..." * (len(frame.columns) > _SHOWN))
            raise DataError(
                f"the table has no column {name!r}{nearest(name, frame.columns)}; it has {shown}"
            )


def numbers(column: "nw.Series[Any]", place: Callable[[int], str] | None = None) -> NDArray[Any]:
    """The numbers of a column, float64; what is missing is NaN, and infinities remain.

    Args:
        column: numbers, booleans, or strings that all are numbers.
        place: names the place of an entry in messages; without, column and row from 1.

    Raises:
        DataError: an entry is no number; names it.
    """
    import narwhals as nw

    if column.dtype.is_numeric() or column.dtype == nw.Boolean:
        return np.asarray(column.cast(nw.Float64).fill_null(np.nan).to_numpy(), np.float64)
    import polars as pl

    texts = as_strings(column)
    cleaned = texts.str.strip_chars()
    parsed = cleaned.cast(pl.Float64, strict=False)
    is_missing = cleaned.is_null() | cleaned.str.to_lowercase().is_in(_MISSING)
    wrong = (parsed.is_null() & ~is_missing).arg_true()
    if len(wrong):
        k = int(wrong[0])
        where = place(k) if place else f"column {column.name!r}, row {k + 1}"
        more = f" ({len(wrong)} such entries)" if len(wrong) > 1 else ""
        raise DataError(f"{where}: {texts[k]!r} is not a number{more}")
    return parsed.fill_null(np.nan).to_numpy()


def as_strings(column: "nw.Series[Any]") -> "pl.Series":
    """A column as strings of polars; what is missing is null."""
    import narwhals as nw
    import polars as pl

    if column.dtype == nw.Categorical or column.dtype == nw.Enum:
        column = column.cast(nw.String)
    native = column.to_native()
    if isinstance(native, pl.Series) and native.dtype == pl.String:
        return native
    entries = [None if _is_nothing(each) else str(each) for each in column.to_list()]
    return pl.Series(column.name, entries, dtype=pl.String)


def _is_nothing(entry: Any) -> bool:
    return entry is None or entry != entry


def is_text(column: "nw.Series[Any]") -> bool:
    """Whether a column holds strings or categories rather than numbers."""
    import narwhals as nw

    if any(column.dtype == kind for kind in (nw.String, nw.Categorical, nw.Enum)):
        return True
    if column.dtype != nw.Object:
        return False
    return any(isinstance(each, str) for each in column.to_list())


def times(column: "nw.Series[Any]") -> tuple[Stamps, str | None]:
    """The stamps of a column of whole numbers, dates, times, or strings of one of them.

    Returns:
        int64, or datetime64[us], which are in UTC if there is a zone; and that zone, of strings
        with an offset ``"UTC"``.

    Raises:
        DataError: an entry is missing, of another kind than the first, or unreadable; names it.
    """
    import narwhals as nw

    column, named_zone = _plain_times(column)
    if column.dtype.is_integer():
        _refuse_missing(column.is_null().to_numpy(), column.name)
        return np.asarray(column.to_numpy(), np.int64), None
    if column.dtype.is_float():
        return _whole(column), None
    if isinstance(column.dtype, nw.Datetime):
        _refuse_missing(column.is_null().to_numpy(), column.name)
        zone = named_zone or column.dtype.time_zone
        plain = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if zone else column
        return plain.to_numpy().astype("datetime64[us]"), zone
    if column.dtype == nw.Date:
        _refuse_missing(column.is_null().to_numpy(), column.name)
        return np.array(column.to_list(), "datetime64[us]"), None
    if column.dtype == nw.Object and not is_text(column):
        return _of_objects(column)
    if is_text(column):
        return _of_strings(column.name, as_strings(column))
    raise DataError(
        f"column {column.name!r} holds {column.dtype}; stamps may be dates, times, whole numbers, "
        f"or strings of these"
    )


def _plain_times(column: "nw.Series[Any]") -> "tuple[nw.Series[Any], str | None]":
    """Times of pandas that narwhals does not know: periods, and zones with a _ or - in the name."""
    import narwhals as nw

    native = column.to_native()
    if column.dtype != nw.Unknown or not type(native).__module__.startswith("pandas"):
        return column, None
    zone = getattr(native.dtype, "tz", None)
    if zone is not None:
        return nw.from_native(native.dt.tz_convert("UTC"), series_only=True), str(zone)
    if hasattr(native.dtype, "freq"):
        return nw.from_native(native.dt.to_timestamp(), series_only=True), None
    return column, None


def _refuse_missing(is_missing: NDArray[np.bool_], name: str) -> None:
    rows = np.flatnonzero(is_missing)
    if len(rows):
        more = f" ({len(rows)} such rows)" if len(rows) > 1 else ""
        raise DataError(f"column {name!r}, row {rows[0] + 1}: the stamp is missing{more}")


def _whole(column: "nw.Series[Any]") -> Stamps:
    values = numbers(column)
    _refuse_missing(np.isnan(values), column.name)
    broken = np.flatnonzero(values != np.floor(values))
    if len(broken):
        k = int(broken[0])
        raise DataError(
            f"column {column.name!r}, row {k + 1}: stamp {values[k]:g} is not a whole number"
        )
    return values.astype(np.int64)


def _of_objects(column: "nw.Series[Any]") -> tuple[Stamps, str | None]:
    """Python's own dates and times, as pandas keeps them."""
    entries = column.to_list()
    _refuse_missing(np.array([_is_nothing(each) for each in entries]), column.name)
    kind = type(entries[0])
    for k, each in enumerate(entries):
        if type(each) is not kind:
            raise DataError(
                f"column {column.name!r}, row {k + 1}: stamp {each!r} is of another kind than "
                f"{entries[0]!r} in row 1; all must be of one"
            )
    if kind is int:
        return np.array(entries, np.int64), None
    if getattr(entries[0], "tzinfo", None) is not None:
        raise DataError(
            f"column {column.name!r} holds Python objects with time zones; make it a column "
            f"of times, as with pandas.to_datetime(..., utc=True)"
        )
    try:
        return np.array(entries, "datetime64[us]"), None
    except (TypeError, ValueError):
        raise DataError(
            f"column {column.name!r}, row 1: {entries[0]!r} is not a stamp; allowed are dates, "
            f"times and whole numbers"
        ) from None


def _of_strings(name: str, texts: "pl.Series") -> tuple[Stamps, str | None]:
    import polars as pl

    cleaned = texts.str.strip_chars()
    _refuse_missing((cleaned.is_null() | (cleaned == "")).to_numpy(), name)
    whole = cleaned.cast(pl.Int64, strict=False)
    if whole.null_count() == 0:
        return whole.to_numpy(), None
    iso = cleaned.str.replace(r"^(\d{4})/(\d\d?)/(\d\d?)", "$1-$2-$3").str.replace(
        r"^(\d+-\d+-\d+)[ tT]+", "${1}T"
    )
    shifted = iso.str.contains(r"\dT.*(Z|z|[+-]\d\d:?\d\d|[+-]\d\d)$")
    has_zone = bool(shifted[0])
    stamps = _with_offset(iso) if has_zone else _without_offset(iso)
    wrong = stamps.is_null() | (shifted != has_zone)
    rows = (whole.is_null() if whole[0] is not None else wrong).arg_true()
    if len(rows):
        k = int(rows[0])
        raise DataError(f"column {name!r}, row {k + 1}: {_why(texts, k, whole, shifted)}")
    return stamps.to_numpy().astype("datetime64[us]"), "UTC" if has_zone else None


def _without_offset(texts: "pl.Series") -> "pl.Series":
    import polars as pl

    found = pl.Series(texts.name, [None] * len(texts), dtype=pl.Datetime("us"))
    for form in _FORMATS:
        if form == "%Y-%m":
            months = pl.when(texts.str.contains(r"^\d{4}-\d\d?$")).then(texts + "-01")
            candidate = pl.select(months).to_series()
            parsed = candidate.str.to_datetime("%Y-%m-%d", strict=False, time_unit="us")
        else:
            parsed = texts.str.to_datetime(form, strict=False, time_unit="us", exact=True)
        found = pl.select(pl.coalesce(found, parsed)).to_series()
        if not found.null_count():
            break
    return found


def _with_offset(texts: "pl.Series") -> "pl.Series":
    import polars as pl

    full = (
        texts.str.replace(r"[zZ]$", "+0000")
        .str.replace(r"([+-]\d\d):?(\d\d)$", "${1}${2}")
        .str.replace(r"([+-]\d\d)$", "${1}00")
        .str.replace(r"(T\d\d:\d\d)([+-]\d{4})$", "${1}:00${2}")
    )
    parsed = full.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", strict=False, time_unit="us")
    return parsed.dt.convert_time_zone("UTC").dt.replace_time_zone(None).cast(pl.Datetime("us"))


def _why(texts: "pl.Series", k: int, whole: "pl.Series", shifted: "pl.Series") -> str:
    """What is wrong with the stamp of a row."""
    first = texts[0]
    if whole[0] is not None:
        return f"stamp {texts[k]!r} is not a whole number, as {first!r} in row 1 is"
    if whole[k] is not None or shifted[k] != shifted[0]:
        return f"stamp {texts[k]!r} is of another kind than {first!r} in row 1; all must be of one"
    return (
        f"{texts[k]!r} is not a stamp; allowed are dates and times as 2024-01-31 or "
        f"2024-01-31T12:00:00, with or without an offset such as +01:00, and whole numbers"
    )
