"""``loopwise train speech``: a recognizer from recordings and what is said in them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loopwise.cli.grouping import grouped
from loopwise.cli.train.start import Start

if TYPE_CHECKING:
    from loopwise.tasks.speech.config import DataConfig, SpeechConfig


def _paths(option: str, text: str) -> Any:
    return typer.Option(option, metavar="PATH...", help=text)


@grouped
def speech(
    *,
    data: Annotated[
        list[str] | None,
        _paths(
            "--data",
            "Utterances: manifests (JSON lines, TSV), Kaldi folders, or folders of audio with "
            "texts beside it.",
        ),
    ] = None,
    valid: Annotated[
        list[str] | None,
        _paths("--valid", "Utterances to validate on; without them, some speakers of --data."),
    ] = None,
    lexicon: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Pronunciations, as of CMU's dictionary; for phones."),
    ] = None,
    start: Start,
) -> None:
    """Train a recognizer of speech.

    A line of a manifest is {"audio": FILE, "text": WHAT IS SAID}, with "speaker", "start" and "end"
    as they are known. Several paths may follow --data and --valid. All options, with their
    defaults, are printed by `loopwise config speech`.
    """
    from loopwise.tasks.speech.config import SpeechConfig

    options = start.options(lexicon=None if lexicon is None else json.dumps(lexicon))
    given = {"train": tuple(data or ()), "valid": tuple(valid or ())}
    files = {name: paths for name, paths in given.items() if paths}

    def load(file: Path | None) -> "SpeechConfig":
        loaded = SpeechConfig.load(file, options)
        return loaded.model_copy(update={"data": _with_files(loaded.data, files)})

    resolved = start.resolve(load, _unsaid)
    start.require_input("speech", "utterances", gone=resolved.data.from_stdin and not files)
    start.train(resolved)


def _with_files(data: "DataConfig", files: dict[str, tuple[str, ...]]) -> "DataConfig":
    parsed = type(data).parse({**data.model_dump(), **files}, where="--data and --valid")
    return parsed.absolute()


def _unsaid(given: "SpeechConfig") -> list[str]:
    return [f"data.{name}" for name in ("train", "valid") if not getattr(given.data, name)]
