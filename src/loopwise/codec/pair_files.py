r"""Reading pairs of sentences: tab-separated, JSON lines, or two files side by side.

In all of them only ``\n`` ends a line; a ``\r`` before it and a byte order mark before the first
line are removed.
"""

import json
import os
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from loopwise.codec.corpus import Source, read_sources
from loopwise.codec.pairs import ALL_PAIRS, PairFilter, Pairs, RawPair, select_pairs
from loopwise.errors import ConfigError, DataError

Paths: TypeAlias = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

_JSON_NAMES = (".jsonl", ".json", ".jsonl.gz", ".json.gz")
_TAB_NAMES = (".tsv", ".txt", ".tsv.gz", ".txt.gz")
_BOM = b"\xef\xbb\xbf"


def read_pairs(
    paths: Paths,
    wanted: PairFilter = ALL_PAIRS,
    *,
    columns: tuple[int, int] = (0, 1),
    keys: tuple[str, str] = ("source", "target"),
) -> Pairs:
    """Pairs from files that hold both sides.

    Args:
        paths: one or several, as `read_sources` takes them: files, ``.gz``, folders, globs, or
            ``-`` for standard input. Names that end in ``.tsv`` or ``.txt`` are tab-separated,
            those in ``.jsonl`` or ``.json`` have an object in each line; in all else the first
            line decides: it begins with ``{`` in JSON.
        wanted: which pairs are kept.
        columns: of tab-separated lines, those of source and target, counted from 0; others are
            not looked at.
        keys: of JSON objects, those of source and target; others are not looked at.

    Raises:
        ConfigError: if `columns` or `keys` are not two different ones.
        DataError: if a file cannot be read, if a pair cannot be used and `wanted` does not skip
            it (the message names file and line), or if none is left.
    """
    if len(columns) != 2 or columns[0] == columns[1] or min(columns) < 0:
        raise ConfigError(f"columns={columns!r}: must be two different numbers from 0")
    if len(keys) != 2 or keys[0] == keys[1]:
        raise ConfigError(f"keys={keys!r}: must be two different names")

    def raw() -> Iterator[RawPair]:
        for source in read_sources(_several(paths)):
            if _is_json(source):
                yield from _from_json(source, keys, wanted)
            else:
                yield from _from_columns(source, columns, wanted)

    return select_pairs(raw(), wanted, name=_named(paths))


def read_parallel(sources: Paths, targets: Paths, wanted: PairFilter = ALL_PAIRS) -> Pairs:
    """Pairs from files of sentences, one in each line, and files of their translations.

    Args:
        sources: one or several, as `read_sources` takes them.
        targets: as many, in the same order.
        wanted: which pairs are kept.

    Raises:
        DataError: if a file cannot be read, if two files have unequal numbers of lines, if a pair
            cannot be used and `wanted` does not skip it, or if none is left.
    """
    if "-" in _several(sources) and "-" in _several(targets):
        raise DataError("source and target: standard input (-) can be read only once")
    left, right = read_sources(_several(sources)), read_sources(_several(targets))
    if len(left) != len(right):
        raise DataError(
            f"{len(left)} files of sources and {len(right)} of targets; there must be as many"
        )

    def raw() -> Iterator[RawPair]:
        for source, target in zip(left, right, strict=True):
            yield from _side_by_side(source, target, wanted)

    return select_pairs(raw(), wanted, name=f"{_named(sources)} and {_named(targets)}")


def _several(paths: Paths) -> Sequence[str | os.PathLike[str]]:
    return [paths] if isinstance(paths, str | os.PathLike) else paths


def _named(paths: Paths) -> str:
    return ", ".join(os.fspath(path) for path in _several(paths))


def _is_json(source: Source) -> bool:
    name = source.name.lower()
    if name.endswith(_JSON_NAMES):
        return True
    first = source.data[:4096].removeprefix(_BOM).lstrip()
    return not name.endswith(_TAB_NAMES) and first.startswith(b"{")


def _from_json(source: Source, keys: tuple[str, str], wanted: PairFilter) -> Iterator[RawPair]:
    for number, line in enumerate(_lines(source, wanted), 1):
        if line is None:
            yield _undecodable(source.name, number)
            continue
        match _parsed(line), keys:
            case {**entries}, (left, right) if _are_strings(entries, keys):
                yield RawPair(source.name, number, entries[left], entries[right])
            case _:
                told = f"no JSON object with strings as {keys[0]!r} and {keys[1]!r}"
                yield RawPair(source.name, number, flaw="malformed", told=told)


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _are_strings(entries: dict[Any, Any], keys: tuple[str, str]) -> bool:
    return all(isinstance(entries.get(key), str) for key in keys)


def _from_columns(
    source: Source, columns: tuple[int, int], wanted: PairFilter
) -> Iterator[RawPair]:
    for number, line in enumerate(_lines(source, wanted), 1):
        cells = [] if line is None else line.split("\t")
        if line is None:
            yield _undecodable(source.name, number)
        elif len(cells) > max(columns):
            yield RawPair(source.name, number, *(cells[column] for column in columns))
        else:
            told = f"columns separated by tabs: {len(cells)}, wanted: at least {max(columns) + 1}"
            yield RawPair(source.name, number, flaw="malformed", told=told)


def _side_by_side(source: Source, target: Source, wanted: PairFilter) -> Iterator[RawPair]:
    left, right = list(_lines(source, wanted)), list(_lines(target, wanted))
    if len(left) != len(right):
        raise DataError(
            f"{source.name} has {len(left):,} lines, {target.name} has {len(right):,}; line by "
            "line, each must be the other's translation"
        )
    name = f"{source.name} and {target.name}"
    for number, (one, other) in enumerate(zip(left, right, strict=True), 1):
        if one is None or other is None:
            yield _undecodable(name, number)
        else:
            yield RawPair(name, number, one, other)


def _undecodable(name: str, number: int) -> RawPair:
    return RawPair(name, number, flaw="undecodable", told="not UTF-8")


def _lines(source: Source, wanted: PairFilter) -> list[str | None]:
    """The lines without their ends; None for one that is not UTF-8, if such may be skipped."""
    rows = source.data.removeprefix(_BOM).split(b"\n")
    if not rows[-1]:  # the last line has its end, as it should
        rows.pop()
    if wanted.invalid == "error":
        source.text("convert it, or leave out such pairs with invalid=skip")
    return [_decoded(row.removesuffix(b"\r")) for row in rows]


def _decoded(row: bytes) -> str | None:
    try:
        return row.decode("utf-8")
    except UnicodeDecodeError:
        return None
