"""``loopwise score`` of a language model: lines of text and their tokens."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loopwise.codec.corpus import Source
    from loopwise.codec.text import TextCodec
    from loopwise.runtime.language_model import LoadedLanguageModel

AT_ONCE = 256
"""Lines that are scored before the first of them is printed."""


def score_text(
    loaded: "LoadedLanguageModel", files: list[str], tokens: bool, as_json: bool
) -> None:
    """Print the log-probability of each line, or the surprisal of each token."""
    from loopwise.codec.corpus import read_sources

    lines = [line for source in read_sources(files) for line in _lines(source, loaded.codec)]
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
    scored = (
        (number, token.token, token.nats)
        for number, line in enumerate(lines, start=1)
        for token in loaded.score_tokens(line + b"\n")
    )
    print_tokens(scored, as_json)


def print_tokens(scored: Iterable[tuple[int, str, float]], as_json: bool) -> None:
    """Print a table of line number, token and surprisal, or objects of these."""
    if not as_json:
        print("line\ttoken\tsurprisal")
    for number, token, nats in scored:
        if as_json:
            record = {"line": number, "token": token, "surprisal": nats}
            print(json.dumps(record, ensure_ascii=False))
        else:
            print(f"{number}\t{token}\t{nats:.4f}")
