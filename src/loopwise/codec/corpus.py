"""Text from files, folders, globs and standard input, as bytes with a name."""

import difflib
import glob
import gzip
import os
import sys
import zlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from loopwise.errors import DataError
from loopwise.runs import Run

Paths: TypeAlias = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""One path or several."""

_SNIFFED = 8192  # bytes that decide whether a file is binary, as in git


@dataclass(frozen=True)
class Source:
    """One text as it was read.

    Attributes:
        name: where it came from, for messages: a path or "standard input".
        data: its bytes, decompressed.
    """

    name: str
    data: bytes

    @property
    def characters(self) -> int:
        """Unicode characters; in data that is not UTF-8, the bytes that may begin one."""
        octets = np.frombuffer(self.data, np.uint8)
        return int(np.count_nonzero((octets & 0xC0) != 0x80))  # all but continuation bytes

    def text(self, remedy: str = "convert it, or train with data.unit=bytes") -> str:
        """The data read as UTF-8, unchanged: no byte order mark or line end is altered.

        Args:
            remedy: what a message advises.

        Raises:
            DataError: if the data is not UTF-8; names the source, offset and line of the first
                bad byte.
        """
        try:
            return self.data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = self.data.count(b"\n", 0, error.start) + 1
            raise DataError(
                f"{self.name}: byte 0x{self.data[error.start]:02x} at offset {error.start} "
                f"(line {line}) is not UTF-8; {remedy}"
            ) from None


def read_sources(paths: Paths) -> list[Source]:
    """Read texts in the order given; those of a folder or a glob are sorted by path.

    Args:
        paths: files; folders, read recursively without hidden, empty and binary files (NUL within
            the first 8 KiB); globs, with ``**`` for any depth; ``-`` for standard input. A file
            that ends in ``.gz`` is decompressed. An existing path is never taken for a glob.

    Returns:
        At least one source; none is empty.

    Raises:
        DataError: if a path is missing, unreadable, empty or broken gzip, if a glob or a folder
            holds nothing to read, or if `paths` is empty.
    """
    if not paths:
        raise DataError("no input was given; allowed are files, folders, globs and - for stdin")
    return [source for path in as_paths(paths) for source in _read_path(os.fspath(path))]


def as_paths(paths: Paths) -> Sequence[str | os.PathLike[str]]:
    """One path or several as a sequence."""
    return [paths] if isinstance(paths, str | os.PathLike) else paths


def path_names(paths: Paths) -> str:
    """The paths, as messages call them."""
    return ", ".join(os.fspath(path) for path in as_paths(paths))


def _read_path(path: str) -> list[Source]:
    if path == "-":
        return [_nonempty(Source("standard input", sys.stdin.buffer.read()))]
    if os.path.isdir(path):
        return _read_folder(path)
    if os.path.exists(path):
        return [_nonempty(_read_file(path))]
    if glob.has_magic(path):
        return _read_glob(path)
    raise absent(path)


def absent(path: str) -> DataError:
    """The error that says that nothing is at `path`, and what resembles it."""
    return DataError(f"{path!r} does not exist{_nearest(path)}")


def _nonempty(source: Source) -> Source:
    if not source.data:
        raise DataError(f"{source.name}: empty, there is no text to read")
    return source


def _read_file(path: str) -> Source:
    with reading(path):
        data = Path(path).read_bytes()
        return Source(path, gzip.decompress(data) if path.endswith(".gz") else data)


@contextmanager
def reading(path: str) -> Generator[None]:
    """Turn what may go wrong while a file is read into a DataError that names it."""
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: broken gzip file ({error})") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def _read_folder(folder: str) -> list[Source]:
    sources = [_read_file(path) for path in sorted(_visible_files(folder))]
    texts = [source for source in sources if _is_text(source.data)]
    if not texts:
        raise DataError(
            f"{folder}: no text in this folder (hidden, empty and binary files are skipped)"
        )
    return texts


def _visible_files(folder: str) -> Iterator[str]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and not Run(Path(parent, name)).is_ours()
        ]
        paths = (os.path.join(parent, name) for name in files if not name.startswith("."))
        # A pipe or a dangling link among the files would block or fail.
        yield from filter(os.path.isfile, paths)


def _is_text(data: bytes) -> bool:
    return bool(data) and b"\0" not in data[:_SNIFFED]


def _read_glob(pattern: str) -> list[Source]:
    files = sorted(filter(os.path.isfile, glob.glob(pattern, recursive=True)))
    if not files:
        raise DataError(f"no file matches {pattern!r}")
    sources = [source for source in map(_read_file, files) if source.data]
    if not sources:
        raise DataError(f"every file that matches {pattern!r} is empty")
    return sources


def _nearest(path: str) -> str:
    """A hint with the existing name that resembles the first missing part of `path`."""
    folder, name = os.path.split(path.rstrip(os.sep))
    while folder and not os.path.isdir(folder):
        folder, name = os.path.split(folder)
    try:
        similar = difflib.get_close_matches(name, os.listdir(folder or "."), n=1)
    except OSError:
        return ""
    return f"; did you mean {os.path.join(folder, similar[0])!r}?" if similar else ""
