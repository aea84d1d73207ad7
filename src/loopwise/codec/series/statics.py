"""What a series keeps over all its rows: numbers, categories, a weight."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from loopwise.codec.series.columns import Columns, as_strings, is_text, numbers, require_columns
from loopwise.codec.series.layouts import encode_strings
from loopwise.codec.series.panel import Floats, Integers, Schema
from loopwise.errors import DataError

if TYPE_CHECKING:
    import narwhals as nw

Ids = tuple[str | int, ...]


def read_statics(
    frame: "nw.DataFrame[Any]",
    columns: Columns,
    ids: Ids,
    codes: Integers,
    like: Schema | None,
    allow_missing: bool,
) -> dict[str, Any]:
    """The static fields of a panel.

    Args:
        frame: a long table.
        columns: names the static columns and the weight.
        ids: names of the series.
        codes: which series each row belongs to.
        like: says which columns are categories and what values they have; without, strings are
            categories and the values are those of the table, sorted.
        allow_missing: whether numbers may be missing; a missing category is unknown then.

    Raises:
        DataError: a column is not there, a value differs within a series, is missing, or is no
            finite number; a weight is not above 0.
    """
    weight = () if columns.weight is None else (columns.weight,)
    require_columns(frame, (*columns.static, *weight), columns)
    known = dict(zip(like.categories, like.category_values, strict=True)) if like else {}
    found_numbers: dict[str, Floats] = {}
    found_codes: dict[str, Integers] = {}
    values: dict[str, tuple[str, ...]] = {}
    for name in columns.static:
        if name in known or (like is None and is_text(frame[name])):
            given = known.get(name)
            found_codes[name], values[name] = _category(
                frame[name], given, ids, codes, allow_missing
            )
        else:
            found_numbers[name] = _number(frame[name], ids, codes, allow_missing)
    return {
        "static": _side_by_side(list(found_numbers.values()), len(ids), np.float64),
        "static_names": tuple(found_numbers),
        "categories": _side_by_side(list(found_codes.values()), len(ids), np.int64),
        "category_names": tuple(values),
        "category_values": tuple(values.values()),
        "weights": _weights(frame, columns.weight, ids, codes),
    }


def _side_by_side(arrays: list[Any], length: int, dtype: type) -> Any:
    return np.stack(arrays, axis=1) if arrays else np.empty((length, 0), dtype)


def _category(
    column: "nw.Series[Any]",
    known: tuple[str, ...] | None,
    ids: Ids,
    codes: Integers,
    allow_missing: bool,
) -> tuple[Integers, tuple[str, ...]]:
    texts = as_strings(column)
    missing = texts.is_null().to_numpy()
    if missing.any() and not allow_missing:
        k = int(np.argmax(missing))
        raise DataError(
            f"series {ids[codes[k]]!r}, row {k + 1}: category {column.name!r} is missing"
        )
    different, each = encode_strings(texts.fill_null(""))
    kept = _one_each(each, ids, codes, lambda k: f"{column.name!r} is {texts[k]!r}")
    allowed = known if known is not None else tuple(sorted({*different} - {""}))
    place = {value: code for code, value in enumerate(allowed, 1)}
    return np.array([place.get(value, 0) for value in different], np.int64)[kept], allowed


def _number(column: "nw.Series[Any]", ids: Ids, codes: Integers, allow_missing: bool) -> Floats:
    def place(k: int) -> str:
        return f"series {ids[codes[k]]!r}, row {k + 1}, column {column.name!r}"

    values = numbers(column, place)
    wrong = np.isinf(values) if allow_missing else ~np.isfinite(values)
    if wrong.any():
        k = int(np.argmax(wrong))
        raise DataError(f"{place(k)}: {'missing' if np.isnan(values[k]) else 'infinite'}")
    return _one_each(values, ids, codes, lambda k: f"{column.name!r} is {values[k]:g}")


def _weights(
    frame: "nw.DataFrame[Any]", name: str | None, ids: Ids, codes: Integers
) -> Floats | None:
    if name is None:
        return None
    weights = _number(frame[name], ids, codes, allow_missing=False)
    if (weights <= 0).any():
        i = int(np.argmax(weights <= 0))
        raise DataError(f"series {ids[i]!r}: weight {name!r} is {weights[i]:g}; it must be above 0")
    return weights


def _one_each(values: Any, ids: Ids, codes: Integers, told: Callable[[int], str]) -> Any:
    """The one value that each series has, [N], of the values of all rows."""
    first = np.zeros(len(ids), np.int64)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    expected = values[first][codes]
    differs = (values != expected) & ~((values != values) & (expected != expected))
    if differs.any():
        k = int(np.argmax(differs))
        begin = int(first[codes[k]])
        raise DataError(
            f"series {ids[codes[k]]!r}: {told(begin)} in row {begin + 1} and "
            f"{told(k)} in row {k + 1}; a static column has one value for a series"
        )
    return values[first]
