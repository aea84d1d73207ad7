"""What every codec of transcripts offers: text to the units that a recogniser tells apart."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.base import FORMAT, TokenIds
from loopwise.codec.speech.normalise import Case, check_case, normalise
from loopwise.errors import DataError

_TOLD = 10  # unknown symbols that a message names

BLANK = 0
"""The id that stands for no unit, in CTC (Graves et al., 2006) and in transducers."""

NO_WORD = -1
"""In `UnitCodec.words`, for a unit that stands between words."""


class UnitCodec(ABC):
    """Transcripts to ids in ``[1, size)`` and back; 0 is the blank.

    Args:
        symbols: the units, in the order of their ids from 1.
        case: what becomes of the letters of a text before it is encoded.

    Attributes:
        unit: ``"chars"``, ``"words"``, ``"bpe"`` or ``"phones"``.
        size: number of units, the blank among them.
        symbols: the units in printable form, in the order of their ids; ``<blank>`` first.

    Raises:
        ConfigError: if `case` is not allowed.
        DataError: if there are no symbols.
    """

    unit: ClassVar[str]

    def __init__(self, symbols: Sequence[str], case: Case = "none"):
        check_case(case)
        if not symbols:
            raise DataError(f"units {self.unit!r}: there must be at least one")
        self.case: Case = case
        self.symbols = ("<blank>", *symbols)
        self.size = len(self.symbols)

    def normalise(self, text: str) -> str:
        """The text as it is encoded: in one case, with single spaces between words."""
        return normalise(text, self.case)

    @abstractmethod
    def encode(self, text: str) -> NDArray[np.int32]:
        """The ids ``[U]`` of a text, which need not be normalised.

        Raises:
            DataError: if it has characters or words that are not in the vocabulary; names them.
        """

    @abstractmethod
    def decode(self, ids: TokenIds) -> str:
        """The text of ids ``[U]``, with single spaces between words; of phones, these.

        Raises:
            DataError: if an id is the blank or not in the vocabulary.
        """

    def token(self, unit: int) -> str:
        """One unit in printable form."""
        return self.symbols[unit]

    @abstractmethod
    def words(self, ids: TokenIds) -> NDArray[np.int32]:
        """The word ``[U]``, counted from 0, of `decode` that each of the ids ``[U]`` belongs to.

        `NO_WORD` for a space. What follows in `ids` changes no number before it.

        Raises:
            DataError: if an id is the blank or not in the vocabulary.
        """

    def pronunciations(self, word: str) -> list[NDArray[np.int32]]:
        """The ids ``[U]`` of each way in which a word can be said, the first is that of `encode`.

        Raises:
            DataError: if it cannot be encoded.
        """
        return [self.encode(word)]

    def to_json(self) -> dict[str, Any]:
        """What `units_from_json` needs to rebuild this codec, as JSON values."""
        return {
            "format": FORMAT,
            "unit": self.unit,
            "case": self.case,
            **self.vocabulary_json(),
        }

    @abstractmethod
    def vocabulary_json(self) -> dict[str, Any]:
        """The part of `to_json` that is particular to the unit."""

    def checked(self, ids: TokenIds) -> NDArray[np.int64]:
        """Ids ``[U]``; raises DataError if one is not an integer in ``[1, size)``."""
        array = np.asarray(ids)
        if not array.size:
            return np.zeros(0, np.int64)
        if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
            raise DataError(
                f"units must be a vector of integers, not {array.dtype} {list(array.shape)}"
            )
        wrong = np.flatnonzero((array < 1) | (array >= self.size))
        if wrong.size:
            raise DataError(
                f"unit {array[wrong[0]]} at position {wrong[0]} is not in the vocabulary, which "
                f"has 1 to {self.size - 1}"
            )
        return array.astype(np.int64)


def joined(pieces: Sequence[str]) -> str:
    """The text of pieces, without spaces at its ends, and no more than one between words."""
    return " ".join(filter(None, "".join(pieces).split(" ")))


def words_of_pieces(pieces: Sequence[str]) -> NDArray[np.int32]:
    """The number of each piece's word, where spaces stand at the beginning of a piece or alone."""
    blank = np.array([not piece.strip(" ") for piece in pieces], np.bool_)
    begins = np.array([piece.startswith(" ") for piece in pieces], np.bool_)
    begins[:1] = True
    begins[1:] |= blank[:-1]
    words = np.cumsum(begins & ~blank, dtype=np.int32) - 1
    words[blank] = NO_WORD
    return words


def unknown_symbols(symbols: Sequence[str], kind: str, of: str = "") -> DataError:
    """The error that names characters or words that a vocabulary lacks."""
    named = ", ".join(map(repr, symbols[:_TOLD])) + (", ..." if len(symbols) > _TOLD else "")
    return DataError(f"{kind} that are not in the vocabulary{of}: {named}")
