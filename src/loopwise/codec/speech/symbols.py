"""Transcripts as characters, words or phones: units that are looked up in a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.base import TokenIds, has_surrogate, json_field, printable
from loopwise.codec.numbers import is_integer
from loopwise.codec.speech.base import UnitCodec, joined, unknown_symbols, words_of_pieces
from loopwise.codec.speech.lexicon import Lexicon, Pronunciation
from loopwise.codec.speech.normalise import Case
from loopwise.errors import DataError


class CharUnits(UnitCodec):
    """Unicode characters, the space between words among them.

    Args:
        characters: the known ones, in the order of their ids.
        case: as in `UnitCodec`.
    """

    unit = "chars"

    def __init__(self, characters: str, case: Case = "none"):
        if has_surrogate(characters):
            raise DataError("units 'chars': must not be lone surrogates")
        super().__init__([*map(printable, characters)], case)
        self.characters = characters
        self._ids = _numbered(self.unit, characters)

    @classmethod
    def from_json(cls, described: Mapping[str, Any], case: Case) -> CharUnits:
        """The codec that `to_json` described; raises DataError if it cannot be one."""
        return cls(json_field(described, "characters", str), case)

    def encode(self, text: str) -> NDArray[np.int32]:
        """The ids ``[U]``, one for each character."""
        return _looked_up(self.normalise(text), self._ids, "characters")

    def decode(self, ids: TokenIds) -> str:
        """The characters, without spaces at the ends, and no more than one between words."""
        return joined(self._pieces(ids))

    def words(self, ids: TokenIds) -> NDArray[np.int32]:
        """The word of each character; none for spaces."""
        return words_of_pieces(self._pieces(ids))

    def _pieces(self, ids: TokenIds) -> list[str]:
        return [self.characters[i - 1] for i in self.checked(ids)]

    def vocabulary_json(self) -> dict[str, Any]:
        """The `characters`, in the order of the ids."""
        return {"characters": self.characters}


class WordUnits(UnitCodec):
    """Whole words.

    Args:
        words: the known ones, in the order of their ids.
        case: as in `UnitCodec`.
    """

    unit = "words"

    def __init__(self, words: Sequence[str], case: Case = "none"):
        _check_words("words", words)
        super().__init__(words, case)
        self._ids = _numbered(self.unit, words)

    @classmethod
    def from_json(cls, described: Mapping[str, Any], case: Case) -> WordUnits:
        """The codec that `to_json` described; raises DataError if it cannot be one."""
        return cls(json_field(described, "words", list), case)

    def encode(self, text: str) -> NDArray[np.int32]:
        """The ids ``[U]``, one for each word."""
        return _looked_up(self.normalise(text).split(), self._ids, "words")

    def decode(self, ids: TokenIds) -> str:
        """The words with spaces between them."""
        return " ".join([self.symbols[i] for i in self.checked(ids)])

    def words(self, ids: TokenIds) -> NDArray[np.int32]:
        """Each unit is a word."""
        return np.arange(len(self.checked(ids)), dtype=np.int32)

    def vocabulary_json(self) -> dict[str, Any]:
        """The `words`, in the order of the ids."""
        return {"words": list(self.symbols[1:])}


class PhoneUnits(UnitCodec):
    """Phones, by which a lexicon spells words; all of its phones, sorted, are the units.

    Several words can share a pronunciation, so that phones alone are decoded to phones; a search
    over the lexicon finds words.

    Args:
        lexicon: the known words, as `normalise` spells them.
        case: as in `UnitCodec`.
        preferred: for some words, which pronunciation `encode` takes, counted from 1; of others it
            is the first.

    Raises:
        DataError: if a preferred pronunciation is not there.
    """

    unit = "phones"

    def __init__(
        self, lexicon: Lexicon, case: Case = "none", preferred: Mapping[str, int] | None = None
    ):
        super().__init__(lexicon.phones, case)
        self.lexicon = lexicon.normalised(case)
        spelled = (preferred or {}).items()
        self.preferred = {self.normalise(word): number for word, number in spelled}
        self._ids = _numbered(self.unit, lexicon.phones)
        self._spelling = {word: self.lexicon.pronunciations(word)[0] for word in self.lexicon.words}
        for word, number in self.preferred.items():
            several = self.lexicon.pronunciations(word)
            if not is_integer(number) or not 1 <= number <= len(several):
                raise DataError(
                    f"{lexicon.name}: pronunciation {number!r} of {word!r} is not there; it has "
                    f"1 to {len(several)}"
                )
            self._spelling[word] = several[number - 1]

    @classmethod
    def from_json(cls, described: Mapping[str, Any], case: Case) -> PhoneUnits:
        """The codec that `to_json` described; raises DataError if it cannot be one."""
        lexicon = Lexicon.from_json(described.get("lexicon"))
        return cls(lexicon, case, json_field(described, "preferred", dict))

    def encode(self, text: str) -> NDArray[np.int32]:
        """The ids ``[U]`` of the words' phones, one word after the other."""
        words = self.normalise(text).split()
        missing = self.lexicon.missing(words)
        if missing:
            raise unknown_symbols(missing, "words", f" of {self.lexicon.name}")
        return self._encoded([phone for word in words for phone in self._spelling[word]])

    def pronunciations(self, word: str) -> list[NDArray[np.int32]]:
        """The ids of all pronunciations of a word, the preferred one first."""
        spelled = self.normalise(word)
        several = self.lexicon.pronunciations(spelled)
        return [self._encoded(each) for each in dict.fromkeys((self._spelling[spelled], *several))]

    def _encoded(self, phones: Pronunciation | list[str]) -> NDArray[np.int32]:
        return np.array([self._ids[phone] for phone in phones], np.int32)

    def decode(self, ids: TokenIds) -> str:
        """The phones with spaces between them."""
        return " ".join([self.symbols[i] for i in self.checked(ids)])

    def words(self, ids: TokenIds) -> NDArray[np.int32]:
        """Each phone counts as a word of its own, as `decode` shows it."""
        return np.arange(len(self.checked(ids)), dtype=np.int32)

    def vocabulary_json(self) -> dict[str, Any]:
        """The `lexicon`, and which pronunciations are `preferred`."""
        return {"lexicon": self.lexicon.to_json(), "preferred": self.preferred}


def _check_words(unit: str, words: Sequence[Any]) -> None:
    for word in words:
        if not isinstance(word, str) or word.split() != [word] or has_surrogate(word):
            raise DataError(f"units {unit!r}: {word!r} is no word")


def _numbered(unit: str, symbols: Sequence[str]) -> dict[str, int]:
    ids = {symbol: i for i, symbol in enumerate(symbols, 1)}
    if len(ids) < len(symbols):
        raise DataError(f"units {unit!r}: one is repeated")
    return ids


def _looked_up(symbols: Sequence[str], ids: Mapping[str, int], kind: str) -> NDArray[np.int32]:
    unknown = [symbol for symbol in dict.fromkeys(symbols) if symbol not in ids]
    if unknown:
        raise unknown_symbols(unknown, kind)
    return np.array([ids[symbol] for symbol in symbols], np.int32)
