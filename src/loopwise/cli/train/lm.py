"""``loopwise train lm``: a language model from text."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loopwise.cli.options import ConfigFile, Settings
from loopwise.cli.train.options import FromCheckpoint, Out, Overwrite, Resume, Watch, all_settings
from loopwise.cli.train.start import Start
from loopwise.errors import ConfigError

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


def lm(
    out: Out,
    data: Data = None,
    valid: Valid = None,
    config: ConfigFile = None,
    settings: Settings = None,
    resume: Resume = False,
    from_checkpoint: FromCheckpoint = None,
    overwrite: Overwrite = False,
    watch: Watch = None,
) -> None:
    """Train a language model on text.

    Several paths may follow --data and --valid. The options of the model and the training, with
    their defaults, are printed by `loopwise config lm`.
    """
    from loopwise.tasks.lm.config import LMConfig

    start = Start(out, config, resume, from_checkpoint, overwrite)
    options = all_settings(settings, {"train.watch": watch})

    def load(file: Path | None) -> LMConfig:
        return _with_text(LMConfig.load(file, options), data, valid)

    resolved = start.resolve(load, _unsaid_text)
    if start.continues and resolved.data.from_stdin and not data and not valid:
        raise ConfigError(
            f"{out}: this run reads standard input: continue it with the same text once more, "
            "... | loopwise train lm --resume --data -"
        )
    start.train(resolved)


def _with_text(config: "LMConfig", data: list[str] | None, valid: list[str] | None) -> "LMConfig":
    given = {"train": tuple(data or ()), "valid": tuple(valid or ())}
    text = {**config.data.model_dump(), **{name: paths for name, paths in given.items() if paths}}
    parsed = type(config.data).parse(text, where="--data and --valid")
    return config.model_copy(update={"data": parsed.absolute()})


def _unsaid_text(given: "LMConfig") -> list[str]:
    return [f"data.{name}" for name in ("train", "valid") if not getattr(given.data, name)]
