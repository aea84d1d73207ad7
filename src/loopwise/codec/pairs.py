"""Pairs of sentences, source and target, and which of them are fit to be used."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import ClassVar, Literal, cast

from loopwise.codec.base import has_surrogate
from loopwise.codec.dropped import DroppedCounts, Invalid, check_invalid
from loopwise.codec.numbers import is_integer, is_number
from loopwise.errors import ConfigError, DataError


@dataclass(frozen=True)
class PairFilter:
    """Which pairs are kept. Words are what stands between white space.

    Attributes:
        invalid: what becomes of a pair that cannot be used, or is too long: ``"error"`` raises
            DataError with its place, ``"skip"`` leaves it out and counts it.
        max_words: most words of either side; 0 for any number.
        max_ratio: a pair whose longer side has more than this many times the words of the shorter
            is left out and counted, whatever `invalid` says; 0 for any ratio, otherwise at least 1.
        duplicates: ``"drop"`` leaves out a pair that was there before, and counts it.

    Raises:
        ConfigError: if a value is not allowed.
    """

    invalid: Invalid = "error"
    max_words: int = 0
    max_ratio: float = 0.0
    duplicates: Literal["keep", "drop"] = "keep"

    def __post_init__(self):
        check_invalid(self.invalid)
        if self.duplicates not in ("keep", "drop"):
            raise ConfigError(f"duplicates={self.duplicates!r}: must be 'keep' or 'drop'")
        if not is_integer(self.max_words) or self.max_words < 0:
            raise ConfigError(f"max_words={self.max_words!r}: must be 0 (any number) or more")
        if not is_number(self.max_ratio) or not (self.max_ratio == 0 or self.max_ratio >= 1):
            raise ConfigError(f"max_ratio={self.max_ratio!r}: must be 0 (any ratio), or 1 or more")


ALL_PAIRS = PairFilter()
"""Every pair is kept, and one that cannot be used is an error."""


@dataclass(frozen=True)
class Dropped(DroppedCounts):
    """How many pairs were left out, by reason; ``str()`` tells it in one line.

    Attributes:
        undecodable: a side is not UTF-8.
        malformed: no tab, too few columns, or not the JSON object that is wanted.
        empty: a side has nothing but white space.
        long: a side has more words than allowed.
        ratio: the sides' lengths differ too much.
        duplicate: the pair was there before.
    """

    noun: ClassVar[str] = "pair"

    undecodable: int = field(default=0, metadata={"text": "not UTF-8"})
    malformed: int = field(default=0, metadata={"text": "malformed"})
    empty: int = field(default=0, metadata={"text": "with an empty side"})
    long: int = field(default=0, metadata={"text": "too long"})
    ratio: int = field(default=0, metadata={"text": "of too unequal lengths"})
    duplicate: int = field(default=0, metadata={"text": "repeated"})


@dataclass(frozen=True)
class Pairs:
    """Sentences and their translations, in the order in which they were read.

    Attributes:
        sources: sentences in one line each, without white space around them.
        targets: their translations, likewise.
        lines: the line of each pair in its file, counted from 1.
        names: the file of each pair, as messages call it.
        dropped: what was left out.
    """

    sources: list[str]
    targets: list[str]
    lines: list[int]
    names: list[str]
    dropped: Dropped = Dropped()

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def name(self) -> str:
        """The files, as messages call them."""
        return ", ".join(dict.fromkeys(self.names))

    def where(self, index: int) -> str:
        """The place of a pair, for messages: its file and line."""
        return f"{self.names[index]}, line {self.lines[index]}"

    def choose(self, indices: Sequence[int]) -> "Pairs":
        """Some of the pairs, in the order of `indices`; nothing counts as dropped from them."""
        return Pairs(
            [self.sources[i] for i in indices],
            [self.targets[i] for i in indices],
            [self.lines[i] for i in indices],
            [self.names[i] for i in indices],
        )


@dataclass(frozen=True)
class RawPair:
    """A pair as it was read, or why it could not be.

    Attributes:
        name: the file, for messages.
        line: its line, counted from 1.
        source: the source sentence.
        target: the target sentence.
        flaw: if it is no pair, the field of `Dropped` that counts it.
        told: if it is no pair, what is wrong, for a message.
    """

    name: str
    line: int
    source: str = ""
    target: str = ""
    flaw: str = ""
    told: str = ""


def select_pairs(raw: Iterable[RawPair], wanted: PairFilter, *, name: str) -> Pairs:
    """The pairs that are fit to be used.

    Args:
        raw: the pairs as they were read.
        wanted: which of them are kept.
        name: what a message calls all of them.

    Raises:
        DataError: if one is not and `wanted` does not skip it; or if none is left.
    """
    kept, seen = Pairs([], [], [], []), set[tuple[str, str]]()
    counts = dict.fromkeys((reason.name for reason in fields(Dropped)), 0)
    for pair in raw:
        source, target = pair.source.strip(), pair.target.strip()
        flaw, told = (pair.flaw, pair.told) if pair.flaw else _flaw(source, target, wanted)
        if flaw and wanted.invalid == "error":
            raise DataError(
                f"{pair.name}, line {pair.line}: {told}; mend it, or leave out such pairs with "
                "invalid=skip"
            )
        flaw = flaw or _unwanted(source, target, wanted, seen)
        if flaw:
            counts[flaw] += 1
            continue
        kept.sources.append(source)
        kept.targets.append(target)
        kept.lines.append(pair.line)
        kept.names.append(pair.name)
    dropped = Dropped(**counts)
    if not kept.sources:
        raise DataError(f"{name}: there is no pair of sentences to use ({dropped})")
    return Pairs(kept.sources, kept.targets, kept.lines, kept.names, dropped)


def _flaw(source: str, target: str, wanted: PairFilter) -> tuple[str, str]:
    """Why a pair cannot be used, as a field of `Dropped` and for a message."""
    for side, sentence in (("source", source), ("target", target)):
        if not sentence:
            return "empty", f"the {side} is empty"
        if "\n" in sentence or has_surrogate(sentence):
            return "malformed", f"the {side} holds a line break or a lone surrogate"
        words = len(sentence.split()) if wanted.max_words else 0
        if words > wanted.max_words:
            return "long", f"the {side} has {words} words, more than max_words={wanted.max_words}"
    return "", ""


def _unwanted(source: str, target: str, wanted: PairFilter, seen: set[tuple[str, str]]) -> str:
    """The field of `Dropped` that counts a good pair which is not wanted all the same."""
    if wanted.max_ratio:
        shorter, longer = sorted((len(source.split()), len(target.split())))
        if longer > wanted.max_ratio * shorter:
            return "ratio"
    if wanted.duplicates == "drop":
        if (source, target) in seen:
            return "duplicate"
        seen.add((source, target))
    return ""


def list_pairs(given: object, wanted: PairFilter = ALL_PAIRS, *, name: str = "pairs") -> Pairs:
    """Pairs that a caller in Python gives; as lines they have their positions, counted from 1.

    Args:
        given: ``(source, target)`` for each pair, both strings; or `Pairs`, which are taken as
            they are.
        wanted: which of them are kept.
        name: what messages call them.

    Raises:
        DataError: if it is anything else, if a pair cannot be used, or if none is left.
    """
    if isinstance(given, Pairs):
        return given
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise DataError(
            f"{name}: must be a sequence of (source, target), not {type(given).__name__}"
        )
    return select_pairs(_given(cast(Iterable[object], given), name), wanted, name=name)


def _given(given: Iterable[object], name: str) -> Iterator[RawPair]:
    for line, pair in enumerate(given, 1):
        match pair:
            case (str(source), str(target)):
                yield RawPair(name, line, source, target)
            case _:
                raise DataError(
                    f"{name}, line {line}: {_shortened(pair)} is no (source, target) of strings"
                )


def _shortened(value: object, most: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= most else text[: most - 3] + "..."
