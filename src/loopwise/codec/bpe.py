"""Tokens by byte-level byte pair encoding (Sennrich et al., 2016), through `tokenizers`."""

from __future__ import annotations

import io
import json
from array import array
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, cast

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

# Our decoding does not need the decoder; other readers of the JSON do.
_BYTE_LEVEL = {"type": "ByteLevel", "trim_offsets": True, "use_regex": True}
_FIXED = {
    "version": "1.0",
    "truncation": None,
    "padding": None,
    "added_tokens": [],
    "normalizer": None,
    "pre_tokenizer": {**_BYTE_LEVEL, "add_prefix_space": False},
    "post_processor": None,
    "decoder": {**_BYTE_LEVEL, "add_prefix_space": True},
}
_FIXED_MODEL = {
    "type": "BPE",
    "dropout": None,
    "unk_token": None,
    "continuing_subword_prefix": None,
    "end_of_word_suffix": None,
    "fuse_unk": False,
    "byte_fallback": False,
    "ignore_merges": False,
}


class BpeCodec(ByteLevelCodec):
    r"""Byte-level BPE as in GPT-2, line by line, so that no token reaches beyond a ``\n``.

    Args:
        tokenizer_json: a tokenizer in the JSON of the package `tokenizers`, as `train_bpe` makes
            it. Only the vocabulary and the merges are free.

    Raises:
        MissingExtraError: if `tokenizers` is not installed.
        DataError: if the string is anything else, or if its tokens do not cover every byte.
    """

    unit = "bpe"

    def __init__(self, tokenizer_json: str):
        vocabulary, merges = _parse(tokenizer_json)
        pieces = _pieces(vocabulary)
        _check_merges(vocabulary, merges)
        super().__init__(pieces, start=pieces.index(b"\n"))
        self._vocabulary, self._merges = vocabulary, merges
        self._json = _described(vocabulary, merges)
        self._tokenizer = _load(self._json)

    @classmethod
    def from_json(cls, described: Mapping[str, Any]) -> BpeCodec:
        """The codec that `to_json` described; raises DataError if it cannot be one."""
        return cls(json_field(described, "tokenizer", str))

    def encode_text(self, text: str) -> NDArray[np.int32]:
        r"""The ids ``[T]``; the text up to a ``\n`` encodes alike whatever follows."""
        encode_utf8(text)  # tokenizers would fail on a lone surrogate without saying where
        ids, lines = array("i"), _lines(text)
        while batch := list(islice(lines, _LINES_AT_ONCE)):
            for line in self._tokenizer.encode_batch_fast(batch, add_special_tokens=False):
                ids.extend(line.ids)
        return np.array(ids, np.int32)

    def encode_batch(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """The ids ``[T]`` of each text; a text must be one line at most."""
        if any("\n" in text for text in texts):
            return super().encode_batch(texts)
        for text in texts:
            encode_utf8(text)
        encoded = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [np.array(line.ids, np.int32) for line in encoded]

    def encode_chunks(self, texts: Sequence[str]) -> list[tuple[list[int], list[int]]]:
        """The ids ``[T]`` of each text, and the number ``[T]`` of the chunk that each belongs to.

        Chunks are what no token reaches beyond: words, numbers, punctuation. Within a text their
        numbers rise. A text must be in one line.
        """
        for text in texts:
            encode_utf8(text)
        encoded = self._tokenizer.encode_batch(texts, add_special_tokens=False)
        return [(line.ids, cast(list[int], line.word_ids)) for line in encoded]

    @cached_property
    def merges(self) -> list[tuple[int, int, int]]:
        """The merges, first the one that is made first: two ids, and that of both together."""
        ids = self._vocabulary
        return [(ids[left], ids[right], ids[left + right]) for left, right in self._merges]

    def needed(self, used: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Those `used`, every token that is merged into one of them, and all bytes."""
        lengths = np.array([len(piece) for piece in self.pieces])
        needed = used | (lengths == 1)
        longest_first = sorted(self.merges, key=lambda merge: lengths[merge[2]], reverse=True)
        for left, right, merged in longest_first:
            if needed[merged]:
                needed[left] = needed[right] = True
        return needed

    def reordered(self, order: Sequence[int]) -> BpeCodec:
        """The codec with other ids and the same merges."""
        tokens = sorted(self._vocabulary, key=self._vocabulary.__getitem__)
        vocabulary = {tokens[old]: new for new, old in enumerate(order)}
        return BpeCodec(_described(vocabulary, self._merges))

    def prefix(self, size: int) -> BpeCodec:
        """The codec of the ids below `size`, and of the merges of these; with all bytes."""
        vocabulary = {token: i for token, i in self._vocabulary.items() if i < size}
        merges = [
            strings
            for strings, ids in zip(self._merges, self.merges, strict=True)
            if max(ids) < size
        ]
        return BpeCodec(_described(vocabulary, merges))

    def vocabulary_json(self) -> dict[str, Any]:
        """The `tokenizer`, in the JSON of the package `tokenizers`."""
        return {"tokenizer": self._json}


def _described(vocabulary: Any, merges: Any) -> str:
    """The JSON of a tokenizer, the same whatever version of `tokenizers` trained it."""
    model = {**_FIXED_MODEL, "vocab": vocabulary, "merges": merges}
    return json.dumps({**_FIXED, "model": model}, ensure_ascii=False, separators=(",", ":"))


def _parse(tokenizer_json: str) -> tuple[dict[str, int], list[list[str]]]:
    """The vocabulary and the merges, after a check of all else.

    `tokenizers` must see nothing from a stranger: some options let it abort the whole process.
    """
    try:
        described: Any = json.loads(tokenizer_json)
        model = described.pop("model")
        vocabulary, merges = model.pop("vocab"), model.pop("merges")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DataError(f"codec 'bpe': 'tokenizer' is not a tokenizer ({error!r})") from None
    for given, fixed in ((described, _FIXED), (model, _FIXED_MODEL)):
        for key in sorted(given.keys() | fixed.keys()):
            if key not in given or key not in fixed or given[key] != fixed[key]:
                raise DataError(f"codec 'bpe': {key!r} of the tokenizer is not as loopwise sets it")
    return vocabulary, merges


def _pieces(vocabulary: Any) -> list[bytes]:
    """The bytes of each token, in the order of the ids."""
    if not isinstance(vocabulary, dict):
        raise DataError("codec 'bpe': the vocabulary of the tokenizer is not an object")
    ids = cast(dict[str, Any], vocabulary)
    if any(type(i) is not int for i in ids.values()) or sorted(ids.values()) != [*range(len(ids))]:
        raise DataError("codec 'bpe': the ids of the tokenizer are not 0, 1, 2, ...")
    alphabet = {char: value for value, char in enumerate(_byte_alphabet())}
    try:
        tokens = sorted(ids, key=ids.__getitem__)
        pieces = [bytes([alphabet[char] for char in token]) for token in tokens]
    except KeyError as error:
        raise DataError(f"codec 'bpe': {error} in a token stands for no byte") from None
    missing = {bytes([value]) for value in range(_ALPHABET_SIZE)} - set(pieces)
    if missing:
        raise DataError(f"codec 'bpe': {len(missing)} bytes have no token, {min(missing)!r} first")
    if b"" in pieces:
        raise DataError("codec 'bpe': a token is empty")
    return pieces


def _check_merges(vocabulary: Mapping[str, int], merges: Any) -> None:
    if not isinstance(merges, list):
        raise DataError("codec 'bpe': the merges of the tokenizer are not a list")
    for n, merge in enumerate(cast(list[Any], merges)):
        match merge:
            case [str(left), str(right)] if {left, right, left + right} <= vocabulary.keys():
                pass
            case _:
                raise DataError(f"codec 'bpe': merge {n}, {merge!r}, is no pair that makes a token")


def _load(tokenizer_json: str) -> Tokenizer:
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise MissingExtraError("text", "The codec 'bpe'") from None
    return Tokenizer.from_str(tokenizer_json)


def _lines(text: str) -> Iterator[str]:
    r"""The lines with their ends; unlike `str.splitlines`, only ``\n`` ends one."""
    return iter(io.StringIO(text, newline="\n"))


def _byte_alphabet() -> list[str]:
    """The visible character for each byte, as in GPT-2 (`bytes_to_unicode`)."""
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(_ALPHABET_SIZE, 2 * _ALPHABET_SIZE))
    return [chr(value if value in visible else next(others)) for value in range(_ALPHABET_SIZE)]


def train_bpe(sources: Sequence[Source], vocab_size: int, min_count: int) -> BpeCodec:
    """The codec that merges the most frequent pairs in `sources`.

    Args:
        sources: texts in UTF-8.
        vocab_size: largest `size`, at least 256; 0 stands for 8000.
        min_count: a pair that is rarer is not merged.

    Raises:
        DataError: if a source is not UTF-8.
        MissingExtraError: if `tokenizers` is not installed.
    """
    try:
        from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    except ImportError:
        raise MissingExtraError("text", "The codec 'bpe'") from None
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size or DEFAULT_SIZE,
        min_frequency=min_count,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    lines = chain.from_iterable(_lines(source.text()) for source in sources)
    tokenizer.train_from_iterator(lines, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return BpeCodec(_described(model["vocab"], model["merges"]))
