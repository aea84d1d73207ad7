"""Reading recordings: wav, flac, ogg, mp3 and what else libsndfile knows."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.audio.samples import HIGHEST_RATE, LOWEST_RATE, Samples, as_samples
from loopwise.errors import ConfigError, DataError, missing_extra

if TYPE_CHECKING:
    import soundfile

SLACK = 0.1
"""Seconds that a part may reach beyond its recording: the times of transcripts are rounded."""

_BLOCK = 1 << 20  # numbers read at a time, whatever a header says
_UNKNOWN = 0x7FFFF000  # sizes from here on are written by programs that do not know them yet
_FIELDS = re.compile(
    r"^\s*(Channels|Sample Rate|Block Align|Bit Width|Bytes/sec)\s*: (\d+)", re.MULTILINE
)
_SHORTENED = re.compile(r"^\s*(?:data|SSND|Data Size|riff)\s*: (\d+) \(should be (\d+)\)", re.M)
_OGG_PAGE = 65_307  # bytes of the longest one


def read_audio(
    path: str | os.PathLike[str], start: float | None = None, end: float | None = None
) -> tuple[Samples, int]:
    """A recording, or a part of it.

    Args:
        path: a file in any format of libsndfile; several channels are averaged.
        start: seconds, at least 0; None for the beginning.
        end: seconds, after `start` and at most `SLACK` beyond the end; None for the end.

    Returns:
        the samples [N] and their rate in Hz.

    Raises:
        ConfigError: `start` or `end` is negative, or no time is between them.
        DataError: the file is missing, empty, truncated, in no known format, other than its header
            says, without the part, or holds a sample that is not finite; the message names it.
        MissingExtraError: soundfile is not installed.
    """
    try:
        import soundfile
    except ModuleNotFoundError as error:
        raise missing_extra(error, "Reading audio") from error
    name = os.fspath(path)
    _check_file(Path(path))
    _check_part(name, start, end)
    try:
        with soundfile.SoundFile(name) as file:
            _check_header(name, file)
            _check_sizes(name, file)
            if file.format == "OGG":
                _check_last_page(name)
            samples = _read(name, file, start, end)
            return samples, int(file.samplerate)
    except (soundfile.SoundFileError, RuntimeError) as error:
        told = " ".join(str(getattr(error, "error_string", error)).split())
        raise DataError(f"{name}: no audio that can be read ({told})") from None
    except TypeError:  # what soundfile says to names such as .raw
        raise DataError(
            f"{name}: samples without a header; put them into a wav file first"
        ) from None


def _check_file(path: Path) -> None:
    try:
        size = path.stat().st_size
        if path.is_file() and size:
            with path.open("rb"):
                return
    except (OSError, ValueError) as error:
        told = error.strerror if isinstance(error, OSError) else str(error)
        raise DataError(f"{path}: cannot be read ({told})") from None
    raise DataError(f"{path}: " + ("is empty" if path.is_file() else "is no file"))


def _check_part(name: str, start: float | None, end: float | None) -> None:
    first = 0.0 if start is None else start
    last = np.inf if end is None else end
    if not (0 <= first < last) or not np.isfinite(first):
        raise ConfigError(
            f"{name}: a part from {start} to {end} s; it must begin at 0 or later and before its "
            "end"
        )


def _check_header(name: str, file: "soundfile.SoundFile") -> None:
    if not LOWEST_RATE <= file.samplerate <= HIGHEST_RATE:
        raise DataError(
            f"{name}: its header says {file.samplerate:,} Hz; allowed are {LOWEST_RATE:,} to "
            f"{HIGHEST_RATE:,}"
        )
    for said, there in _SHORTENED.findall(file.extra_info):
        if int(there) < int(said) < _UNKNOWN:
            raise DataError(
                f"{name}: truncated; its header says {int(said):,} bytes, {int(there):,} are there"
            )


def _check_sizes(name: str, file: "soundfile.SoundFile") -> None:
    """The headers of wav and its kin say the same twice; libsndfile takes any of it."""
    said = {key: int(value) for key, value in _FIELDS.findall(file.extra_info)}
    if not file.subtype.startswith(("PCM", "FLOAT", "DOUBLE")) or len(said) < 5:
        return
    channels, bits = said["Channels"], said["Bit Width"]
    align, rate, speed = said["Block Align"], said["Sample Rate"], said["Bytes/sec"]
    wanted, told = channels * -(-bits // 8), f"{name}: its header contradicts itself: "
    if align != wanted:
        raise DataError(f"{told}{channels} times {bits} bits take {wanted} bytes, not {align}")
    if speed != align * rate:
        raise DataError(
            f"{told}{align} bytes at {rate:,} Hz are {align * rate:,} a second, not {speed:,}"
        )


def _check_last_page(name: str) -> None:
    """A damaged end of Ogg is left out without a word by libsndfile; its last page is marked."""
    with Path(name).open("rb") as file:
        file.seek(-min(_OGG_PAGE, file.seek(0, os.SEEK_END)), os.SEEK_END)
        data = file.read()
    page = data[data.rfind(b"OggS") :]
    segments = page[26] if len(page) > 26 else 0
    length = 27 + segments + sum(page[27 : 27 + segments])
    if len(page) < max(length, 28) or not page[5] & 4:
        raise DataError(f"{name}: truncated; the last page of Ogg is missing")


def _read(
    name: str, file: "soundfile.SoundFile", start: float | None, end: float | None
) -> Samples:
    rate, total = file.samplerate, file.frames
    first = 0 if start is None else round(start * rate)
    last = total if end is None else round(end * rate)
    if first >= total or last > total + SLACK * rate:
        part = "" if start is None and end is None else f", wanted is {start or 0:g} to {end} s"
        raise DataError(f"{name}: holds {total / rate:g} s of audio{part}")
    if first:
        file.seek(first)
    wanted = max(min(last, total) - first, 1)
    parts = list(_blocks(name, file, wanted))
    found = sum(map(len, parts))
    if found < wanted and end is None:
        raise DataError(
            f"{name}: truncated; its header says {total:,} samples, {first + found:,} are there"
        )
    return np.concatenate(parts)


def _blocks(name: str, file: "soundfile.SoundFile", wanted: int) -> Iterator[Samples]:
    most = max(_BLOCK // file.channels, 1)
    done = 0
    while done < wanted:
        block: NDArray[Any] = file.read(min(most, wanted - done), dtype="float32", always_2d=True)
        if not len(block):
            return
        try:
            yield as_samples(block)
        except DataError as error:
            raise DataError(f"{name}, from {done / file.samplerate:g} s of it: {error}") from None
        done += len(block)
