"""Tokens that are Unicode characters."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.base import (
    StreamDecoder,
    TextCodec,
    TokenIds,
    has_surrogate,
    json_field,
    printable,
)
from loopwise.codec.corpus import Source
from loopwise.errors import DataError

_UNKNOWN = 0


class CharCodec(TextCodec):
    """Unicode code points; id 0 is any other character and decodes to U+FFFD.

    Args:
        characters: the known characters; ids count from 1 in their order.

    Raises:
        DataError: if `characters` is empty, repeats one or holds a lone surrogate.
    """

    unit = "chars"

    def __init__(self, characters: str):
        points = _code_points(characters)
        if not characters or len(set(characters)) < len(characters):
            raise DataError("codec 'chars': characters must be distinct, at least one")
        if has_surrogate(characters):
            raise DataError("codec 'chars': characters must not be lone surrogates")
        self.characters = characters
        self.size = 1 + len(characters)
        self.start = characters.find("\n") + 1
        self.unknown = _UNKNOWN
        # One entry beyond the largest known code point stands for all that follow.
        self._ids = np.zeros(int(points.max()) + 2, np.int32)
        self._ids[points] = np.arange(1, self.size)
        self._text = "\N{REPLACEMENT CHARACTER}" + characters

    @classmethod
    def from_json(cls, described: Mapping[str, Any]) -> "CharCodec":
        """The codec that `to_json` described; raises DataError if it cannot be one."""
        return cls(json_field(described, "characters", str))

    def encode_text(self, text: str) -> NDArray[np.int32]:
        """The ids ``[T]``, one for each code point."""
        return self._ids[np.minimum(_code_points(text), len(self._ids) - 1)]

    def reordered(self, order: Sequence[int]) -> "CharCodec":
        """The codec with other ids; 0 stays."""
        if order[0] != _UNKNOWN:
            raise DataError("codec 'chars': the unknown character has the id 0")
        return CharCodec("".join([self._text[i] for i in order[1:]]))

    def prefix(self, size: int) -> "CharCodec":
        """The codec of the characters with ids below `size`; at least 2."""
        return CharCodec(self.characters[: max(size, 1) - 1])

    def decode(self, ids: TokenIds) -> str:
        """The text of ids ``[T]``, U+FFFD for the unknown."""
        text = self._text
        return "".join([text[i] for i in self.checked(ids)])

    def token(self, token_id: int) -> str:
        """The character, escaped where it cannot be printed; ``<unk>`` for id 0."""
        return "<unk>" if token_id == _UNKNOWN else printable(self._text[self.checked_id(token_id)])

    def decoder(self, after: str = "") -> StreamDecoder:
        """A decoder; every character is certain at once, whatever it stands behind."""
        del after
        return _CharDecoder(self, self._text)

    def vocabulary_json(self) -> dict[str, Any]:
        """The `characters`, in the order of the ids."""
        return {"characters": self.characters}


class _CharDecoder(StreamDecoder):
    def __init__(self, codec: CharCodec, text: str):
        self._codec = codec
        self._text = text

    def push(self, token_id: int) -> str:
        return self._text[self._codec.checked_id(token_id)]

    def finish(self) -> str:
        return ""


def _code_points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def train_chars(sources: Sequence[Source], vocab_size: int, min_count: int) -> CharCodec:
    """The codec of the characters in `sources`.

    Args:
        sources: texts in UTF-8.
        vocab_size: keep the most frequent, ties by code point, so that `size` is at most this;
            0 keeps all.
        min_count: drop characters that are rarer.

    Raises:
        DataError: if a source is not UTF-8 or no character is left.
    """
    counts = np.zeros(0x110000, np.int64)
    for source in sources:
        found = np.bincount(_code_points(source.text()))
        counts[: len(found)] += found
    known = np.flatnonzero(counts >= min_count)
    if vocab_size:
        known = known[np.argsort(-counts[known], kind="stable")][: vocab_size - 1]
    if not known.size:
        raise DataError(f"no character occurs {min_count} times in the text; lower min_count")
    return CharCodec("".join(map(chr, sorted(known.tolist()))))
