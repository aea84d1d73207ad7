"""Samples from standard input, transcribed while they come."""

import json
import shutil
import signal
import sys
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO, cast

import numpy as np
import typer
from numpy.typing import NDArray

from loopwise.cli.grouping import given
from loopwise.cli.model import open_recognizer
from loopwise.cli.transcribe.files import open_output
from loopwise.codec.audio.samples import require_rate
from loopwise.codec.recognition import Recognition, Word
from loopwise.codec.speech.output import Output, transcript_lines
from loopwise.errors import ConfigError, DataError

if TYPE_CHECKING:
    from loopwise.codec.lines import Pipe
    from loopwise.runtime.decoding import DecodingOptions
    from loopwise.runtime.recognition_stream import RecognitionStream

PANEL = "While it is being said"
PIECE = 0.1
"""Seconds of sound after which endpoint and partial result are looked at."""

STDIN = "standard input"


def _seconds(text: str) -> Any:
    return typer.Option(help=text, metavar="SECONDS", rich_help_panel=PANEL)


@dataclass(frozen=True)
class LiveGroup:
    """What comes from standard input, and when an utterance is over."""

    stream: Annotated[
        bool,
        typer.Option(
            "--stream",
            help="Read samples from standard input: 16 bits, little-endian, one channel.",
            rich_help_panel=PANEL,
        ),
    ] = False
    rate: Annotated[
        float | None,
        typer.Option(
            metavar="HZ", help="Of the samples.  [default: the model's]", rich_help_panel=PANEL
        ),
    ] = None
    partial: Annotated[
        bool,
        typer.Option(
            "--partial",
            help="Print what is heard so far as lines, too; each line begins with 'partial' or "
            "'final' and a tab. At a terminal it is shown anyway.",
            rich_help_panel=PANEL,
        ),
    ] = False
    silence_before: Annotated[
        float | None, _seconds("Silence that ends what has not begun.  [default: 2.4]")
    ] = None
    silence_after: Annotated[
        float | None, _seconds("Silence that ends an utterance.  [default: 1.2]")
    ] = None
    longest: Annotated[float | None, _seconds("Longest utterance.  [default: 20.0]")] = None


def transcribe_live(
    run: Path, kind: Output, out: Path | None, live: LiveGroup, options: "DecodingOptions"
) -> None:
    """Print, or write, each utterance of standard input as soon as it is over.

    After Ctrl-C, what was said so far is printed, too.

    Raises:
        ConfigError: a model that cannot stream, or options that do not fit each other.
        DataError: input that is a file of sound.
        Exit: status 130 after Ctrl-C.
    """
    if live.partial and (kind not in ("text", "json") or out is not None):
        raise ConfigError("--partial: prints lines of text or json: leave out --out, or --format")
    if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison]  # as after <&-
        raise ConfigError("--stream: standard input is closed; send samples there")
    if live.rate is not None:
        require_rate(live.rate)
    if sys.stdin.isatty():
        raise ConfigError(
            "--stream: standard input is a terminal; send samples there, such as arecord -t raw "
            f"-f S16_LE -c 1 -r 16000 | loopwise transcribe {run} --stream --rate 16000"
        )
    stream, own = _open(run, live, options)
    rate = own if live.rate is None else live.rate
    source = _Samples(rate)
    heard = _Listening(stream, rate, _display(kind, live.partial))
    with source.ended_by_interrupt(), _place(out) as file:
        for line in transcript_lines(kind, STDIN, heard.utterances(source.pieces())):
            marked = live.partial and kind == "text"
            print(f"final\t{line}" if marked else line, file=file, flush=True)
    if source.interrupted:
        raise typer.Exit(130)


def _place(out: Path | None) -> AbstractContextManager[TextIO]:
    return nullcontext(sys.stdout) if out is None else open_output(out)


def _open(
    run: Path, live: LiveGroup, options: "DecodingOptions"
) -> "tuple[RecognitionStream, float]":
    """The stream, and the model's rate."""
    from loopwise.runtime.recognition_stream import EndpointRules

    model = open_recognizer(run)
    rules = {key: value for key, value in given(live).items() if key in RULES}
    features = model.codec.features.options
    try:
        features.require_samples()
        return model.stream(EndpointRules(**rules), **options), features.rate
    except ConfigError as error:
        raise ConfigError(f"{run}: {error}") from None


