"""Measures of a language model, from its total negative log likelihood."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.base import TextCodec
from loopwise.codec.corpus import Source
from loopwise.errors import DataError


def perplexity(nats_per_token: float) -> float:
    """``exp`` of the mean negative log likelihood of a token; inf where that overflows."""
    try:
        return math.exp(nats_per_token)
    except OverflowError:
        return math.inf


def bits(nats: float) -> float:
    """Nats in bits."""
    return nats / math.log(2)


@dataclass(frozen=True)
class TextScore:
    """What a model thought of a text; scores of parts add up to the score of the whole.

    A ratio of an empty score is NaN. ``TextScore()`` is the score of nothing, for `sum`.

    Attributes:
        nats: negative log likelihood of the text, summed over its tokens.
        tokens: number of tokens predicted.
        characters: number of Unicode code points in the text.
        bytes: number of bytes of the text in UTF-8.
        unknown: number of tokens that were not in the vocabulary.
    """

    nats: float = 0.0
    tokens: int = 0
    characters: int = 0
    bytes: int = 0
    unknown: int = 0

    @property
    def perplexity(self) -> float:
        """Perplexity per token, at least 1."""
        return perplexity(_ratio(self.nats, self.tokens))

    @property
    def bits_per_character(self) -> float:
        """Bits per Unicode code point; comparable between codecs where `unknown` is 0."""
        return _ratio(bits(self.nats), self.characters)

    @property
    def bits_per_byte(self) -> float:
        """Bits per byte of UTF-8; comparable between codecs where `unknown` is 0."""
        return _ratio(bits(self.nats), self.bytes)

    @property
    def unknown_rate(self) -> float:
        """Share of tokens that were not in the vocabulary, 0 to 1."""
        return _ratio(self.unknown, self.tokens)

    def __add__(self, other: "TextScore") -> "TextScore":
        return TextScore(
            self.nats + other.nats,
            self.tokens + other.tokens,
            self.characters + other.characters,
            self.bytes + other.bytes,
            self.unknown + other.unknown,
        )


def score_of(
    codec: TextCodec, source: Source, ids: NDArray[np.integer[Any]], nats: float
) -> TextScore:
    """The score of a whole source.

    Args:
        codec: what made the tokens.
        source: the text.
        ids: its tokens, [T].
        nats: their negative log likelihood, summed.

    Raises:
        DataError: there is no token in the text.
    """
    if not len(ids):
        raise DataError(f"{source.name}: no {codec.unit} in it, there is nothing to score")
    return TextScore(
        nats=nats,
        tokens=len(ids),
        characters=source.characters,
        bytes=len(source.data),
        unknown=codec.count_unknown(source, ids),
    )


def _ratio(total: float, count: int) -> float:
    return total / count if count else math.nan
