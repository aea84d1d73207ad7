r"""N-gram models in the ARPA format, which SRILM, KenLM and others read and write.

::

    \data\
    ngram 1=4

    \1-grams:
    -1.25<TAB>word<TAB>-0.3

    \end\

Logarithms are to the base 10; the last column, the backoff, may be missing.
"""

import math
import re
from pathlib import Path
from typing import TypeAlias

from loopwise.codec.ngram.model import SPECIAL, Entry, Gram, NGram
from loopwise.errors import DataError
from loopwise.files import write_atomically

_TEN = math.log(10)


def write_arpa(model: NGram, path: Path) -> None:
    """Write a model; numbers have 8 decimals.

    Raises:
        OSError: the file cannot be written.
    """
    lines = ["\\data\\", *(f"ngram {n}={len(each)}" for n, each in enumerate(model.grams, 1))]
    for order, each in enumerate(model.grams, 1):
        lines += ["", f"\\{order}-grams:"]
        for gram, entry in each.items():
            line = f"{entry.log / _TEN:.8f}\t{' '.join(model.words[word] for word in gram)}"
            lines.append(f"{line}\t{entry.backoff / _TEN:.8f}" if entry.backoff else line)
    lines += ["", "\\end\\", ""]
    write_atomically(path, "\n".join(lines).encode())


def read_arpa(path: Path) -> NGram:
    """Read a model; words that it lacks of ``<unk>``, ``<s>`` and ``</s>`` get 10^-99.

    Raises:
        DataError: if the file cannot be read or is no such model; names the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    sections = _sections(path, text)
    counts = _counts(path, sections[0][1])
    expected = ["\\data\\", *(f"\\{n}-grams:" for n in range(1, len(counts) + 1)), "\\end\\"]
    found = [name for name, _ in sections]
    if found != expected:
        raise DataError(f"{path}: has the sections {' '.join(found)}, not {' '.join(expected)}")
    numbers = {word: number for number, word in enumerate(SPECIAL)}
    grams: list[dict[Gram, Entry]] = []
    for order, (count, (_, lines)) in enumerate(zip(counts, sections[1:], strict=False), 1):
        grams.append(dict(_gram(path, *line, order, numbers) for line in lines))
        if len(grams[-1]) != count:
            raise DataError(f"{path}: has {len(grams[-1])} different {order}-grams, not {count}")
    for number in range(len(SPECIAL)):
        grams[0].setdefault((number,), Entry(-99 * _TEN, 0.0))
    try:
        return NGram(list(numbers), grams)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


Line: TypeAlias = tuple[int, str]
"""Its number, from 1, and what it says."""


def _sections(path: Path, text: str) -> list[tuple[str, list[Line]]]:
    r"""What follows each line that begins with a backslash, from ``\data\`` on."""
    sections: list[tuple[str, list[Line]]] = []
    for where, line in enumerate(map(str.strip, text.split("\n")), 1):
        if line == "\\data\\" or (sections and line.startswith("\\")):
            sections.append((line, []))
        elif line and sections:  # before them stand comments
            sections[-1][1].append((where, line))
    if not sections:
        raise DataError(f"{path}: has no line \\data\\, with which the ARPA format begins")
    return sections


def _counts(path: Path, lines: list[Line]) -> list[int]:
    """How many words in a row of each order are said to follow."""
    counts: list[int] = []
    for where, line in lines:
        match = re.fullmatch(r"ngram (\d+) *= *(\d+)", line)
        if match is None or int(match[1]) != len(counts) + 1:
            raise DataError(f"{path}:{where}: {line!r} is not 'ngram {len(counts) + 1}=COUNT'")
        counts.append(int(match[2]))
    if not counts:
        raise DataError(f"{path}: says nothing after \\data\\")
    return counts


def _gram(
    path: Path, where: int, line: str, order: int, numbers: dict[str, int]
) -> tuple[Gram, Entry]:
    """A line's words and figures; words of the first order get their numbers."""
    fields = line.split()
    words = [w.lower() if w.lower() in SPECIAL else w for w in fields[1 : order + 1]]
    rest = fields[order + 1 :]
    if len(words) < order or len(rest) > 1:
        raise DataError(
            f"{path}:{where}: {len(fields)} fields; an entry of order {order} has a logarithm, "
            f"{order} words and perhaps a backoff"
        )
    if order == 1:
        numbers.setdefault(words[0], len(numbers))
    try:
        log, backoff = float(fields[0]) * _TEN, float(rest[0]) * _TEN if rest else 0.0
        return tuple(numbers[word] for word in words), Entry(log, backoff)
    except ValueError as error:
        raise DataError(f"{path}:{where}: {error}") from None
    except KeyError as error:
        raise DataError(f"{path}:{where}: {error} is not among the 1-grams") from None