RULES = ("silence_before", "silence_after", "longest")


class _Samples:
    """Pieces of standard input, all equally long but the last."""

    def __init__(self, rate: float):
        self._size = 2 * max(round(PIECE * rate), 1)  # bytes
        self.interrupted = self._waits = False

    def pieces(self) -> Iterator[NDArray[np.int16]]:
        """Samples; results do not depend on how the pipe cuts them."""
        pipe, held = cast("Pipe", sys.stdin.buffer), b""
        first = True
        while piece := self._read(pipe):
            held += piece
            if first and len(held) >= 12:
                _require_no_header(held)
                first = False
            while len(held) >= self._size:
                yield np.frombuffer(held[: self._size], "<i2")
                held = held[self._size :]
        if len(held) >= 2:
            yield np.frombuffer(held[: len(held) // 2 * 2], "<i2")

    def _read(self, pipe: "Pipe") -> bytes:
        if self.interrupted:
            return b""
        self._waits = True
        try:
            return pipe.read1(self._size)
        except KeyboardInterrupt:
            return b""
        finally:
            self._waits = False

    @contextmanager
    def ended_by_interrupt(self) -> Generator[None]:
        """Ctrl-C ends the input, not the work at what has come."""

        def interrupt(*_: object) -> None:
            self.interrupted = True
            if self._waits:
                raise KeyboardInterrupt

        before = signal.signal(signal.SIGINT, interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


def _require_no_header(data: bytes) -> None:
    """A file of sound would be heard as noise at first, and at a wrong rate."""
    kinds = {b"RIFF": "wav", b"fLaC": "flac", b"OggS": "ogg", b"ID3": "mp3", b"FORM": "aiff"}
    for head, kind in kinds.items():
        if data.startswith(head):
            raise DataError(
                f"{STDIN}: a {kind} file, not plain samples; give the file instead of --stream, or "
                "convert it: ffmpeg -i FILE -f s16le -ac 1 -ar RATE -"
            )


class _Listening:
    """Utterances of a stream, with times from the beginning of all that was heard."""

    def __init__(self, stream: "RecognitionStream", rate: float, display: "_Display"):
        self._stream, self._rate, self._display = stream, rate, display

    def utterances(self, pieces: Iterator[NDArray[np.int16]]) -> Iterator[Recognition]:
        """Each as soon as it is over, but those in which nothing was said."""
        begun = heard = 0
        for piece in pieces:
            self._stream.accept_waveform(piece, self._rate)
            heard += len(piece)
            if self._stream.is_endpoint():
                yield from self._end(begun / self._rate)
                begun = heard
            else:
                self._display.show(self._stream.partial(), begun / self._rate)
        yield from self._end(begun / self._rate)

    def _end(self, begun: float) -> Iterator[Recognition]:
        found = _later(self._stream.finish(), begun)
        self._display.clear()
        if found.text:
            yield found


def _later(found: Recognition, seconds: float) -> Recognition:
    def moved(words: tuple[Word, ...]) -> tuple[Word, ...]:
        return tuple(
            replace(word, start=word.start + seconds, end=word.end + seconds) for word in words
        )

    return replace(found, words=moved(found.words), tokens=moved(found.tokens))


class _Display:
    """What is heard so far, shown nowhere."""

    def show(self, found: Recognition, begun: float) -> None:
        """What is heard of the utterance that began at so many seconds."""

    def clear(self) -> None:
        """The utterance is over."""


class _Terminal(_Display):
    """A line of the terminal that is written anew each time, until its utterance is over."""

    def show(self, found: Recognition, begun: float) -> None:
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write(f"\r\x1b[K{found.text[-width:]}")
        sys.stderr.flush()

    def clear(self) -> None:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


class _Lines(_Display):
    """A line each time that it changes."""

    def __init__(self, kind: Output):
        self._kind, self._last = kind, ""

    def show(self, found: Recognition, begun: float) -> None:
        if found.text == self._last:
            return
        self._last = found.text
        told = {"partial": found.text, "start": round(begun, 3)}
        if self._kind == "text":
            print(f"partial\t{found.text}", flush=True)
        else:
            print(json.dumps(told, ensure_ascii=False), flush=True)

    def clear(self) -> None:
        self._last = ""


def _display(kind: Output, partial: bool) -> _Display:
    if partial:
        return _Lines(kind)
    return _Terminal() if sys.stderr.isatty() else _Display()
