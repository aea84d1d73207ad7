"""One spelling for texts that are to count as the same."""

import unicodedata
from typing import Literal, TypeAlias, get_args

from loopwise.errors import ConfigError

Case: TypeAlias = Literal["none", "lower", "upper"]
"""What becomes of letters: ``"none"`` leaves them."""


def check_case(case: object) -> None:
    """Raise ConfigError if this is no `Case`."""
    if case not in get_args(Case):
        allowed = ", ".join(map(repr, get_args(Case)))
        raise ConfigError(f"case={case!r}: must be one of {allowed}")


def normalise(text: str, case: Case = "none") -> str:
    """The text in one case, composed (Unicode's NFC), with single spaces between its words."""
    cased = {"none": str, "lower": str.lower, "upper": str.upper}[case](text)
    return " ".join(unicodedata.normalize("NFC", cased).split())
