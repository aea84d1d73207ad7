"""``loopwise score``: how likely lines or tokens are to a model."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from loopwise.cli.model import open_model
from loopwise.cli.options import Json, Model

if TYPE_CHECKING:
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
    """Log-probability of each line, or of tokens.

    Prints the natural logarithm of a line's probability, its end included, and the line. Every line
    stands alone, as if at the beginning of a text. With --tokens: line number, token, surprisal.
    """
    from loopwise.codec.corpus import read_sources

    loaded = open_model(model)
    lines = [
        line
        for source in read_sources([file])
        for line in source.text().removesuffix("\n").split("\n")
    ]
    if tokens:
        _print_tokens(loaded, lines, as_json)
    else:
        _print_lines(loaded, lines, as_json)


def _print_lines(loaded: "LoadedLanguageModel", lines: list[str], as_json: bool) -> None:
    for at in range(0, len(lines), AT_ONCE):
        part = lines[at : at + AT_ONCE]
        for line, nats in zip(part, loaded.score([line + "\n" for line in part]), strict=True):
            record = {"text": line, "log_probability": nats}
            print(json.dumps(record, ensure_ascii=False) if as_json else f"{nats:.4f}\t{line}")


def _print_tokens(loaded: "LoadedLanguageModel", lines: list[str], as_json: bool) -> None:
    for number, line in enumerate(lines, start=1):
        for token in loaded.score_tokens(line + "\n"):
            record = {"line": number, "token": token.token, "surprisal": token.nats}
            if as_json:
                print(json.dumps(record, ensure_ascii=False))
            else:
                print(f"{number}\t{token.token}\t{token.nats:.4f}")
