r"""Lines and words of text as they come: nothing waits for the end of a file or a pipe.

Only ``\n`` ends a line; a ``\r`` before it and a byte order mark before the first line are removed.
"""

import codecs
import gzip
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from loopwise.codec.corpus import absent, reading
from loopwise.errors import DataError

STDIN = "standard input"
_BOM = codecs.BOM_UTF8
_CHUNK = 1 << 16


def read_lines(paths: Sequence[str]) -> Iterator[str]:
    """The lines of files, one after the other, without their ends.

    Args:
        paths: files, also ``.gz``; ``-`` for standard input, each of whose lines is there as soon
            as it has come.

    Raises:
        DataError: a file that is not there, before any line is read; or one that cannot be read,
            or a line that is not UTF-8, which it names, once its turn has come.
    """
    for path in paths:
        if path != "-" and not os.path.exists(path):
            raise absent(path)
    return (line for path in paths for line in _lines_of(path))


def _lines_of(path: str) -> Iterator[str]:
    if path == "-":
        yield from _decoded(STDIN, sys.stdin.buffer)
        return
    with reading(path), gzip.open(path) if path.endswith(".gz") else open(path, "rb") as file:
        yield from _decoded(path, file)


def _decoded(name: str, file: Iterable[bytes]) -> Iterator[str]:
    for number, line in enumerate(file, 1):
        row = line.removesuffix(b"\n").removesuffix(b"\r")
        try:
            yield (row.removeprefix(_BOM) if number == 1 else row).decode("utf-8")
        except UnicodeDecodeError as error:
            raise _not_utf8(name, number, row[error.start]) from None


class Pipe(Protocol):
    """What bytes come from."""

    def read1(self, size: int, /) -> bytes:
        """What is there, at least one byte unless it has ended."""
        ...


def read_words(name: str, file: Pipe) -> Iterator[str]:
    r"""The words of a text, each as soon as white space has come after it; ``"\n"`` ends a line.

    A last line without an end is ended.

    Args:
        name: of the file, for messages.
        file: is read as it comes, without waiting for more.

    Raises:
        DataError: a line that is not UTF-8, once all words before that place have been given.
    """
    rest, begun = "", False
    for text in _texts(name, file):
        *whole, rest = re.split(r"(\s)", rest + text)
        for piece in whole:
            if piece == "\n" or piece.strip():
                begun = piece != "\n"
                yield piece
    if rest:
        yield rest
    if rest or begun:
        yield "\n"


def _texts(name: str, file: Pipe) -> Iterator[str]:
    """What comes, decoded; before what is not UTF-8 the text up to there."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    line, ended = 1, False
    while not ended:
        chunk = file.read1(_CHUNK)
        ended = not chunk
        try:
            text = decoder.decode(chunk, final=ended)
        except UnicodeDecodeError as error:
            sound = error.object[: error.start].decode("utf-8")
            yield sound
            byte = error.object[error.start]
            raise _not_utf8(name, line + sound.count("\n"), byte) from None
        line += text.count("\n")
        yield text


def _not_utf8(name: str, line: int, byte: int) -> DataError:
    return DataError(f"{name}, line {line}: byte 0x{byte:02x} is not UTF-8; convert it")
