"""Tokens by byte-level byte pair encoding (Sennrich et al., 2016), through `tokenizers`."""

from __future__ import annotations

import io
from array import array
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.base import encode_utf8, json_field
from loopwise.codec.bytelevel import ByteLevelCodec
from loopwise.codec.corpus import Source
from loopwise.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

DEFAULT_SIZE = 8000
_ALPHABET_SIZE = 256
_LINES_AT_ONCE = 4096  # bounds the memory of a batch; the result does not depend on it


class BpeCodec(ByteLevelCodec):
    r"""Byte-level BPE as in GPT-2, line by line, so that no token reaches beyond a ``\n``.

    Args:
        tokenizer_json: what ``Tokenizer.to_str`` of the package `tokenizers` gave.

    Raises:
        MissingExtraError: if `tokenizers` is not installed.
        DataError: if the string is no tokenizer, or not one whose tokens cover every byte.
    """

    unit = "bpe"

    def __init__(self, tokenizer_json: str):
        self._tokenizer = _load(tokenizer_json)
        self._json = tokenizer_json
        pieces = _pieces(self._tokenizer)
        super().__init__(pieces, start=pieces.index(b"\n"))

    @classmethod
    def from_json(cls, described: Mapping[str, Any]) -> BpeCodec:
        """Return the codec that `to_json` described; raises DataError if it cannot be one."""
        return cls(json_field(described, "tokenizer", str))

    def encode_text(self, text: str) -> NDArray[np.int32]:
        r"""Return the ids ``[T]``; the text up to a ``\n`` encodes alike whatever follows."""
        encode_utf8(text)  # tokenizers would fail on a lone surrogate without saying where
        ids, lines = array("i"), _lines(text)
        while batch := list(islice(lines, _LINES_AT_ONCE)):
            for line in self._tokenizer.encode_batch_fast(batch, add_special_tokens=False):
                ids.extend(line.ids)
        return np.array(ids, np.int32)

    def vocabulary_json(self) -> dict[str, Any]:
        """Return the `tokenizer`, in the JSON of the package `tokenizers`."""
        return {"tokenizer": self._json}


def _load(tokenizer_json: str) -> Tokenizer:
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise MissingExtraError("text", "The codec 'bpe'") from None
    try:
        return Tokenizer.from_str(tokenizer_json)
    except Exception as error:  # the package raises nothing more specific
        raise DataError(f"codec 'bpe': 'tokenizer' is not a tokenizer ({error})") from error


def _lines(text: str) -> Iterator[str]:
    r"""Return the lines with their ends; unlike `str.splitlines`, only ``\n`` ends one."""
    return iter(io.StringIO(text, newline="\n"))


def _pieces(tokenizer: Tokenizer) -> list[bytes]:
    """Return the bytes of each token, in the order of the ids."""
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    if [i for _, i in vocabulary] != list(range(len(vocabulary))):
        raise DataError("codec 'bpe': the ids of the tokenizer are not 0, 1, 2, ...")
    alphabet = {char: value for value, char in enumerate(_byte_alphabet())}
    try:
        pieces = [bytes([alphabet[char] for char in token]) for token, _ in vocabulary]
    except KeyError as error:
        raise DataError(f"codec 'bpe': {error} in a token stands for no byte") from None
    missing = {bytes([value]) for value in range(_ALPHABET_SIZE)} - set(pieces)
    if missing:
        raise DataError(f"codec 'bpe': {len(missing)} bytes have no token, {min(missing)!r} first")
    return pieces


def _byte_alphabet() -> list[str]:
    """Return the visible character for each byte, as in GPT-2 (`bytes_to_unicode`)."""
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(_ALPHABET_SIZE, 2 * _ALPHABET_SIZE))
    return [chr(value if value in visible else next(others)) for value in range(_ALPHABET_SIZE)]


def train_bpe(sources: Sequence[Source], vocab_size: int, min_count: int) -> BpeCodec:
    """Return the codec that merges the most frequent pairs in `sources`.

    Args:
        sources: texts in UTF-8.
        vocab_size: largest `size`, at least 256; 0 stands for 8000.
        min_count: a pair that is rarer is not merged.

    Raises:
        DataError: if a source is not UTF-8.
        MissingExtraError: if `tokenizers` is not installed.
    """
    try:
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    except ImportError:
        raise MissingExtraError("text", "The codec 'bpe'") from None
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()  # ours does not need it; other readers of the JSON do
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size or DEFAULT_SIZE,
        min_frequency=min_count,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    lines = chain.from_iterable(_lines(source.text()) for source in sources)
    tokenizer.train_from_iterator(lines, trainer)
    return BpeCodec(tokenizer.to_str())
