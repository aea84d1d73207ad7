"""Recordings in files."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import typer

from loopwise.codec.speech.output import Output, transcript
from loopwise.errors import ConfigError, DataError

if TYPE_CHECKING:
    from loopwise.codec.audio.deltas import Frames
    from loopwise.codec.recognition import Recognition
    from loopwise.runtime.decoding import DecodingOptions
    from loopwise.runtime.recognizer import LoadedRecognizer

SUFFIXES = {"text": ".txt", "json": ".json", "srt": ".srt", "vtt": ".vtt", "ctm": ".ctm"}
SUBTITLES = ("srt", "vtt")


def transcribe_files(
    model: "LoadedRecognizer",
    files: Sequence[str],
    kind: Output,
    out: str | None,
    batch: int,
    options: "DecodingOptions",
) -> None:
    """Print, or write, what is said in each file; what cannot be read is told and passed over.

    Raises:
        ConfigError: several files would become one of subtitles, or files overwrite each other.
        Exit: status 1, a file could not be read.
    """
    folder = None if out is None or not _is_folder(out, files, kind) else Path(out)
    if folder is None and len(files) > 1 and kind in SUBTITLES:
        raise ConfigError(
            f"--format {kind}: of several files, give --out a folder, in which each has its own"
        )
    places = None if folder is None else _places(files, folder, SUFFIXES[kind])
    told = _Told()
    found = _recognitions(model, files, batch, options, told)
    if places is not None:
        places[0].parent.mkdir(parents=True, exist_ok=True)
        for number, name, recognition in found:
            places[number].write_text(transcript(kind, name, [recognition]), encoding="utf-8")
            print(places[number])
    else:
        with nullcontext(sys.stdout) if out is None else _open(Path(out), files) as stream:
            for _, name, recognition in found:
                if kind == "text" and len(files) > 1:
                    stream.write(f"{name}\t")
                stream.write(transcript(kind, name, [recognition]))
                stream.flush()
    if told.mistakes:
        raise typer.Exit(1)


class _Told:
    """Mistakes that were told, and did not end the command."""

    mistakes = 0

    def tell(self, error: DataError) -> None:
        sys.stdout.flush()
        print(f"error: {error}", file=sys.stderr)
        self.mistakes += 1


def _is_folder(out: str, files: Sequence[str], kind: Output) -> bool:
    if Path(out).is_dir() or out.endswith("/"):
        return True
    return len(files) > 1 and kind in SUBTITLES and not Path(out).exists()


def _places(files: Sequence[str], folder: Path, suffix: str) -> list[Path]:
    """Where the transcript of each file goes."""
    places = [folder / f"{Path(file).stem}{suffix}" for file in files]
    for i, place in enumerate(places):
        first = places.index(place)
        if first < i:
            raise ConfigError(
                f"--out {folder}: {files[first]} and {files[i]} would both be {place}"
            )
    _require_none_of(places, files)
    return places


def _require_none_of(places: Sequence[Path], files: Sequence[str]) -> None:
    read = {Path(file).absolute() for file in files}
    for place in places:
        if place.absolute() in read:
            raise ConfigError(f"--out: {place} is read, and would be overwritten")


def _open(out: Path, files: Sequence[str]) -> TextIO:
    _require_none_of([out], files)
    return open_output(out)


def open_output(out: Path) -> TextIO:
    """The file of ``--out``; raises ConfigError where there can be none."""
    if out.is_dir() or not out.parent.is_dir():
        raise ConfigError(f"--out {out}: not a file in a folder that is there")
    return out.open("w", encoding="utf-8")


def _recognitions(
    model: "LoadedRecognizer",
    files: Sequence[str],
    batch: int,
    options: "DecodingOptions",
    told: _Told,
) -> "Iterator[tuple[int, str, Recognition]]":
    """Number, name and transcript of each file that can be read, in their order."""
    read: list[tuple[int, str, Frames]] = []
    for number, name in enumerate(files):
        try:
            read.append((number, name, model.frames(name)))
        except DataError as error:
            told.tell(_with_advice(error, name))
        if read and (len(read) == batch or number == len(files) - 1):
            several = model.recognised([frames for _, _, frames in read], **options)
            for (place, file, _), recognition in zip(read, several, strict=True):
                yield place, file, recognition
            read = []


def _with_advice(error: DataError, name: str) -> DataError:
    if name == "-":
        return DataError("-: samples from standard input need --stream")
    if name.endswith((".jsonl", ".tsv")):
        return DataError(f"{error}; a manifest is for loopwise evaluate")
    return error
