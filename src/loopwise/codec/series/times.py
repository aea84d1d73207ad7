"""Stamps of a column of a table, whatever they are written as; errors with their row."""

from collections.abc import Callable
from datetime import UTC
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.series.columns import as_strings, is_nothing, is_text, numbers
from loopwise.codec.series.stamps import Stamps
from loopwise.errors import DataError

if TYPE_CHECKING:
    import narwhals as nw
    import polars as pl

Place: TypeAlias = Callable[[int], str]

# ISO 8601 and close relatives, by how many parts of the time they give.
_FORMATS = (
    "%Y-%m-%d",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%dT%H:%M",
    "%Y-%m",
)


def times(
    column: "nw.Series[Any]", place: Callable[[int], str] | None = None
) -> tuple[Stamps, str | None]:
    """The stamps of a column of whole numbers, dates, times, or strings of one of them.

    Args:
        column: of any of these.
        place: names the place of an entry in messages; without, column and row from 1.

    Returns:
        int64, or datetime64[us], which are in UTC if there is a zone; and that zone, of strings
        with an offset ``"UTC"``.

    Raises:
        DataError: an entry is missing, of another kind than the first, or unreadable; names it.
    """
    import narwhals as nw

    column, named_zone = _plain_times(column)
    place = place or (lambda k: f"column {column.name!r}, row {k + 1}")
    if column.dtype.is_integer():
        _refuse_missing(column.is_null().to_numpy(), place)
        return np.asarray(column.to_numpy(), np.int64), None
    if column.dtype.is_float():
        return _whole(column, place), None
    if isinstance(column.dtype, nw.Datetime):
        _refuse_missing(column.is_null().to_numpy(), place)
        zone = named_zone or column.dtype.time_zone
        plain = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if zone else column
        return plain.to_numpy().astype("datetime64[us]"), zone
    if column.dtype == nw.Date:
        _refuse_missing(column.is_null().to_numpy(), place)
        return np.array(column.to_list(), "datetime64[us]"), None
    if column.dtype == nw.Object and not is_text(column):
        return _of_objects(column, place)
    if is_text(column):
        return _of_strings(as_strings(column), place)
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


def _refuse_missing(is_missing: NDArray[np.bool_], place: Place) -> None:
    rows = np.flatnonzero(is_missing)
    if len(rows):
        more = f" ({len(rows)} such rows)" if len(rows) > 1 else ""
        raise DataError(f"{place(int(rows[0]))}: the stamp is missing{more}")


def _whole(column: "nw.Series[Any]", place: Place) -> Stamps:
    values = numbers(column)
    _refuse_missing(np.isnan(values), place)
    broken = np.flatnonzero(values != np.floor(values))
    if len(broken):
        k = int(broken[0])
        raise DataError(f"{place(k)}: stamp {values[k]:g} is not a whole number")
    return values.astype(np.int64)


def _of_objects(column: "nw.Series[Any]", place: Place) -> tuple[Stamps, str | None]:
    """Python's own dates and times, as pandas keeps them."""
    entries = column.to_list()
    _refuse_missing(np.array([is_nothing(each) for each in entries]), place)
    zone = _zone(entries[0])
    for k, each in enumerate(entries):
        if type(each) is not type(entries[0]) or (_zone(each) is None) != (zone is None):
            raise DataError(
                f"{place(k)}: stamp {str(each)!r} is of another kind than {str(entries[0])!r} in "
                f"row 1; all must be of one"
            )
        if _zone(each) != zone:
            raise DataError(
                f"{place(k)}: stamp {str(each)!r} is in the time zone {_zone(each)}, that of row 1 "
                f"in {zone}; put all into one, as with pandas.to_datetime(..., utc=True)"
            )
    if type(entries[0]) is int:
        return np.array(entries, np.int64), None
    try:
        if zone is not None:
            moments = [each.astimezone(UTC).replace(tzinfo=None) for each in entries]
            return np.array(moments, "datetime64[us]"), zone
        return np.array(entries, "datetime64[us]"), None
    except (TypeError, ValueError):
        raise DataError(
            f"{place(0)}: {entries[0]!r} is not a stamp; allowed are dates, times and whole numbers"
        ) from None


def _zone(entry: Any) -> str | None:
    """The name of an entry's time zone, or None; of a fixed offset that one."""
    zone = getattr(entry, "tzinfo", None)
    return None if zone is None else str(zone)


def _of_strings(texts: "pl.Series", place: Place) -> tuple[Stamps, str | None]:
    import polars as pl

    cleaned = texts.str.strip_chars()
    _refuse_missing((cleaned.is_null() | (cleaned == "")).to_numpy(), place)
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
        raise DataError(f"{place(k)}: {_why(texts, k, whole, shifted)}")
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
