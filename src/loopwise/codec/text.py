"""Text codecs by name: training one, and rebuilding one from a bundle."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from loopwise.codec.base import StreamDecoder, TextCodec, TokenIds, read_unit
from loopwise.codec.bpe import BpeCodec, train_bpe
from loopwise.codec.bytelevel import ByteCodec
from loopwise.codec.chars import CharCodec, train_chars
from loopwise.codec.corpus import Source
from loopwise.codec.words import WordCodec, train_words
from loopwise.errors import ConfigError

__all__ = ["UNITS", "StreamDecoder", "TextCodec", "TokenIds", "codec_from_json", "train_codec"]

_READERS: dict[str, Callable[[Mapping[str, Any]], TextCodec]] = {
    "bytes": ByteCodec.from_json,
    "chars": CharCodec.from_json,
    "words": WordCodec.from_json,
    "bpe": BpeCodec.from_json,
}

UNITS = tuple(_READERS)


def train_codec(
    unit: str, sources: Sequence[Source], *, vocab_size: int = 0, min_count: int = 1
) -> TextCodec:
    """A codec with the vocabulary of some texts.

    Args:
        unit: ``"bytes"``, ``"chars"``, ``"words"`` or ``"bpe"``.
        sources: the texts, for all but bytes in UTF-8.
        vocab_size: largest number of tokens, special ones included; 0 for no limit, which for
            bpe means 8000. Bytes have 256 in any case.
        min_count: leave out units (for bpe: merged pairs) that occur less often; at least 1.

    Raises:
        ConfigError: if `unit` is unknown or an option does not fit it.
        DataError: if a source is not UTF-8, or no unit is left.
        MissingExtraError: if bpe is asked for and `tokenizers` is not installed.
    """
    if unit not in UNITS:
        raise ConfigError(f"unit {unit!r} is unknown; allowed are {', '.join(UNITS)}")
    _check_limits(unit, vocab_size, min_count)
    if unit == "bytes":
        return ByteCodec()
    train = {"chars": train_chars, "words": train_words, "bpe": train_bpe}[unit]
    return train(sources, vocab_size, min_count)


def _check_limits(unit: str, vocab_size: int, min_count: int) -> None:
    if min_count < 1:
        raise ConfigError(f"min_count={min_count}: must be at least 1")
    if unit == "bytes" and (vocab_size not in (0, 256) or min_count != 1):
        raise ConfigError("unit 'bytes' always has all 256 bytes: leave vocab_size and min_count")
    smallest = {"bytes": 256, "chars": 2, "words": 3, "bpe": 256}[unit]
    if vocab_size < 0 or 0 < vocab_size < smallest:
        raise ConfigError(
            f"vocab_size={vocab_size}: unit {unit!r} needs 0 (no limit) or at least {smallest}"
        )


def codec_from_json(described: object) -> TextCodec:
    """The codec that `TextCodec.to_json` described.

    Args:
        described: JSON values, from a source that need not be trusted.

    Raises:
        DataError: if the format or the unit is unknown, or the vocabulary is damaged.
        MissingExtraError: if it is bpe and `tokenizers` is not installed.
    """
    unit, rest = read_unit(described, _READERS)
    return _READERS[unit](rest)
