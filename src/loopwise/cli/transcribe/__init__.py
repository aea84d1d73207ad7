"""``loopwise transcribe``: recordings into text, from files or while they are being made."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from loopwise.cli.grouping import grouped, refuse
from loopwise.cli.model import open_recognizer
from loopwise.cli.options import Model
from loopwise.cli.recognizing import RecognizingGroup, decoding_options
from loopwise.cli.transcribe.files import transcribe_files
from loopwise.cli.transcribe.live import LiveGroup, transcribe_live
from loopwise.codec.speech.output import Output
from loopwise.errors import ConfigError


@dataclass(frozen=True)
class FilesGroup:
    """What is read of several files at once."""

    batch: Annotated[
        int | None,
        typer.Option(metavar="N", help="Files that are read side by side.  [default: 8]", min=1),
    ] = None


@grouped
def transcribe(
    run: Model,
    *,
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE...", help="Recordings: wav, flac, ogg, mp3; .mfc, .npy."),
    ] = None,
    format: Annotated[
        Output,
        typer.Option(
            help="text (a line each); json and ctm, with times and confidences of words; srt and "
            "vtt, subtitles."
        ),
    ] = "text",
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            metavar="PATH",
            help="Write to this file; or in this folder a file for each FILE, named like it.",
        ),
    ] = None,
    whole: FilesGroup,
    search: RecognizingGroup,
    live: LiveGroup,
) -> None:
    """Transcribe recordings, or what is being said.

    Prints the text of each FILE, with several files their name first and a tab. Where one cannot be
    read, the others are transcribed all the same, and the exit status is 1. With --stream, samples
    of 16 bits, little-endian, of one channel come from standard input, and each utterance is
    printed when it is over.
    """
    files = files or []
    if live.stream:
        refuse("--stream: reads standard input", [whole])
        if files:
            raise ConfigError(f"--stream: reads standard input: leave out {files[0]}")
        place = None if out is None else Path(out)
        transcribe_live(run, format, place, live, decoding_options(search))
        return
    refuse("without --stream", [live])
    if not files:
        raise ConfigError(f"{run}: give FILE..., or --stream for samples from standard input")
    model = open_recognizer(run, files)
    transcribe_files(model, files, format, out, whole.batch or 8, decoding_options(search))
