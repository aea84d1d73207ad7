"""What every text codec offers: text to token ids and back."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.corpus import Source
from loopwise.errors import DataError

FORMAT = 1

TokenIds: TypeAlias = Sequence[int] | NDArray[np.integer[Any]]

_T = TypeVar("_T")


class StreamDecoder(ABC):
    """Turns token ids into text one at a time.

    The pieces of `push` and the last one of `finish`, joined, equal `TextCodec.decode` of all ids.
    """

    @abstractmethod
    def push(self, token_id: int) -> str:
        """Take one token and return the text that became certain, possibly none.

        Raises:
            DataError: if the id is not in the vocabulary.
        """

    @abstractmethod
    def finish(self) -> str:
        """End the text and return what was held back; the decoder is then as new."""


class TextCodec(ABC):
    """A tokenizer: text to ids in ``[0, size)`` and back.

    Attributes:
        unit: ``"bytes"``, ``"chars"``, ``"words"`` or ``"bpe"``.
        size: number of tokens in the vocabulary.
        start: id that stands before a text: the newline, or ``<eos>`` for words.
        unknown: id of the unknown token, None if every text can be encoded.
    """

    unit: ClassVar[str]
    size: int
    start: int
    unknown: int | None

    def encode(self, source: Source) -> NDArray[np.int32]:
        """The ids ``[T]`` of a whole text.

        Raises:
            DataError: if the codec needs UTF-8 and the source is not; names the offset.
        """
        return self.encode_text(source.text())

    @abstractmethod
    def encode_text(self, text: str) -> NDArray[np.int32]:
        """The ids ``[T]`` of a piece of text, such as a prompt.

        Raises:
            DataError: if the text holds a lone surrogate, which is no character, and the codec
                works on bytes.
        """

    def encode_batch(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """The ids ``[T]`` of each text, as those of `encode_text`."""
        return [self.encode_text(text) for text in texts]

    def encode_bytes(self, data: bytes) -> NDArray[np.int32]:
        """The ids ``[T]`` of a piece of text in UTF-8, as those of `encode_text`.

        Raises:
            DataError: if the codec needs UTF-8 and the data is not; names the offset.
        """
        return self.encode_text(Source("text", data).text())

    def count_unknown(self, source: Source, ids: NDArray[np.integer[Any]]) -> int:
        """How many of the `ids` of a source stand for what is not in the vocabulary."""
        return 0 if self.unknown is None else int(np.count_nonzero(ids == self.unknown))

    def needed(self, used: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The tokens ``[V]`` without which those ``[V]`` that are `used` could not be had."""
        return used

    @abstractmethod
    def reordered(self, order: Sequence[int]) -> "TextCodec":
        """This codec with other ids: what was ``order[i]`` becomes `i`.

        Args:
            order: each id once. Those of special tokens, and bytes, cannot change.

        Raises:
            DataError: if they would.
        """

    @abstractmethod
    def prefix(self, size: int) -> "TextCodec":
        """The codec that has only the ids below `size`, so that its ids are also this codec's.

        Raises:
            DataError: if it would lack a special token or a byte.
        """

    @abstractmethod
    def decode(self, ids: TokenIds) -> str:
        """The text of ids ``[T]``; bytes that are not UTF-8 become U+FFFD.

        Raises:
            DataError: if an id is not in the vocabulary.
        """

    @abstractmethod
    def token(self, token_id: int) -> str:
        r"""One token in printable form, such as ``the``, ``\n`` or ``\xc3``.

        Raises:
            DataError: if the id is not in the vocabulary.
        """

    @abstractmethod
    def decoder(self, after: str = "") -> StreamDecoder:
        """A decoder of what stands behind the text `after`, such as a prompt."""

    def to_json(self) -> dict[str, Any]:
        """What `codec_from_json` needs to rebuild this codec, as JSON values."""
        return {"format": FORMAT, "unit": self.unit, **self.vocabulary_json()}

    @abstractmethod
    def vocabulary_json(self) -> dict[str, Any]:
        """The part of `to_json` that is particular to the unit."""

    def checked(self, ids: TokenIds) -> list[int]:
        """Ids ``[T]`` as a list.

        Raises:
            DataError: if one is not an integer in ``[0, size)``; names its position.
        """
        array = np.asarray(ids)
        if array.size == 0:
            return []
        if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
            raise DataError(
                f"token ids must be a vector of integers, not {array.dtype} {list(array.shape)}"
            )
        wrong = np.flatnonzero((array < 0) | (array >= self.size))
        if wrong.size:
            position = int(wrong[0])
            raise self._outside(int(array[position]), f" at position {position}")
        return array.tolist()

    def checked_id(self, token_id: int) -> int:
        """The id; raises DataError if it is not in ``[0, size)``."""
        if not 0 <= token_id < self.size:
            raise self._outside(token_id)
        return token_id

    def _outside(self, token_id: int, where: str = "") -> DataError:
        return DataError(
            f"token id {token_id}{where} is not in the vocabulary; unit {self.unit!r} here has "
            f"ids 0 to {self.size - 1}"
        )


def encode_utf8(text: str) -> bytes:
    """The text as UTF-8; raises DataError if it holds a lone surrogate."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            f"text: character {error.start} is the lone surrogate "
            f"U+{ord(text[error.start]):04X}, which UTF-8 cannot hold"
        ) from None


def has_surrogate(text: str) -> bool:
    """Whether the text holds a lone surrogate, which JSON can spell but no text file can hold."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def printable(text: str) -> str:
    r"""The text with characters that cannot be printed as escapes such as ``\n``."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def read_unit(described: object, known: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The unit of a codec's description, which is one of those known, and the description.

    Raises:
        DataError: it is of another format or unit.
    """
    if not isinstance(described, dict):
        raise DataError(f"a codec is described by an object, not by {type(described).__name__}")
    described = cast(dict[str, Any], described)
    unit, version = described.get("unit"), described.get("format")
    if version != FORMAT:
        raise DataError(f"codec format {version!r} is unknown; this version reads {FORMAT}")
    if not isinstance(unit, str) or unit not in known:
        raise DataError(f"codec unit {unit!r} is unknown; known are {', '.join(known)}")
    return unit, described


def json_field(described: Mapping[str, Any], key: str, kind: type[_T]) -> _T:
    """``described[key]``; raises DataError if it is missing or not of this kind."""
    value = described.get(key)
    if not isinstance(value, kind):
        found = f"is of type {type(value).__name__}" if key in described else "is missing"
        raise DataError(
            f"codec {described.get('unit')!r}: {key!r} {found}; it must be a {kind.__name__}"
        )
    return value
