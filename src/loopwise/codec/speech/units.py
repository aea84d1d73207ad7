"""Codecs of transcripts by name: training one, and rebuilding one from a bundle."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from loopwise.codec.base import read_unit
from loopwise.codec.numbers import is_integer
from loopwise.codec.speech.base import BLANK, NO_WORD, UnitCodec
from loopwise.codec.speech.lexicon import Lexicon
from loopwise.codec.speech.normalise import Case, check_case, normalise
from loopwise.codec.speech.pieces import BpeUnits, train_bpe_units
from loopwise.codec.speech.symbols import CharUnits, PhoneUnits, WordUnits
from loopwise.errors import ConfigError, DataError

__all__ = ["BLANK", "NO_WORD", "UNITS", "UnitCodec", "train_units", "units_from_json"]

_READERS: dict[str, Callable[[Mapping[str, Any], Case], UnitCodec]] = {
    "chars": CharUnits.from_json,
    "words": WordUnits.from_json,
    "bpe": BpeUnits.from_json,
    "phones": PhoneUnits.from_json,
}

UNITS = tuple(_READERS)


def train_units(
    texts: Sequence[str],
    unit: str = "chars",
    *,
    case: Case = "none",
    vocab_size: int = 0,
    lexicon: Lexicon | None = None,
    preferred: Mapping[str, int] | None = None,
) -> UnitCodec:
    """The codec of some transcripts; of phones, that of a lexicon.

    Args:
        texts: transcripts, which need not be normalised.
        unit: ``"chars"``, ``"words"``, ``"bpe"`` or ``"phones"``.
        case: what becomes of letters: ``"lower"``, ``"upper"``, or ``"none"`` to leave them.
        vocab_size: for bpe, the largest number of units with the blank; 0 stands for 500. A pair
            that occurs only once is not merged.
        lexicon: for phones, the words that can be encoded.
        preferred: for phones, which pronunciation of a word stands in its transcript, counted
            from 1; that of others is the first.

    Raises:
        ConfigError: if a value is not allowed or does not fit the unit.
        DataError: if the texts are empty, or a preferred pronunciation is not there.
        MissingExtraError: if bpe is asked for and `tokenizers` is not installed.
    """
    if unit not in UNITS:
        raise ConfigError(f"unit {unit!r} is unknown; allowed are {', '.join(UNITS)}")
    check_case(case)
    if (unit == "phones") != (lexicon is not None) or (preferred and unit != "phones"):
        raise ConfigError(f"unit {unit!r}: a lexicon is for 'phones' alone, which needs it")
    if not is_integer(vocab_size) or vocab_size < 0 or (vocab_size and unit != "bpe"):
        raise ConfigError(f"vocab_size={vocab_size}: must be 0, or for unit 'bpe' more")
    if lexicon is not None:
        return PhoneUnits(lexicon, case, preferred)
    spoken = [normalise(text, case) for text in texts]
    if not any(spoken):
        raise DataError("transcripts: no text, from which units could be found")
    if unit == "bpe":
        return train_bpe_units(spoken, case, vocab_size)
    if unit == "words":
        return WordUnits(sorted({word for text in spoken for word in text.split()}), case)
    return CharUnits("".join(sorted(set("".join(spoken)))), case)


def units_from_json(described: object) -> UnitCodec:
    """The codec that `UnitCodec.to_json` described.

    Args:
        described: JSON values, from a source that need not be trusted.

    Raises:
        DataError: if the format or the unit is unknown, or the vocabulary is damaged.
        MissingExtraError: if it is bpe and `tokenizers` is not installed.
    """
    unit, rest = read_unit(described, _READERS)
    case = cast(Case, rest.get("case"))
    if case not in ("none", "lower", "upper"):
        raise DataError(f"units {unit!r}: case {case!r} is unknown")
    return _READERS[unit](rest, case)
