"""Utterances, recordings with what is said in them, and which of them are fit to be used."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, cast

from loopwise.codec.base import has_surrogate
from loopwise.codec.dropped import DroppedCounts, Invalid, check_invalid
from loopwise.codec.numbers import is_number
from loopwise.errors import DataError


@dataclass(frozen=True)
class Utterance:
    """A recording, or a part of one, and what is said in it.

    Attributes:
        audio: a file of sound, or of ready features.
        text: what is said, with single spaces between words.
        speaker: who speaks; empty if that is not known.
        start: where it begins in the file, in seconds; None for its beginning.
        end: where it ends, in seconds; None for the file's end.
        id: its name: the manifest's own, otherwise that of the file without its ending.
        where: its place in a manifest, for messages: file and line.
    """

    audio: Path
    text: str
    speaker: str = ""
    start: float | None = None
    end: float | None = None
    id: str = ""
    where: str = ""


FIELDS = ("audio", "text", "speaker", "start", "end", "id")
"""What a manifest can tell of an utterance; the first two it must."""


@dataclass(frozen=True)
class Flaw:
    """Why an utterance cannot be used.

    Attributes:
        where: its place, for messages.
        reason: the field of `Dropped` that counts it.
        told: what is wrong, for a message.
    """

    where: str
    reason: str
    told: str


@dataclass(frozen=True)
class Dropped(DroppedCounts):
    """How many utterances were left out, by reason; ``str()`` tells it in one line.

    Attributes:
        undecodable: the line or the text is not UTF-8.
        malformed: not the columns or the JSON object that is wanted, or without a counterpart.
        missing: the audio file is not there.
        empty: the text has nothing but white space.
        times: it ends before it begins.
        audio: the audio cannot be read, or holds no sound.
        unknown: the text has characters or words outside the vocabulary.
        long: the audio is longer than wanted.
        short: the audio is too short for its text.
    """

    noun: ClassVar[str] = "utterance"

    undecodable: int = field(default=0, metadata={"text": "not UTF-8"})
    malformed: int = field(default=0, metadata={"text": "malformed"})
    missing: int = field(default=0, metadata={"text": "without their audio"})
    empty: int = field(default=0, metadata={"text": "without text"})
    times: int = field(default=0, metadata={"text": "that end before they begin"})
    audio: int = field(default=0, metadata={"text": "with audio that cannot be used"})
    unknown: int = field(default=0, metadata={"text": "with text outside the vocabulary"})
    long: int = field(default=0, metadata={"text": "too long"})
    short: int = field(default=0, metadata={"text": "too short for their text"})


@dataclass(frozen=True)
class Utterances:
    """Utterances in the order in which they were read.

    Attributes:
        items: the utterances.
        name: the files, as messages call them.
        dropped: what was left out.
    """

    items: tuple[Utterance, ...]
    name: str = "utterances"
    dropped: Dropped = Dropped()

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Utterance:
        return self.items[index]

    def __iter__(self) -> Iterator[Utterance]:
        return iter(self.items)

    @property
    def texts(self) -> list[str]:
        """What is said in each."""
        return [utterance.text for utterance in self.items]

    @property
    def speakers(self) -> list[str]:
        """Those who speak, each once, in the order in which they come."""
        return list(dict.fromkeys(utterance.speaker for utterance in self.items))

    def choose(self, indices: Iterable[int]) -> "Utterances":
        """Some of the utterances, in the order of `indices`; none counts as dropped from them."""
        return Utterances(tuple(self.items[i] for i in indices), self.name)


def select_utterances(
    raw: Iterable[Utterance | Flaw],
    *,
    invalid: Invalid = "error",
    name: str = "utterances",
    dropped: Dropped | None = None,
) -> Utterances:
    """The utterances that are fit to be used.

    Args:
        raw: utterances, and in the place of those that cannot be used, why.
        invalid: what becomes of these.
        name: what a message calls all of them.
        dropped: what was left out before; it is counted on.

    Raises:
        ConfigError: if `invalid` is not allowed.
        DataError: if one cannot be used and `invalid` does not skip it; or if none is left.
    """
    check_invalid(invalid)
    kept: list[Utterance] = []
    before = dropped or Dropped()
    counts = {reason.name: getattr(before, reason.name) for reason in fields(Dropped)}
    for utterance in raw:
        if isinstance(utterance, Utterance):
            kept.append(utterance)
            continue
        if invalid == "error":
            raise DataError(
                f"{utterance.where}: {utterance.told}; mend it, or leave out such utterances with "
                "invalid=skip"
            )
        counts[utterance.reason] += 1
    now = Dropped(**counts)
    if not kept:
        raise DataError(f"{name}: there is no utterance to use ({now})")
    return Utterances(tuple(kept), name, now)


def list_utterances(
    given: object, *, invalid: Invalid = "error", name: str = "utterances"
) -> Utterances:
    """Utterances that a caller in Python gives; their places are positions, counted from 0.

    Args:
        given: of each utterance its `Utterance`, a pair ``(audio, text)``, or a mapping with the
            `FIELDS`; or `Utterances`, which are taken as they are.
        invalid: what becomes of those that cannot be used.
        name: what messages call them.

    Raises:
        ConfigError: if `invalid` is not allowed.
        DataError: if it is anything else, if an utterance cannot be used, or if none is left.
    """
    if isinstance(given, Utterances):
        return given
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise DataError(f"{name}: must be a sequence of (audio, text), not {type(given).__name__}")
    several = enumerate(cast(Iterable[object], given))
    raw = (_given(each, f"{name}[{position}]") for position, each in several)
    return select_utterances(raw, invalid=invalid, name=name)


def _given(each: object, where: str) -> Utterance | Flaw:
    match each:
        case Utterance():
            entries: dict[str, Any] = {key: getattr(each, key) for key in FIELDS}
            return utterance_of(entries, Path(), each.where or where)
        case (audio, text):
            return utterance_of({"audio": audio, "text": text}, Path(), where)
        case {**entries}:
            return utterance_of(entries, Path(), where)
        case _:
            kind = type(each).__name__
            return Flaw(where, "malformed", f"{kind} is no (audio, text) and no mapping")


def utterance_of(entries: Mapping[str, Any], folder: Path, where: str) -> Utterance | Flaw:
    """An utterance as a manifest describes it, or why it is none.

    Args:
        entries: values by `FIELDS`; those that are not there, or None, are unknown. Others are
            not looked at.
        folder: where relative paths of audio begin.
        where: its place, for messages.
    """
    audio, text = entries.get("audio"), entries.get("text")
    if not isinstance(audio, str | os.PathLike) or not os.fspath(audio):
        return Flaw(where, "malformed", _wanted("audio", audio, "the path of a file"))
    if not isinstance(text, str):
        return Flaw(where, "malformed", _wanted("text", text, "a string"))
    if has_surrogate(text) or has_surrogate(os.fspath(audio)):
        return Flaw(where, "malformed", "a lone surrogate, which is no character")
    for key in ("speaker", "id"):
        if not isinstance(entries.get(key) or "", str | int):
            return Flaw(where, "malformed", _wanted(key, entries[key], "a string"))
    for key in ("start", "end"):
        value = entries.get(key)
        if value is not None and not (is_number(value) and value >= 0):
            return Flaw(where, "malformed", _wanted(key, value, "seconds, 0 or more"))
    path = folder / audio
    utterance = Utterance(
        audio=path,
        text=" ".join(text.split()),
        speaker=_string(entries.get("speaker")),
        start=_seconds(entries.get("start")),
        end=_seconds(entries.get("end")),
        id=_string(entries.get("id")) or path.stem,
        where=where,
    )
    return _flaw(utterance) or utterance


def _wanted(key: str, value: object, wanted: str) -> str:
    return f"no {key!r}" if value is None else f"{key}={value!r}: must be {wanted}"


def _string(value: str | int | None) -> str:
    return "" if value is None else str(value).strip()


def _seconds(value: float | None) -> float | None:
    return None if value is None else float(value)


def _flaw(utterance: Utterance) -> Flaw | None:
    where = utterance.where
    if not utterance.text:
        return Flaw(where, "empty", "the text is empty")
    if utterance.end is not None and utterance.end <= (utterance.start or 0.0):
        told = f"end={utterance.end:g} is not after start={utterance.start or 0.0:g}"
        return Flaw(where, "times", told)
    if not os.path.isfile(utterance.audio):  # False even for what can be no path
        return Flaw(where, "missing", f"the audio file {str(utterance.audio)!r} does not exist")
    return None
