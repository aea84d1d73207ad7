"""``loopwise translate``: lines of text into another language, whole or word by word."""

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from loopwise.cli.grouping import grouped, refuse
from loopwise.cli.model import note_of_whole, open_translator
from loopwise.cli.options import Json
from loopwise.cli.searching import SamplingGroup, SearchGroup, search_options
from loopwise.errors import BundleError, ConfigError, DataError

if TYPE_CHECKING:
    from io import BufferedReader

    from loopwise.codec.search.options import SearchOptions
    from loopwise.runtime.translation_stream import TranslationStream
    from loopwise.runtime.translator import LoadedTranslator, Translating, Translation

STREAM = "Word by word"


@dataclass(frozen=True)
class LineGroup:
    """What is read and printed of whole lines."""

    input: Annotated[
        list[str] | None,
        typer.Option(
            "--input", metavar="FILE", help="Read it, also .gz, instead of standard input."
        ),
    ] = None
    n_best: Annotated[
        int | None,
        typer.Option(help="Translations of a line, with line number and score.  [default: 1]"),
    ] = None
    align: Annotated[
        bool, typer.Option("--align", help="After a tab: which words of the source, as 0-0 2-1.")
    ] = False
    batch: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Lines that are translated at once, then printed.  [default: 64; at a terminal 1]",
            min=1,
        ),
    ] = None
    json: Json = False


@dataclass(frozen=True)
class StreamGroup:
    """Translation while the source is still coming."""

    stream: Annotated[
        bool,
        typer.Option(
            "--stream",
            help="Print each word as soon as it may come, while the source is still coming.",
            rich_help_panel=STREAM,
        ),
    ] = False
    wait: Annotated[
        int | None,
        typer.Option(
            metavar="K",
            help="Words of the source to wait for.  [default: as in training]",
            rich_help_panel=STREAM,
        ),
    ] = None


@grouped
def translate(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...",
            help="A run's directory, or a bundle (.safetensors). Several translate together, by "
            "the mean of their probabilities.",
        ),
    ],
    *,
    lines: LineGroup,
    search: SearchGroup,
    sampling: SamplingGroup,
    streaming: StreamGroup,
) -> None:
    """Translate lines of standard input, or of files.

    Prints a line for each; an empty line stays one. With --stream, words go in and come out one by
    one, and the end of a line ends a sentence.
    """
    if streaming.stream:
        _refuse_with_stream(runs, lines, search, sampling)
        stream_words(_stream(open_translator(runs[0]), runs[0], streaming.wait))
        return
    if streaming.wait is not None:
        raise ConfigError("--wait: needs --stream: give it as well")
    options = search_options(search, sampling, lines.n_best)
    model = _open(runs)
    size = lines.batch or (1 if not lines.input and sys.stdin.isatty() else 64)
    _translate_lines(model, lines, size, options)


def _open(runs: list[Path]) -> "Translating":
    from loopwise.runtime.translator import ensemble

    try:
        models = [open_translator(run) for run in runs]
        for run, model in zip(runs, models, strict=True):
            note_of_whole(run, model)
    except BundleError as error:
        text = next((run for run in runs[1:] if run.is_file() and run.suffix != ".safetensors"), "")
        if not text:
            raise
        raise ConfigError(
            f"{text}: no model; text is read from standard input, or with --input {text}"
        ) from error
    if len(models) == 1:
        return models[0]
    try:
        return ensemble(models)
    except ConfigError as error:
        raise ConfigError(f"{', '.join(map(str, runs))}: {error}") from None


def _translate_lines(
    model: "Translating", options: LineGroup, size: int, search: "SearchOptions"
) -> None:
    from loopwise.codec.lines import read_lines

    first = 0
    for batch in _batches(read_lines(options.input or ["-"]), size):
        found = model.translations(batch, batch_size=size, first=first, **search)
        for number, (line, translations) in enumerate(zip(batch, found, strict=True), first + 1):
            if options.json:
                print(_json(line, translations))
            elif (options.n_best or 1) == 1 or not translations:
                print("".join(_columns(each, options.align) for each in translations))
            else:
                for each in translations:
                    print(f"{number}\t{each.score:.4f}\t{_columns(each, options.align)}")
        sys.stdout.flush()
        first += len(batch)


def _batches(lines: Iterator[str], size: int) -> Iterator[list[str]]:
    """Lines in batches; those before one that cannot be read are not lost."""
    part: list[str] = []
    try:
        for line in lines:
            part.append(line)
            if len(part) == size:
                yield part
                part = []
    except DataError:
        if part:
            yield part
        raise
    if part:
        yield part


def _columns(found: "Translation", align: bool) -> str:
    return f"{found.text}\t{found.alignment}" if align else found.text


def _json(line: str, found: "Iterable[Translation]") -> str:
    translations = [
        {
            "text": each.text,
            "score": each.score,
            "log_probability": each.log_probability,
            "cut": each.cut,
            "alignment": [[source, target] for target, source in each.alignment.pairs],
        }
        for each in found
    ]
    return json.dumps({"source": line, "translations": translations}, ensure_ascii=False)


def _refuse_with_stream(runs: list[Path], *groups: Any) -> None:
    if len(runs) > 1:
        raise ConfigError(f"--stream: takes one RUN, given are {len(runs)}")
    refuse("--stream: reads standard input and takes each time the likeliest word", list(groups))


def _stream(model: "LoadedTranslator", run: Path, wait: int | None) -> "TranslationStream":
    try:
        return model.stream(wait)
    except ConfigError as error:
        raise ConfigError(f"{run}: {error}") from None


def stream_words(stream: "TranslationStream") -> None:
    """Translate the words of standard input as they come; each is printed at once."""
    from loopwise.codec.lines import STDIN, read_words

    between = ""
    for piece in read_words(STDIN, cast("BufferedReader", sys.stdin.buffer)):
        ended = piece == "\n"
        for word in stream.finish() if ended else stream.push(piece):
            sys.stdout.write(between + word)
            between = " "
        if ended:
            sys.stdout.write("\n")
            between = ""
        sys.stdout.flush()
