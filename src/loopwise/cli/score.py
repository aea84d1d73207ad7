"""``loopwise score``: how likely lines or tokens are to a model."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from loopwise.cli.model import open_language_model, open_model_before
from loopwise.cli.options import Json, Model

if TYPE_CHECKING:
    from loopwise.codec.corpus import Source
    from loopwise.codec.text import TextCodec
    from loopwise.runtime.language_model import LoadedLanguageModel

AT_ONCE = 256
"""Lines that are scored before the first of them is printed."""


def score(
    model: Model,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A text file, .gz, or - for standard input.")
    ] = "-",
    tokens: Annotated[
        bool, typer.Option("--tokens", help="The surprisal of every token instead.")
    ] = False,
    as_json: Json = False,
) -> None:
    r"""Log-probability of each line, or of tokens.

    Prints the natural logarithm of a line's probability, its end included, and the line. Every line
    stands alone, as if at the beginning of a text. With --tokens: a table of line number, token and
    surprisal. A model of bytes scores any file; what is not UTF-8 is shown as \xff.
    """
    from loopwise.codec.corpus import read_sources

    loaded = open_language_model(model, open_model_before([file], model, "score"))
    lines = [line for source in read_sources([file]) for line in _lines(source, loaded.codec)]
    if tokens:
        _print_tokens(loaded, lines, as_json)
    else:
        _print_lines(loaded, lines, as_json)


def _lines(source: "Source", codec: "TextCodec") -> list[bytes]:
    if codec.unit != "bytes":
        source.text()  # refuses what is not UTF-8 while file and offset are known
    return source.data.removesuffix(b"\n").split(b"\n")


def _print_lines(loaded: "LoadedLanguageModel", lines: list[bytes], as_json: bool) -> None:
    for at in range(0, len(lines), AT_ONCE):
        part = lines[at : at + AT_ONCE]
        for line, nats in zip(part, loaded.score([line + b"\n" for line in part]), strict=True):
            text = line.decode("utf-8", "backslashreplace")
            record = {"text": text, "log_probability": nats}
            print(json.dumps(record, ensure_ascii=False) if as_json else f"{nats:.4f}\t{text}")


def _print_tokens(loaded: "LoadedLanguageModel", lines: list[bytes], as_json: bool) -> None:
    if not as_json:
        print("line\ttoken\tsurprisal")
    for number, line in enumerate(lines, start=1):
        for token in loaded.score_tokens(line + b"\n"):
            record = {"line": number, "token": token.token, "surprisal": token.nats}
            if as_json:
                print(json.dumps(record, ensure_ascii=False))
            else:
                print(f"{number}\t{token.token}\t{token.nats:.4f}")
