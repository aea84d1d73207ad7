"""Sentences as token ids, and the two vocabularies of a translation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.base import FORMAT, TextCodec, TokenIds, has_surrogate
from loopwise.codec.bpe import BpeCodec
from loopwise.codec.bpe_dropout import encode_with_dropout
from loopwise.codec.chars import CharCodec
from loopwise.codec.corpus import Source
from loopwise.codec.numbers import is_integer
from loopwise.codec.text import codec_from_json, train_codec
from loopwise.errors import ConfigError, DataError


class SentenceCodec:
    """Sentences to ids in ``[0, size)`` and back, by a text codec.

    A sentence is encoded as if a space stood before it, so that a word has the same tokens
    wherever it stands; one without any character has no tokens. `decode` gives the sentence back,
    as far as its characters or words are known; with words as the unit, single spaces stand
    between them.

    Args:
        text: the vocabulary.

    Attributes:
        unit: ``"bytes"``, ``"chars"``, ``"words"`` or ``"bpe"``.
        size: number of tokens.
        end: id that ends a sentence and stands before its first token; no sentence holds it.
        unknown: id of the unknown token, None if every sentence can be encoded.

    Raises:
        DataError: if characters are the unit, and the space or the newline is none of them.
    """

    def __init__(self, text: TextCodec):
        if isinstance(text, CharCodec) and not {" ", "\n"} <= set(text.characters):
            raise DataError(
                "codec 'chars': for sentences the vocabulary must have the space and the newline; "
                "raise vocab_size or lower min_count"
            )
        self.text = text
        self.unit = text.unit
        self.size = text.size
        self.end = text.start
        self.unknown = text.unknown

    def encode(self, sentence: str) -> NDArray[np.int32]:
        """The ids ``[T]`` of a sentence, without `end`.

        Raises:
            DataError: as `encode_all`.
        """
        return self.encode_all([sentence])[0]

    def encode_all(
        self, sentences: Sequence[str], *, dropout: float = 0.0, seed: int = 0
    ) -> list[NDArray[np.int32]]:
        """The ids ``[T]`` of each sentence, without `end`.

        Args:
            sentences: each without a newline.
            dropout: probability with which a merge of bpe is left out (Provilkov et al., 2020);
                for training, so that a word is seen in more than one segmentation.
            seed: what a positive `dropout` draws depends only on it.

        Raises:
            ConfigError: if `dropout` is not in 0 to 1, or is positive where the unit is not bpe.
            DataError: if a sentence is no string, or holds a newline or a lone surrogate.
        """
        _check_sentences("sentence", sentences)
        spaced = [" " + sentence if sentence else "" for sentence in sentences]
        if dropout:
            rows = self._with_dropout(spaced, dropout, seed)
        else:
            rows = self.text.encode_batch(spaced)
        return rows if self.unit != "words" else [self._without_end(row) for row in rows]

    def _with_dropout(
        self, texts: Sequence[str], dropout: float, seed: int
    ) -> list[NDArray[np.int32]]:
        if not 0 <= dropout <= 1:
            raise ConfigError(f"dropout={dropout}: must be in 0 to 1")
        if not isinstance(self.text, BpeCodec):
            raise ConfigError(
                f"dropout={dropout}: only unit 'bpe' has merges, unit {self.unit!r} needs 0"
            )
        return encode_with_dropout(self.text, texts, dropout, np.random.default_rng(seed))

    def _without_end(self, row: NDArray[np.int32]) -> NDArray[np.int32]:
        """A word of the text that is spelled as the end mark is an unknown word."""
        row[row == self.end] = cast(int, self.unknown)
        return row

    def decode(self, ids: TokenIds) -> str:
        """The sentence of ids ``[T]`` up to the first `end`; bytes not UTF-8 become U+FFFD.

        Raises:
            DataError: if an id is not in the vocabulary.
        """
        checked = self.text.checked(ids)
        length = checked.index(self.end) if self.end in checked else len(checked)
        return self.text.decode(checked[:length]).removeprefix(" ")

    def token(self, token_id: int) -> str:
        """One token in printable form; raises DataError if it is not in the vocabulary."""
        return self.text.token(token_id)

    @cached_property
    def starts(self) -> NDArray[np.bool_]:
        """Whether a token ``[V]`` begins a word, so that the one before it is complete.

        These are tokens that begin with a space, every token of a vocabulary of words, and `end`.
        """
        if self.unit == "words":
            return np.ones(self.size, np.bool_)
        starts = np.array([piece.startswith(" ") for piece in self._pieces])
        starts[self.end] = True
        return starts

    @cached_property
    def _pieces(self) -> list[str]:
        return [self.text.decode([i]) for i in range(self.size)]

    @cached_property
    def _blank(self) -> NDArray[np.bool_]:
        """Whether a token [V] is nothing but spaces."""
        return np.array([not piece.strip(" ") for piece in self._pieces])

    def words(self, ids: TokenIds) -> NDArray[np.int32]:
        """The word ``[T]``, counted from 0, that each of the ids ``[T]`` belongs to.

        Words stand between spaces, of which there may be several; these belong to the word that
        follows. An `end` counts as a word. What follows in `ids` changes no number before it.

        Raises:
            DataError: if an id is not in the vocabulary.
        """
        tokens = np.array(self.text.checked(ids), np.int64)
        if self.unit == "words" or not len(tokens):
            return np.arange(len(tokens), dtype=np.int32)
        begins = self.starts[tokens]
        begins[1:] &= ~self._blank[tokens[:-1]]
        begins[0] = True
        return np.cumsum(begins, dtype=np.int32) - 1

    def to_json(self) -> dict[str, Any]:
        """What `from_json` needs to rebuild this codec, as JSON values."""
        return self.text.to_json()

    @classmethod
    def from_json(cls, described: object) -> SentenceCodec:
        """The codec that `to_json` described.

        Args:
            described: JSON values, from a source that need not be trusted.

        Raises:
            DataError: if it cannot be one.
            MissingExtraError: if it is bpe and `tokenizers` is not installed.
        """
        return cls(codec_from_json(described))


def _check_sentences(name: str, sentences: Sequence[Any]) -> None:
    if isinstance(sentences, str):
        raise DataError(f"{name}s: must be a sequence of strings, not one string")
    for position, sentence in enumerate(sentences):
        if not isinstance(sentence, str):
            raise DataError(f"{name} {position}: must be a string, not {type(sentence).__name__}")
        if "\n" in sentence:
            at = sentence.index("\n")
            raise DataError(f"{name} {position}: a sentence is one line, character {at} ends it")
        if has_surrogate(sentence):
            raise DataError(f"{name} {position}: holds a lone surrogate, which is no character")


@dataclass(frozen=True)
class TranslationCodec:
    """The vocabularies of both sides.

    Attributes:
        source: of what is translated.
        target: of the translation; its ids are those that a model puts out.
        shared: whether both are one vocabulary: the target's tokens are the source's first ones.
    """

    source: SentenceCodec
    target: SentenceCodec
    shared: bool = False

    @classmethod
    def sharing(cls, vocabulary: SentenceCodec, outputs: int) -> TranslationCodec:
        """The codec of one vocabulary, whose first `outputs` tokens can stand in a translation.

        Raises:
            DataError: if a special token or a byte is not among these.
        """
        if not is_integer(outputs) or not 0 < outputs <= vocabulary.size:
            raise DataError(f"outputs={outputs!r}: must be in 1 to {vocabulary.size}")
        if outputs == vocabulary.size:
            return cls(vocabulary, vocabulary, shared=True)
        return cls(vocabulary, SentenceCodec(vocabulary.text.prefix(outputs)), shared=True)

    @property
    def unit(self) -> str:
        """What a token is on both sides: ``"bytes"``, ``"chars"``, ``"words"`` or ``"bpe"``."""
        return self.target.unit

    @property
    def outputs(self) -> int:
        """How many tokens can stand in a translation; their ids are the first ones."""
        return self.target.size

    def to_json(self) -> dict[str, Any]:
        """What `from_json` needs to rebuild this codec, as JSON values."""
        vocabularies = (
            {"shared": self.source.to_json(), "outputs": self.outputs}
            if self.shared
            else {"source": self.source.to_json(), "target": self.target.to_json()}
        )
        return {"format": FORMAT, "unit": "translation", **vocabularies}

    @classmethod
    def from_json(cls, described: object) -> TranslationCodec:
        """The codec that `to_json` described.

        Args:
            described: JSON values, from a source that need not be trusted.

        Raises:
            DataError: if the format or the unit is unknown, or a vocabulary is damaged.
            MissingExtraError: if it is bpe and `tokenizers` is not installed.
        """
        if not isinstance(described, dict):
            raise DataError(f"a codec is described by an object, not by {type(described).__name__}")
        described = cast(Mapping[str, Any], described)
        unit, version = described.get("unit"), described.get("format")
        if version != FORMAT or unit != "translation":
            raise DataError(
                f"codec format {version!r}, unit {unit!r}: translation needs {FORMAT} and "
                "'translation'"
            )
        if "shared" in described:
            vocabulary = SentenceCodec.from_json(described["shared"])
            return cls.sharing(vocabulary, cast(int, described.get("outputs")))
        source = SentenceCodec.from_json(described.get("source"))
        return cls(source, SentenceCodec.from_json(described.get("target")))


def train_translation_codec(
    sources: Sequence[str],
    targets: Sequence[str],
    *,
    unit: str = "bpe",
    joint: bool = True,
    vocab_size: int = 0,
    min_count: int = 1,
) -> TranslationCodec:
    """The codec with the vocabulary of some sentences and their translations.

    Args:
        sources: sentences, each without a newline.
        targets: their translations.
        unit: ``"bytes"``, ``"chars"``, ``"words"`` or ``"bpe"``.
        joint: learn one vocabulary on both sides together (Sennrich et al., 2016), in which the
            tokens come first that can stand in a translation: those of the encoded targets, with
            bpe also bytes and what they are merged from, so that any text can be encoded.
        vocab_size: largest number of tokens, of each side unless joint; 0 for no limit, which for
            bpe means 8000.
        min_count: leave out units (for bpe: merged pairs) that occur less often; at least 1.

    Raises:
        ConfigError: if `unit` is unknown or an option does not fit it.
        DataError: if a sentence holds a newline or a lone surrogate, or no unit is left.
        MissingExtraError: if bpe is asked for and `tokenizers` is not installed.
    """
    left, right = _corpus("source", sources), _corpus("target", targets)
    if not joint:
        source, target = (
            SentenceCodec(train_codec(unit, [text], vocab_size=vocab_size, min_count=min_count))
            for text in (left, right)
        )
        return TranslationCodec(source, target)
    text = train_codec(unit, [left, right], vocab_size=vocab_size, min_count=min_count)
    return _targets_first(SentenceCodec(text), targets)


def _corpus(name: str, sentences: Sequence[str]) -> Source:
    """The sentences as they are encoded, line by line."""
    _check_sentences(name, sentences)
    lines = "".join(f" {sentence}\n" for sentence in sentences)
    return Source(f"{name} sentences", lines.encode("utf-8"))


def _targets_first(codec: SentenceCodec, targets: Sequence[str]) -> TranslationCodec:
    """The codec with ids by whether the targets need them; special tokens are the very first."""
    special = np.zeros(codec.size, np.bool_)
    special[[codec.end] if codec.unknown is None else [codec.end, codec.unknown]] = True
    used = special.copy()
    for row in codec.encode_all(targets):
        used[row] = True
    needed = codec.text.needed(used)
    if needed.all():
        return TranslationCodec.sharing(codec, codec.size)
    order = np.lexsort((~special, ~needed))
    vocabulary = SentenceCodec(codec.text.reordered(order.tolist()))
    return TranslationCodec.sharing(vocabulary, int(needed.sum()))
