"""Texts as a caller in Python gives them: strings, or bytes for what need not be UTF-8."""

from collections.abc import Iterable, Sequence
from typing import TypeAlias, cast

from loopwise.errors import DataError

Text: TypeAlias = str | bytes
Texts: TypeAlias = Text | Sequence[Text]


def require_text(given: object, name: str) -> Text:
    """`given` itself; raises DataError, which calls it `name`, if it is no text."""
    if not isinstance(given, str | bytes):
        raise DataError(f"{name}: must be a string or bytes, not {type(given).__name__}")
    return given


def list_texts(given: object, name: str) -> list[Text]:
    """One text or several as a list; raises DataError, which calls them `name`, if it is neither.

    A string is one text, never a sequence of characters.
    """
    if isinstance(given, str | bytes):
        return [given]
    if not isinstance(given, Iterable):
        raise DataError(
            f"{name}: must be a string, bytes or a sequence of these, not {type(given).__name__}"
        )
    several = cast(Iterable[object], given)
    return [require_text(text, f"{name}[{number}]") for number, text in enumerate(several)]


def require_pairs(hypotheses: Sequence[object], references: Sequence[object], what: str) -> None:
    """Raise DataError unless these are as many strings as those, and at least one of each.

    Args:
        hypotheses: what a model made.
        references: what it should have made.
        what: what a message calls a hypothesis.
    """
    for name, texts in (("hypotheses", hypotheses), ("references", references)):
        if isinstance(texts, str):
            raise DataError(f"{name}: must be a sequence of strings, not one string")
        for position, text in enumerate(texts):
            if not isinstance(text, str):
                raise DataError(f"{name}[{position}]: must be a string, not {type(text).__name__}")
    if len(hypotheses) != len(references):
        raise DataError(
            f"{len(hypotheses)} hypotheses and {len(references)} references; each needs one"
        )
    if not len(hypotheses):
        raise DataError(f"there is no {what} to measure")
