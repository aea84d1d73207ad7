r"""Reading pairs of sentences: tab-separated, JSON lines, or two files side by side.

In all of them only ``\n`` ends a line; a ``\r`` before it and a byte order mark before the first
line are removed.
"""

from collections.abc import Iterator
from typing import Any

from loopwise.codec.corpus import Paths, Source, as_paths, path_names, read_sources
from loopwise.codec.pairs import ALL_PAIRS, PairFilter, Pairs, RawPair, select_pairs
from loopwise.codec.records import is_json, json_value, record_lines
from loopwise.errors import ConfigError, DataError


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
        for source in read_sources(paths):
            if is_json(source):
                yield from _from_json(source, keys, wanted)
            else:
                yield from _from_columns(source, columns, wanted)

    return select_pairs(raw(), wanted, name=path_names(paths))


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
    if "-" in as_paths(sources) and "-" in as_paths(targets):
        raise DataError("source and target: standard input (-) can be read only once")
    left, right = read_sources(sources), read_sources(targets)
    if len(left) != len(right):
        raise DataError(
            f"{len(left)} files of sources and {len(right)} of targets; there must be as many"
        )

    def raw() -> Iterator[RawPair]:
        for source, target in zip(left, right, strict=True):
            yield from _side_by_side(source, target, wanted)

    return select_pairs(raw(), wanted, name=f"{path_names(sources)} and {path_names(targets)}")


def _from_json(source: Source, keys: tuple[str, str], wanted: PairFilter) -> Iterator[RawPair]:
    for number, line in enumerate(record_lines(source, wanted.invalid), 1):
        if line is None:
            yield _undecodable(source.name, number)
            continue
        match json_value(line), keys:
            case {**entries}, (left, right) if _are_strings(entries, keys):
                yield RawPair(source.name, number, entries[left], entries[right])
            case _:
                told = f"no JSON object with strings as {keys[0]!r} and {keys[1]!r}"
                yield RawPair(source.name, number, flaw="malformed", told=told)


def _are_strings(entries: dict[Any, Any], keys: tuple[str, str]) -> bool:
    return all(isinstance(entries.get(key), str) for key in keys)


def _from_columns(
    source: Source, columns: tuple[int, int], wanted: PairFilter
) -> Iterator[RawPair]:
    for number, line in enumerate(record_lines(source, wanted.invalid), 1):
        cells = [] if line is None else line.split("\t")
        if line is None:
            yield _undecodable(source.name, number)
        elif len(cells) > max(columns):
            yield RawPair(source.name, number, *(cells[column] for column in columns))
        else:
            told = f"columns separated by tabs: {len(cells)}, wanted: at least {max(columns) + 1}"
            yield RawPair(source.name, number, flaw="malformed", told=told)


def _side_by_side(source: Source, target: Source, wanted: PairFilter) -> Iterator[RawPair]:
    left, right = (record_lines(side, wanted.invalid) for side in (source, target))
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
