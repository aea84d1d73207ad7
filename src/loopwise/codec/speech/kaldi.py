"""Kaldi's data folders: ``wav.scp``, ``text``, and if they are there ``utt2spk``, ``segments``.

Each is a table: a line has a key and, after white space, what belongs to it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loopwise.codec.base import has_surrogate
from loopwise.codec.corpus import absent, reading
from loopwise.codec.speech.utterances import Flaw, Utterance, utterance_of


def is_kaldi(folder: Path) -> bool:
    """Whether this is one of Kaldi's data folders."""
    return (folder / "wav.scp").is_file()


def from_kaldi(folder: Path, start: Path) -> Iterator[Utterance | Flaw]:
    """The utterances of a data folder, in the order of ``text``, or why they are none.

    Args:
        folder: has at least ``wav.scp`` and ``text``.
        start: where relative paths of audio begin.

    Raises:
        DataError: if a table is missing or cannot be read.
    """
    tables = {name: _table(folder / name) for name in ("wav.scp", "text")}
    for name in ("utt2spk", "segments"):
        if (folder / name).is_file():
            tables[name] = _table(folder / name)
    for table in tables.values():
        yield from table.flaws
    texts, spoken = tables["text"], tables.get("segments", tables["wav.scp"])
    for key, row in spoken.rows.items():
        if key not in texts.rows:
            yield Flaw(row.where, "malformed", f"{key!r} is not in {texts.name}")
    for key, row in texts.rows.items():
        try:
            entries = _entries(key, row, tables)
        except _Flawed as error:
            yield error.flaw
        else:
            yield utterance_of(entries, start, row.where)


class _Flawed(Exception):
    """An utterance that cannot be used."""

    def __init__(self, where: str, told: str, reason: str = "malformed"):
        self.flaw = Flaw(where, reason, told)


@dataclass(frozen=True)
class _Row:
    """What a line says behind its key; where it is not UTF-8 it has lone surrogates."""

    text: str
    where: str

    @property
    def rest(self) -> str:
        if has_surrogate(self.text):
            raise _Flawed(self.where, "not UTF-8", "undecodable")
        return self.text


@dataclass(frozen=True)
class _Table:
    name: str
    rows: dict[str, _Row]
    flaws: list[Flaw]

    def find(self, key: str, where: str) -> _Row:
        """The row of a key which is named at `where`."""
        if key not in self.rows:
            raise _Flawed(where, f"{key!r} is not in {self.name}")
        return self.rows[key]


def _table(path: Path) -> _Table:
    name = str(path)
    if not path.is_file():
        raise absent(name)
    with reading(name):
        text = path.read_bytes().decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    table = _Table(name, {}, [])
    for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
        key, rest = (*line.split(maxsplit=1), "", "")[:2]
        where = f"{name}, line {number}"
        if not key or key in table.rows:
            told = f"{key!r} was there before" if key else "the line is empty"
            table.flaws.append(Flaw(where, "malformed", told))
        else:
            table.rows[key] = _Row(rest.strip(), where)
    return table


def _entries(key: str, text: _Row, tables: Mapping[str, _Table]) -> dict[str, Any]:
    """What the tables say of an utterance, as `utterance_of` takes it."""
    entries: dict[str, Any] = {"id": key, "text": text.rest}
    if "utt2spk" in tables:
        entries["speaker"] = tables["utt2spk"].find(key, text.where).rest
    if "segments" in tables:
        segment = tables["segments"].find(key, text.where)
        recording, entries["start"], entries["end"] = _segment(segment)
        audio = tables["wav.scp"].find(recording, segment.where)
    else:
        audio = tables["wav.scp"].find(key, text.where)
    if audio.rest.endswith("|"):
        told = f"{audio.rest!r} is a command, which is never run; write its audio to a file"
        raise _Flawed(audio.where, told)
    return {**entries, "audio": audio.rest}


def _segment(row: _Row) -> tuple[str, float, float | None]:
    """A recording, and the start and the end of a part of it; -1 stands for the recording's end."""
    try:
        recording, start, end = row.rest.split()
        return recording, float(start), None if float(end) == -1 else float(end)
    except ValueError:
        told = f"{row.rest!r} is no recording, start and end in seconds"
        raise _Flawed(row.where, told) from None
