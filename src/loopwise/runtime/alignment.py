"""What a translation looked at: attention as a table, and by words."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.sentences import SentenceCodec, TranslationCodec
from loopwise.runtime.modules import Ids


@dataclass(frozen=True, eq=False)
class Alignment:
    """Attention between a translation and its source.

    Attributes:
        source: the source's tokens in printable form, S of them.
        target: the translation's, T of them.
        weights: [T, S], where each token looked; rows sum to 1.
        source_words: [S], the word that each token belongs to, from 0.
        target_words: [T], likewise.
    """

    source: list[str]
    target: list[str]
    weights: NDArray[Any]
    source_words: NDArray[np.int32]
    target_words: NDArray[np.int32]

    @classmethod
    def of(
        cls, codec: TranslationCodec, source: Ids, target: Ids, weights: NDArray[Any]
    ) -> "Alignment":
        """The alignment of token ids [S] and [T] by attention [T, S]."""
        return cls(
            _tokens(codec.source, source),
            _tokens(codec.target, target),
            weights,
            codec.source.words(source),
            codec.target.words(target),
        )

    @property
    def by_words(self) -> NDArray[Any]:
        """[T', S'] of words: the sum over a source word's tokens, the mean of a target word's."""
        source = _membership(self.source_words)
        target = _membership(self.target_words)
        count = target.sum(0)[:, None]
        return target.T @ self.weights @ source / np.maximum(count, 1)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """For each word of the translation its place and that of the word it looked at most."""
        table = self.by_words
        return [(t, int(row.argmax())) for t, row in enumerate(table)] if table.size else []

    def __str__(self) -> str:
        """As Pharaoh had it: ``source-target`` pairs of places, from 0."""
        return " ".join(f"{s}-{t}" for t, s in self.pairs)


def with_source_words(
    codec: TranslationCodec, source: str, target: Ids, alignment: Alignment
) -> str:
    """The text of a translation by words, the unknown ones replaced by those that they looked at.

    Luong et al. 2015 (arXiv:1410.8206), with attention as the alignment.
    """
    unknown, places = codec.target.unknown, alignment.weights.argmax(axis=1)
    words = source.split()
    return " ".join(
        words[int(alignment.source_words[place])]
        if token == unknown
        else codec.target.text.decode([int(token)])
        for token, place in zip(target, places, strict=True)
    )


def _tokens(codec: SentenceCodec, ids: Ids) -> list[str]:
    return [codec.token(int(i)) for i in ids]


def _membership(words: NDArray[np.int32]) -> NDArray[Any]:
    """[N, W], 1 where a token belongs to a word."""
    count = int(words.max(initial=-1)) + 1
    return (words[:, None] == np.arange(count)).astype(np.float64)
