"""Tokens that are pieces of bytes: any text can be encoded, and decoding puts UTF-8 together."""

import codecs
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.base import StreamDecoder, TextCodec, TokenIds, encode_utf8, printable
from loopwise.codec.corpus import Source
from loopwise.errors import DataError


class ByteLevelCodec(TextCodec):
    """A codec whose token `i` stands for the bytes ``pieces[i]``."""

    def __init__(self, pieces: Sequence[bytes], start: int):
        self.pieces = tuple(pieces)
        self.size = len(self.pieces)
        self.start = start
        self.unknown = None

    def decode(self, ids: TokenIds) -> str:
        """The text of ids ``[T]``; what is not UTF-8 becomes U+FFFD."""
        pieces = self.pieces
        return b"".join([pieces[i] for i in self.checked(ids)]).decode("utf-8", "replace")

    def token(self, token_id: int) -> str:
        r"""The text of the token, a byte of a split character as ``\xc3``."""
        piece = self.pieces[self.checked_id(token_id)]
        return printable(piece.decode("utf-8", "backslashreplace"))

    def decoder(self, after: str = "") -> StreamDecoder:
        """A decoder that holds back incomplete characters; none is left in the text `after`."""
        del after
        return _Utf8Decoder(self)


class _Utf8Decoder(StreamDecoder):
    """Holds back the bytes of a character until it is complete or known to be broken."""

    def __init__(self, codec: ByteLevelCodec):
        self._codec = codec
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token_id: int) -> str:
        return self._utf8.decode(self._codec.pieces[self._codec.checked_id(token_id)])

    def finish(self) -> str:
        return self._utf8.decode(b"", final=True)


class ByteCodec(ByteLevelCodec):
    """The 256 bytes, so that any input is legal; `start` is the newline, 10."""

    unit = "bytes"

    def __init__(self):
        super().__init__([bytes([value]) for value in range(256)], start=ord("\n"))

    @classmethod
    def from_json(cls, described: Mapping[str, Any]) -> "ByteCodec":
        """The codec; there is nothing to read."""
        del described
        return cls()

    def encode(self, source: Source) -> NDArray[np.int32]:
        """The ids ``[T]``, the bytes themselves; UTF-8 or not."""
        return self.encode_bytes(source.data)

    def encode_text(self, text: str) -> NDArray[np.int32]:
        """The ids ``[T]``, the bytes of the text in UTF-8."""
        return self.encode_bytes(encode_utf8(text))

    def encode_bytes(self, data: bytes) -> NDArray[np.int32]:
        """The ids ``[T]``, the bytes themselves; UTF-8 or not."""
        return np.frombuffer(data, np.uint8).astype(np.int32)

    def needed(self, used: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Every byte."""
        return np.ones_like(used)

    def reordered(self, order: Sequence[int]) -> "ByteCodec":
        """This codec; bytes have no other order."""
        if list(order) != list(range(self.size)):
            raise DataError("codec 'bytes': a byte is its own id")
        return self

    def prefix(self, size: int) -> "ByteCodec":
        """This codec; `size` is 256."""
        if size != self.size:
            raise DataError(f"codec 'bytes': there are {self.size} bytes, not {size}")
        return self

    def vocabulary_json(self) -> dict[str, Any]:
        """Nothing: there is only one such codec."""
        return {}
