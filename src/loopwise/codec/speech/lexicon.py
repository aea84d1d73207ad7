"""How words are pronounced: dictionaries in the format of CMU's."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias, cast

from loopwise.codec.corpus import Source, read_sources
from loopwise.codec.speech.normalise import Case, normalise
from loopwise.errors import DataError

Pronunciation: TypeAlias = tuple[str, ...]
"""The phones of a word, at least one."""


class Lexicon:
    """Words and their pronunciations.

    Args:
        entries: words with the pronunciations of each, first the one that is taken if no other
            is asked for. A pronunciation that a word has already counts once.
        name: what messages call it.

    Attributes:
        words: in the order given.
        phones: all that occur, sorted.

    Raises:
        DataError: if there is no word, or one without a pronunciation, if a word or a phone is
            empty or holds white space.
    """

    def __init__(
        self, entries: Iterable[tuple[str, Iterable[Pronunciation]]], name: str = "lexicon"
    ):
        self.name = name
        self._entries: dict[str, tuple[Pronunciation, ...]] = {}
        for word, pronunciations in entries:
            before = self._entries.get(word, ())
            self._entries[word] = tuple(dict.fromkeys([*before, *pronunciations]))
        if not self._entries:
            raise DataError(f"{name}: there is no word in it")
        for word, pronunciations in self._entries.items():
            for symbol in (word, *(phone for each in pronunciations for phone in each)):
                if symbol.split() != [symbol]:
                    raise DataError(f"{name}: {symbol!r}, of {word!r}, is no word and no phone")
            if not pronunciations or not all(pronunciations):
                raise DataError(f"{name}: {word!r} has no phones")
        self.words = tuple(self._entries)
        every = (phone for word in self.words for each in self._entries[word] for phone in each)
        self.phones = tuple(sorted(set(every)))

    def __contains__(self, word: object) -> bool:
        return word in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def pronunciations(self, word: str) -> tuple[Pronunciation, ...]:
        """The pronunciations of a word; raises DataError if it is not there."""
        if word not in self._entries:
            raise DataError(f"{self.name}: the word {word!r} is not in it")
        return self._entries[word]

    def missing(self, words: Iterable[str]) -> list[str]:
        """Those of some words that are not there, each once."""
        return [word for word in dict.fromkeys(words) if word not in self._entries]

    def normalised(self, case: Case) -> "Lexicon":
        """With words as `normalise` spells them; those that become the same are one word."""
        spelled = ((normalise(word, case), self._entries[word]) for word in self.words)
        return Lexicon(spelled, self.name)

    def to_json(self) -> dict[str, list[str]]:
        """What `from_json` needs to rebuild it: for each word, phones with spaces between them."""
        return {word: [" ".join(each) for each in self._entries[word]] for word in self.words}

    @classmethod
    def from_json(cls, described: object) -> "Lexicon":
        """The lexicon that `to_json` described.

        Args:
            described: JSON values, from a source that need not be trusted.

        Raises:
            DataError: if it cannot be one.
        """
        if not isinstance(described, Mapping):
            raise DataError(f"a lexicon is an object, not {type(described).__name__}")
        entries = cast(Mapping[str, Any], described).items()
        for word, several in entries:
            if not isinstance(several, list) or not all(isinstance(each, str) for each in several):
                raise DataError(f"lexicon: {word!r} has no list of strings")
        return cls((word, [tuple(each.split()) for each in several]) for word, several in entries)


def read_lexicon(path: str | os.PathLike[str], *, stress: bool = True) -> Lexicon:
    """A dictionary in CMU's format: a word and its phones in each line.

    ``A(2)`` is another pronunciation of ``A``, as is another line with ``A``. Lines that begin
    with ``;;;`` and what follows ``#`` after white space are comments.

    Args:
        path: a file in UTF-8, also ``.gz``.
        stress: whether the digit at the end of a vowel, such as in ``AH0``, is part of it.

    Raises:
        DataError: if it cannot be read, if a line has no phones, or if there is no word.
    """
    (source,) = read_sources(path)
    return Lexicon(_entries(source, stress), source.name)


def _entries(source: Source, stress: bool) -> Iterator[tuple[str, list[Pronunciation]]]:
    text = source.text("convert it").removeprefix("\ufeff")
    for number, line in enumerate(text.split("\n"), 1):
        told = re.split(r"\s#", line)[0].split()
        if not told or told[0].startswith(";;;"):
            continue
        word, *phones = told
        if not phones:
            raise DataError(f"{source.name}, line {number}: the word {word!r} has no phones")
        if not stress:
            phones = [re.sub(r"(?<=\D)[012]$", "", phone) for phone in phones]
        yield re.sub(r"(?<=.)\(\d+\)$", "", word), [tuple(phones)]
