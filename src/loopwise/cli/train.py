"""``loopwise train``: one subcommand per task."""

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from loopwise.cli.options import ConfigFile, Settings
from loopwise.errors import ConfigError
from loopwise.runs import Run

if TYPE_CHECKING:
    from loopwise.tasks.lm.config import LMConfig
    from loopwise.train.loop import FitResult

app = typer.Typer(help="Train a model.", no_args_is_help=True)

Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="The run's directory.")]
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
Resume = Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")]
FromCheckpoint = Annotated[
    str | None,
    typer.Option("--from-checkpoint", metavar="NAME", help="Continue from this checkpoint."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the run in --out.")]


class ManyPaths(TyperCommand):
    """Lets several values follow ``--data`` and ``--valid``, as a shell's glob leaves them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the option before each of its values."""
        spread: list[str] = []
        option = None
        for arg in args:
            is_value = arg == "-" or not arg.startswith("-")
            if is_value and option is not None and spread[-1] != option:
                spread.append(option)
            spread.append(arg)
            if not is_value:
                option = arg if arg in ("--data", "--valid") else None
        return super().parse_args(ctx, spread)


@app.callback()
def tasks() -> None:
    """Train a model."""


@app.command(cls=ManyPaths)
def lm(
    out: Out,
    data: Data = None,
    valid: Valid = None,
    config: ConfigFile = None,
    settings: Settings = None,
    resume: Resume = False,
    from_checkpoint: FromCheckpoint = None,
    overwrite: Overwrite = False,
) -> None:
    """Train a language model on text.

    Several paths may follow --data and --valid. The options of the model and the training, with
    their defaults, are printed by `loopwise config lm`.
    """
    from loopwise.tasks.lm.config import LMConfig

    resume = resume or from_checkpoint is not None
    if resume and overwrite:
        raise ConfigError("--resume and --overwrite exclude each other: give one of them")
    file = Run.open(out).config_path if resume else config
    resolved = _with_text(LMConfig.load(file, settings or []), data, valid)
    if resume and config is not None:
        given = _with_text(LMConfig.load(config, settings or []), data, valid)
        _require_same(resolved, given, config)
    if resume and resolved.data.from_stdin and not data and not valid:
        raise ConfigError(
            f"{out}: this run reads standard input: continue it with the same text once more, "
            "... | loopwise train lm --resume --data -"
        )
    _train(resolved, out, resume=resume, from_checkpoint=from_checkpoint, overwrite=overwrite)


def _with_text(config: "LMConfig", data: list[str] | None, valid: list[str] | None) -> "LMConfig":
    given = {"train": tuple(data or ()), "valid": tuple(valid or ())}
    text = {**config.data.model_dump(), **{name: paths for name, paths in given.items() if paths}}
    parsed = type(config.data).parse(text, where="--data and --valid")
    return config.model_copy(update={"data": parsed.absolute()})


def _require_same(run: "LMConfig", given: "LMConfig", file: Path) -> None:
    """A file may be given again to continue, as long as it says what the run has."""
    unsaid = [f"data.{name}" for name in ("train", "valid") if not getattr(given.data, name)]
    differences = [
        f"{key}: the run has {ours}, {file} says {theirs}"
        for key, (ours, theirs) in run.differences(given).items()
        if key not in unsaid
    ]
    if differences:
        raise ConfigError(
            "--resume goes on with the options of the run; to change some, use --set\n"
            + "\n".join(differences)
        )


def _train(
    config: "LMConfig", out: Path, *, resume: bool, from_checkpoint: str | None, overwrite: bool
) -> None:
    # Before torch reads it: threads that spin for a core that another process has stall each other.
    # On two cores a short spin costs 5 % at most, and is 1.7 to 2.6 times as fast beside a process
    # that occupies one of them.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    from loopwise.tasks.lm.training import train
    from loopwise.train.processes import World

    result = train(config, out, resume=resume, from_checkpoint=from_checkpoint, overwrite=overwrite)
    if World.current().rank == 0:
        _say_what_next(Run(out), result)
    if result.stopped == "interrupted":
        raise typer.Exit(130)


def _command() -> str:
    from loopwise.train.processes import World

    size = World.current().size
    return f"torchrun --nproc-per-node {size} -m loopwise" if size > 1 else "loopwise"


def _say_what_next(run: Run, result: "FitResult") -> None:
    path = shlex.quote(str(run.path))
    print(f"run: {run.path}")
    if result.stopped == "interrupted":
        print(f"continue: {_command()} train lm --out {path} --resume")
    elif run.bundle_path.exists():
        print(f"try: loopwise generate {path}")
