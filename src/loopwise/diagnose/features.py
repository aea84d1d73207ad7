"""Simple features of a text, at every token: what a unit may be found to follow. NumPy alone."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

OPEN, CLOSE = "([{", ")]}"
_QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’"}


def text_features(pieces: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """What is so right after each token has been read.

    Args:
        pieces: [T], the text of each token; empty where a character is not complete.

    Returns:
        for each feature T numbers, of a yes-or-no feature 0 and 1. Quotes end at the latest with
        their line or, double ones, paragraph; brackets at an empty line.
    """
    text = "".join(pieces)
    ends = np.cumsum([len(piece) for piece in pieces]) - 1
    after = [text[end] if end >= 0 else "\n" for end in ends]
    following = [text[end + 1] if end + 1 < len(text) else " " for end in ends]
    features = {
        "inside quotes": _quoted(text),
        "inside brackets": _depth(text) > 0,
        "position in line": _since(text, r"\n"),
        "position in word": _since(text, r"\W"),
        "indentation": _indentation(text),
    }
    found = {
        name: np.where(ends >= 0, values.astype(np.float64)[np.maximum(ends, 0)], 0.0)
        for name, values in features.items()
        if len(text)
    }
    kinds = {
        "capital": [c.isupper() for c in after],
        "digit": [c.isdigit() for c in after],
        "white space": [c.isspace() for c in after],
        "white space next": [c.isspace() for c in following],
        "line end next": [c == "\n" for c in following],
        "line just began": [c == "\n" for c in after],
    }
    return found | {name: np.array(values, np.float64) for name, values in kinds.items()}


def _since(text: str, pattern: str) -> NDArray[np.float64]:
    """[C]: characters since the last that matches, which has 0."""
    places = np.arange(len(text))
    hits = np.full(len(text), -1)
    for found in re.finditer(pattern, text):
        hits[found.start()] = found.start()
    return (places - np.maximum.accumulate(hits)).astype(np.float64)


def _depth(text: str) -> NDArray[np.float64]:
    depths, depth, before = np.zeros(len(text)), 0, ""
    for place, letter in enumerate(text):
        if letter in OPEN:
            depth += 1
        elif letter in CLOSE:
            depth = max(depth - 1, 0)
        elif letter == before == "\n":
            depth = 0
        depths[place], before = depth, letter
    return depths


def _quoted(text: str) -> NDArray[np.float64]:
    """[C]: 1 from an opening quote up to the letter before the closing one."""
    inside, closing, before = np.zeros(len(text)), "", "\n"
    for place, letter in enumerate(text):
        if closing:
            ends = letter == closing or (letter == "\n" and (closing == "'" or before == "\n"))
            closing = "" if ends else closing
        elif letter in _QUOTES and not (letter in "'‘" and before.isalnum()):
            closing = _QUOTES[letter]
        inside[place], before = bool(closing), letter
    return inside


def _indentation(text: str) -> NDArray[np.float64]:
    """[C]: white space before the first other letter of the line, as far as it has been read."""
    depths, depth, leading = np.zeros(len(text)), 0, True
    for place, letter in enumerate(text):
        if letter == "\n":
            depth, leading = 0, True
        elif leading and letter in " \t":
            depth += 1
        else:
            leading = False
        depths[place] = depth
    return depths
