"""Reading features that another program computed: NumPy arrays and files of CMU Sphinx."""

import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import MAGIC_PREFIX
from numpy.typing import ArrayLike, NDArray

from loopwise.codec.audio.deltas import Frames
from loopwise.errors import DataError

SUFFIXES = (".npy", ".mfc")
"""What the names of such files end in."""


def read_features(path: str | os.PathLike[str], size: int) -> Frames:
    """The base frames [T, size] of a file, T at least 1.

    Args:
        path: ``.npy``, an array [T, size] of real numbers; or ``.mfc`` of CMU Sphinx, the number of
            its values as int32 and then these as float32, both in either order of bytes.
        size: features of a frame, B.

    Raises:
        DataError: the file is missing, of another kind or shape, longer or shorter than it says, or
            holds a value that is not finite; the message names it.
    """
    name = os.fspath(path)
    try:
        found = _read_npy(path) if name.lower().endswith(".npy") else _read_sphinx(path, size)
    except OSError as error:
        raise DataError(f"{name}: cannot be read ({error.strerror or error})") from None
    except (ValueError, EOFError) as error:
        told = str(error) if isinstance(error, DataError) else f"no array of NumPy ({error})"
        raise DataError(f"{name}: {told}") from None
    frames = as_frames(found, size, name)
    if not len(frames):
        raise DataError(f"{name}: holds no frame")
    return frames


def as_frames(values: ArrayLike, size: int, name: str = "frames") -> Frames:
    """Base frames [T, size] of any real numbers.

    Raises:
        DataError: they have another shape or type, or one is not finite; begins with `name`.
    """
    try:
        array: NDArray[Any] = np.asarray(values)
    except ValueError as error:  # rows of several lengths
        raise DataError(f"{name}: no array ({error})") from None
    if array.dtype.kind not in "fiu" or array.ndim != 2 or array.shape[1] != size:
        raise DataError(
            f"{name}: {array.dtype} {list(array.shape)}; wanted are real numbers [T, {size}]"
        )
    with np.errstate(over="ignore"):
        frames = np.ascontiguousarray(array, np.float32)
    wrong = np.flatnonzero(~np.isfinite(frames).all(1))
    if wrong.size:
        raise DataError(f"{name}: frame {wrong[0]:,} holds a value that is not finite")
    return frames


def _read_npy(path: str | os.PathLike[str]) -> NDArray[Any]:
    with open(path, "rb") as file:
        if file.read(len(MAGIC_PREFIX)) != MAGIC_PREFIX:
            raise DataError("no array of NumPy, as numpy.save writes it")
    # mapped, not read: the size is checked before memory is taken for what a header says
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _read_sphinx(path: str | os.PathLike[str], size: int) -> NDArray[Any]:
    if not os.fspath(path).lower().endswith(".mfc"):
        raise DataError(f"features are read from files that end in {' or '.join(SUFFIXES)}")
    data = Path(path).read_bytes()
    values, rest = divmod(len(data) - 4, 4)
    for order in (">", "<"):
        if rest == 0 and values >= 0 and struct.unpack(f"{order}i", data[:4]) == (values,):
            if values % size:
                raise DataError(f"{values:,} values, which are no frames of {size}")
            return np.frombuffer(data, f"{order}f4", offset=4).reshape(-1, size)
    said = f"it says {struct.unpack('>i', data[:4])[0]:,} values, " if len(data) >= 4 else ""
    raise DataError(f"no file of features of Sphinx: {said}{len(data):,} bytes are there")
