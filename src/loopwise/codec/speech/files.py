"""Reading manifests of utterances: JSON lines, columns, Kaldi's folders, folders of audio; writing.

The formats of Kaldi and of plain folders are in `kaldi` and `beside`.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from loopwise.codec.corpus import Paths, Source, as_paths, path_names, read_sources
from loopwise.codec.dropped import Invalid, check_invalid
from loopwise.codec.records import is_json, json_value, record_lines
from loopwise.codec.speech.beside import from_folder
from loopwise.codec.speech.kaldi import from_kaldi, is_kaldi
from loopwise.codec.speech.utterances import (
    FIELDS,
    Flaw,
    Utterance,
    Utterances,
    select_utterances,
    utterance_of,
)
from loopwise.errors import ConfigError, DataError


def read_utterances(
    paths: Paths,
    *,
    invalid: Invalid = "error",
    names: Mapping[str, str] | None = None,
    folder: str | os.PathLike[str] | None = None,
) -> Utterances:
    """Utterances from manifests, in the order given.

    Args:
        paths: one or several. A folder with a ``wav.scp`` is Kaldi's; in another folder the text
            of each audio file lies beside it, in a file of the same name that ends in ``.txt``.
            A file, ``.gz``, glob or ``-`` for standard input has an utterance in each line: a
            JSON object with the `FIELDS`, or columns between tabs, in the order of a first line
            that names audio and text, or else in that of `FIELDS`. Names that end in ``.jsonl``,
            ``.json``, ``.tsv`` or ``.txt`` decide, in all else the first line does.
        invalid: what becomes of an utterance without its file, its text, or with an end that is
            not after its start.
        names: what the manifest calls some of the `FIELDS`, such as
            ``{"audio": "path", "text": "sentence"}``; others have the names of `FIELDS`.
        folder: where relative paths of audio begin; the manifest's own folder if None.

    Raises:
        ConfigError: if `invalid` or `names` are not allowed.
        DataError: if a manifest cannot be read, if an utterance cannot be used and `invalid` does
            not skip it (the message names file and line), or if none is left.
    """
    check_invalid(invalid)
    keys = _keys(names)

    def raw() -> Iterator[Utterance | Flaw]:
        for path in as_paths(paths):
            if not os.path.isdir(path):
                for source in read_sources(path):
                    yield from _from_file(source, keys, _start(source, folder), invalid)
            elif is_kaldi(Path(path)):
                yield from from_kaldi(Path(path), Path(path if folder is None else folder))
            else:
                yield from from_folder(Path(path))

    return select_utterances(raw(), invalid=invalid, name=path_names(paths))


def _keys(names: Mapping[str, str] | None) -> dict[str, str]:
    """What the manifest calls each of the fields."""
    given = names or {}
    for name, key in given.items():
        if name not in FIELDS:
            raise ConfigError(f"names has {name!r}; fields are {', '.join(FIELDS)}")
        if not isinstance(key, str) or not key:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"names[{name!r}]={key!r}: must be a name")
    keys = {name: given.get(name, name) for name in FIELDS}
    if len(set(keys.values())) < len(keys):
        raise ConfigError(f"names={dict(given)!r}: two fields would have the same name")
    return keys


def _start(source: Source, folder: str | os.PathLike[str] | None) -> Path:
    return Path(source.name).parent if folder is None else Path(folder)


def _from_file(
    source: Source, keys: Mapping[str, str], folder: Path, invalid: Invalid
) -> Iterator[Utterance | Flaw]:
    if b"\0" in source.data[:4096]:
        raise DataError(
            f"{source.name}: no text; a manifest is JSON lines, columns between tabs, or a folder"
        )
    read = _from_json if is_json(source) else _from_columns
    lines = record_lines(source, invalid)
    return read(source.name, lines, keys, folder)


def _from_json(
    name: str, lines: Sequence[str | None], keys: Mapping[str, str], folder: Path
) -> Iterator[Utterance | Flaw]:
    for number, line in enumerate(lines, 1):
        where = f"{name}, line {number}"
        if line is None:
            yield _undecodable(where)
            continue
        match json_value(line):
            case {**found}:
                entries = {field: found.get(key) for field, key in keys.items()}
                yield utterance_of(entries, folder, where)
            case _:
                yield Flaw(where, "malformed", "no JSON object")


def _from_columns(
    name: str, lines: Sequence[str | None], keys: Mapping[str, str], folder: Path
) -> Iterator[Utterance | Flaw]:
    head = (lines[0] or "").split("\t")
    header = {keys["audio"], keys["text"]} <= set(head)
    if not header and keys != dict(zip(FIELDS, FIELDS, strict=True)):
        raise DataError(
            f"{name}, line 1: no columns {keys['audio']!r} and {keys['text']!r} are named there"
        )
    at = {field: head.index(key) for field, key in keys.items() if key in head}
    columns = at if header else {field: place for place, field in enumerate(FIELDS)}
    for number, line in enumerate(lines[header:], 1 + header):
        where = f"{name}, line {number}"
        yield _undecodable(where) if line is None else _from_row(line, columns, folder, where)


def _from_row(line: str, columns: Mapping[str, int], folder: Path, where: str) -> Utterance | Flaw:
    cells = line.split("\t")
    if len(cells) <= max(columns["audio"], columns["text"]):
        told = f"columns separated by tabs: {len(cells)}, audio and text are not among them"
        return Flaw(where, "malformed", told)
    found = {field: cells[place].strip() for field, place in columns.items() if place < len(cells)}
    entries: dict[str, Any] = {
        field: _number(cell) if field in ("start", "end") else cell for field, cell in found.items()
    }
    return utterance_of(entries, folder, where)


def _number(cell: str) -> float | str | None:
    """What a cell says of seconds; the cell itself if that is no number."""
    try:
        return float(cell) if cell else None
    except ValueError:
        return cell


def _undecodable(where: str) -> Flaw:
    return Flaw(where, "undecodable", "not UTF-8")


def manifest_lines(
    utterances: Utterances, folder: str | os.PathLike[str] | None = None
) -> Iterator[str]:
    """The utterances as JSON lines, which `read_utterances` reads.

    Args:
        utterances: what to write.
        folder: where the manifest will lie, so that paths of audio are told from there; they are
            told in full if None.
    """
    for utterance in utterances:
        audio = os.path.abspath(utterance.audio)
        told = {
            "audio": audio if folder is None else os.path.relpath(audio, folder),
            "text": utterance.text,
            "speaker": utterance.speaker or None,
            "start": utterance.start,
            "end": utterance.end,
            "id": utterance.id if utterance.id != utterance.audio.stem else None,
        }
        known = {key: value for key, value in told.items() if value is not None}
        yield json.dumps(known, ensure_ascii=False)
