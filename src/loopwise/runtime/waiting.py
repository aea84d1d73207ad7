"""What a word of a translation may see of a source that is still coming (Ma et al. 2019)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.sentences import TranslationCodec
from loopwise.errors import ConfigError
from loopwise.runtime.description import TranslatorDescription
from loopwise.runtime.modules import Ids


def require_wait(description: TranslatorDescription, wait: int) -> None:
    """Raise ConfigError unless a network can translate word by word, and wait for `wait` words."""
    if any(layer.bidirectional for layer in description.encoder) or description.start == "mean":
        raise ConfigError(
            "this translator reads the whole sentence before its first word; train one with "
            "model.wait=3 and model.bidirectional=false to translate word by word"
        )
    if wait < 1:
        raise ConfigError(f"wait={wait}: must be at least 1 word")


def visible(
    codec: TranslationCodec, sources: Sequence[Ids], targets: Sequence[Ids], wait: int
) -> NDArray[np.int64] | None:
    """How many source tokens each step of B targets may see: [B, T], 1 beyond a target's end.

    Args:
        codec: of both sides.
        sources: ids of each.
        targets: likewise, without the end token, which is a step of its own.
        wait: source words that the first word waits for; 0 for all, and then the result is None.
    """
    if not wait:
        return None
    rows = [seen(codec, *pair, wait) for pair in zip(sources, targets, strict=True)]
    table = np.ones((len(rows), max(map(len, rows), default=0)), np.int64)
    for own, row in zip(table, rows, strict=True):
        own[: len(row)] = row
    return table


def seen(codec: TranslationCodec, source: Ids, target: Ids, wait: int) -> NDArray[np.int64]:
    """How many source tokens each of a target's T tokens, and its end, may see: [T + 1].

    The tokens of word j see the words up to j + k - 1, and all once these are over. The end sees
    all. Of a source without tokens there is a place to see all the same.
    """
    words = codec.source.words(source)
    ends = np.append(np.flatnonzero(np.diff(words)) + 1, len(source))  # tokens up to each word
    places = np.append(codec.target.words(target) + wait - 1, len(source))
    return np.maximum(ends[np.minimum(places, len(ends) - 1)], 1).astype(np.int64)
