"""Transcripts as pieces of words, by byte pair encoding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.base import TokenIds, json_field
from loopwise.codec.bpe import BpeCodec, train_bpe
from loopwise.codec.corpus import Source
from loopwise.codec.numbers import is_integer
from loopwise.codec.speech.base import UnitCodec, joined, unknown_symbols, words_of_pieces
from loopwise.codec.speech.normalise import Case
from loopwise.codec.text import codec_from_json
from loopwise.errors import ConfigError, DataError

DEFAULT_SIZE = 500


class BpeUnits(UnitCodec):
    """Pieces of words; a piece that begins a word begins with its space.

    Args:
        text: the pieces.
        pieces: only the first so many are units; the others are bytes that no transcript has.
        case: as in `UnitCodec`.
    """

    unit = "bpe"

    def __init__(self, text: BpeCodec, pieces: int, case: Case = "none"):
        if not is_integer(pieces) or not 1 <= pieces <= text.size:
            raise DataError(f"units 'bpe': pieces={pieces!r} must be 1 to {text.size}")
        super().__init__([text.token(i) for i in range(pieces)], case)
        self.text = text

    @classmethod
    def from_json(cls, described: Mapping[str, Any], case: Case) -> BpeUnits:
        """The codec that `to_json` described; raises DataError if it cannot be one."""
        text = codec_from_json(described.get("text"))
        if not isinstance(text, BpeCodec):
            raise DataError(f"units 'bpe': made of {text.unit!r}; they must be made of 'bpe'")
        return cls(text, json_field(described, "pieces", int), case)

    def encode(self, text: str) -> NDArray[np.int32]:
        """The ids ``[U]``; a word has the same wherever it stands."""
        spoken = self.normalise(text)
        ids = self.text.encode_text(" " + spoken if spoken else "")
        if (ids >= self.size - 1).any():
            unknown = [c for c in dict.fromkeys(spoken) if not self._is_known(c)]
            raise unknown_symbols(unknown, "characters")
        return ids + 1

    def _is_known(self, character: str) -> bool:
        return bool((self.text.encode_text(character) < self.size - 1).all())

    def decode(self, ids: TokenIds) -> str:
        """The text of the pieces; bytes that are not UTF-8 become U+FFFD."""
        return joined([self.text.decode(self.checked(ids) - 1)])

    def words(self, ids: TokenIds) -> NDArray[np.int32]:
        """The word of each piece; none for a space alone."""
        return words_of_pieces([self.text.decode([i - 1]) for i in self.checked(ids)])

    def vocabulary_json(self) -> dict[str, Any]:
        """The `text` that makes the pieces, and how many `pieces` are units."""
        return {"text": self.text.to_json(), "pieces": self.size - 1}


def train_bpe_units(texts: Sequence[str], case: Case, vocab_size: int) -> BpeUnits:
    """The pieces of some normalised texts.

    Args:
        texts: transcripts.
        case: of the codec.
        vocab_size: largest `size`; 0 stands for 500.

    Raises:
        ConfigError: if it is too small for the bytes that occur.
        MissingExtraError: if `tokenizers` is not installed.
    """
    source = Source("transcripts", "".join([f" {text}\n" for text in texts]).encode())
    alone = set(source.data) - {ord("\n")}
    size = vocab_size or DEFAULT_SIZE
    if size < 1 + len(alone):
        raise ConfigError(
            f"vocab_size={vocab_size}: the blank and the bytes of the texts are {1 + len(alone)}"
        )
    # The bytes that never occur are in each vocabulary of bytes, but are no units.
    every = train_bpe([source], vocab_size=256 + size - 1 - len(alone), min_count=2)
    is_unit = [len(piece) > 1 or piece[0] in alone for piece in every.pieces]
    order = sorted(range(every.size), key=lambda i: not is_unit[i])
    return BpeUnits(every.reordered(order), sum(is_unit), case)
