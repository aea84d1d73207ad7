"""Tokens that are words between white space, with a mark at the end of each line."""

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
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

UNKNOWN_WORD = "<unk>"
END_OF_LINE = "<eos>"
_SPECIAL = (UNKNOWN_WORD, END_OF_LINE)
_UNK, _EOS = range(len(_SPECIAL))


class WordCodec(TextCodec):
    """Words as `str.split` finds them in each line, and ``<eos>`` for the end of a line.

    Lines without a word are left out. `encode` ends the last line of a source even where its
    newline is missing; `encode_text` does not, so that a prompt can be continued.
    This is the counting of Mikolov's Penn Treebank (Mikolov et al., 2010).

    Args:
        words: the vocabulary, ``<unk>`` and ``<eos>`` first.

    Raises:
        DataError: if a word is repeated, holds white space or a lone surrogate, or is no string,
            or if ``<unk>`` and ``<eos>`` do not come first.
    """

    unit = "words"

    def __init__(self, words: Sequence[str]):
        self.words = tuple(words)
        _check(self.words)
        self.size = len(self.words)
        self.start = _EOS
        self.unknown = _UNK
        self._ids = {word: i for i, word in enumerate(self.words)}

    @classmethod
    def from_json(cls, described: Mapping[str, Any]) -> "WordCodec":
        """The codec that `to_json` described; raises DataError if it cannot be one."""
        return cls(json_field(described, "words", list))

    def encode(self, source: Source) -> NDArray[np.int32]:
        """The ids ``[T]`` of the words, with ``<eos>`` after every line."""
        return self.encode_text(source.text() + "\n")

    def encode_text(self, text: str) -> NDArray[np.int32]:
        """The ids ``[T]``, with ``<eos>`` only where a line has its newline."""
        ids, known, unknown = array("i"), self._ids, _UNK
        *lines, rest = text.split("\n")
        for words in _word_lines(lines):
            ids.extend([known.get(word, unknown) for word in words])
            ids.append(_EOS)
        ids.extend([known.get(word, unknown) for word in rest.split()])
        return np.array(ids, np.int32)

    def count_unknown(self, source: Source, ids: NDArray[np.integer[Any]]) -> int:
        """How many words are not in the vocabulary; ``<unk>`` where the text has it is."""
        return super().count_unknown(source, ids) - source.text().split().count(UNKNOWN_WORD)

    def reordered(self, order: Sequence[int]) -> "WordCodec":
        """The codec with other ids; 0 and 1 stay."""
        return WordCodec([self.words[i] for i in order])

    def prefix(self, size: int) -> "WordCodec":
        """The codec of the first `size` words; at least 2."""
        return WordCodec(self.words[:size])

    def decode(self, ids: TokenIds) -> str:
        """The words joined by a space, with a newline for ``<eos>``."""
        decoder = self.decoder()
        return "".join([decoder.push(i) for i in self.checked(ids)])

    def token(self, token_id: int) -> str:
        """The word itself, or ``<unk>`` or ``<eos>``."""
        return printable(self.words[self.checked_id(token_id)])

    def decoder(self, after: str = "") -> StreamDecoder:
        """A decoder; the space comes with the word that follows it, unless `after` ends in one."""
        return _WordDecoder(self, after_word=bool(after) and not after[-1].isspace())

    def vocabulary_json(self) -> dict[str, Any]:
        """The `words`, in the order of the ids."""
        return {"words": list(self.words)}


def _check(words: tuple[Any, ...]) -> None:
    if words[: len(_SPECIAL)] != _SPECIAL:
        raise DataError(f"codec 'words': the vocabulary must begin with {' and '.join(_SPECIAL)}")
    seen: set[str] = set()
    for i, word in enumerate(words):
        is_word = isinstance(word, str) and word.split() == [word] and not has_surrogate(word)
        if not is_word or word in seen:
            raise DataError(f"codec 'words': entry {i}, {word!r}, is no word or is repeated")
        seen.add(word)


def _word_lines(lines: Sequence[str]) -> Iterator[list[str]]:
    return filter(None, map(str.split, lines))


class _WordDecoder(StreamDecoder):
    def __init__(self, codec: WordCodec, *, after_word: bool = False):
        self._codec = codec
        self._after_word = after_word

    def push(self, token_id: int) -> str:
        word = self._codec.words[self._codec.checked_id(token_id)]
        if token_id == _EOS:
            self._after_word = False
            return "\n"
        space = " " if self._after_word else ""
        self._after_word = True
        return space + word

    def finish(self) -> str:
        self._after_word = False
        return ""


def train_words(sources: Sequence[Source], vocab_size: int, min_count: int) -> WordCodec:
    """The codec of the words in `sources`, by falling frequency, then by alphabet.

    Args:
        sources: texts in UTF-8.
        vocab_size: keep the first words so that `size`, with ``<unk>`` and ``<eos>``, is at most
            this; 0 keeps all.
        min_count: drop words that are rarer.

    Raises:
        DataError: if a source is not UTF-8 or no word is left.
    """
    counts: Counter[str] = Counter()
    for source in sources:
        counts.update(chain.from_iterable(_word_lines(source.text().split("\n"))))
    for special in _SPECIAL:
        counts.pop(special, None)
    known = [word for word, count in counts.items() if count >= min_count]
    if not known:
        raise DataError(f"no word occurs {min_count} times in the text; lower min_count")
    known.sort(key=lambda word: (-counts[word], word))
    kept = known[: vocab_size - len(_SPECIAL)] if vocab_size else known
    return WordCodec([*_SPECIAL, *kept])
