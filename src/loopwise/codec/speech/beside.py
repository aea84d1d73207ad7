"""Folders of audio, where the text of ``a.wav`` is in ``a.txt`` beside it."""

import os
from collections.abc import Iterator
from pathlib import Path

from loopwise.codec.audio import feature_files
from loopwise.codec.corpus import reading
from loopwise.codec.speech.utterances import Flaw, Utterance, utterance_of
from loopwise.errors import DataError

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", *feature_files.SUFFIXES)
"""Endings of the files that are taken for audio or features, in any case."""


def from_folder(folder: Path) -> Iterator[Utterance | Flaw]:
    """The utterances of a folder and those within it, sorted by path, or why they are none.

    Hidden files and folders are passed over, and all that is neither audio nor ``.txt``.

    Raises:
        DataError: if there is no audio, or a text cannot be read.
    """
    files = sorted(_visible_files(folder))
    audio = [path for path in files if path.suffix.lower() in SUFFIXES]
    if not audio:
        raise DataError(f"{folder}: no audio in this folder ({', '.join(SUFFIXES)})")
    heard = {path.with_suffix(".txt") for path in audio}
    for path in files:
        if path.suffix == ".txt" and path not in heard:
            yield Flaw(str(path), "missing", "no audio of the same name is beside this text")
    for path in audio:
        yield _utterance(path)


def _visible_files(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(parent, name) for name in names if not name.startswith("."))


def _utterance(audio: Path) -> Utterance | Flaw:
    beside = audio.with_suffix(".txt")
    if not beside.is_file():
        return Flaw(str(audio), "malformed", f"its text, {beside.name!r}, is not beside it")
    with reading(str(beside)):
        data = beside.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return Flaw(f"{beside}, line {line}", "undecodable", "not UTF-8")
    return utterance_of({"audio": audio, "text": text}, Path(), str(beside))
