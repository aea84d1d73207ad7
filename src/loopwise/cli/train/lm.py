"""``loopwise train lm``: a language model from text."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loopwise.cli.grouping import grouped
from loopwise.cli.train.start import Start

if TYPE_CHECKING:
    from loopwise.tasks.lm.config import LMConfig

Data = Annotated[
    list[str] | None,
    typer.Option(
        "--data", metavar="PATH...", help="Text: files, folders, globs, .gz, - for standard input."
    ),
]
Valid = Annotated[
    list[str] | None,
    typer.Option(
        "--valid", metavar="PATH...", help="Text to validate on; without it, the end of --data."
    ),
]


@grouped
def lm(
    *,
    data: Data = None,
    valid: Valid = None,
    start: Start,
) -> None:
    """Train a language model on text.

    Several paths may follow --data and --valid. The options of the model and the training, with
    their defaults, are printed by `loopwise config lm`.
    """
    from loopwise.tasks.lm.config import LMConfig

    options = start.options()

    def load(file: Path | None) -> LMConfig:
        return _with_text(LMConfig.load(file, options), data, valid)

    resolved = start.resolve(load, _unsaid_text)
    start.require_input("lm", "text", gone=resolved.data.from_stdin and not (data or valid))
    start.train(resolved)


def _with_text(config: "LMConfig", data: list[str] | None, valid: list[str] | None) -> "LMConfig":
    given = {"train": tuple(data or ()), "valid": tuple(valid or ())}
    text = {**config.data.model_dump(), **{name: paths for name, paths in given.items() if paths}}
    parsed = type(config.data).parse(text, where="--data and --valid")
    return config.model_copy(update={"data": parsed.absolute()})


def _unsaid_text(given: "LMConfig") -> list[str]:
    return [f"data.{name}" for name in ("train", "valid") if not getattr(given.data, name)]
