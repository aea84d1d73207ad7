"""``loopwise train``: one subcommand per task."""

import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from typer.core import TyperCommand

from loopwise.cli.options import ConfigFile, Settings
from loopwise.errors import ConfigError
from loopwise.runs import Run

if TYPE_CHECKING:
    from loopwise.config import Section
    from loopwise.tasks.lm.config import LMConfig
    from loopwise.tasks.registry import Config
    from loopwise.tasks.synthetic.problems import Name
    from loopwise.train.loop import FitResult

C = TypeVar("C", bound="Section")

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
Length = Annotated[
    int | None,
    typer.Option("--length", metavar="N", help="Steps to be remembered, like data.length."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")]
FromCheckpoint = Annotated[
    str | None,
    typer.Option("--from-checkpoint", metavar="NAME", help="Continue from this checkpoint."),
]
Watch = Annotated[
    int | None,
    typer.Option("--watch", metavar="N", help="Look inside every N steps, like train.watch."),
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
    watch: Watch = None,
) -> None:
    """Train a language model on text.

    Several paths may follow --data and --valid. The options of the model and the training, with
    their defaults, are printed by `loopwise config lm`.
    """
    from loopwise.tasks.lm.config import LMConfig

    options = _options(settings, {"train.watch": watch})
    start = Start(out, config, options, resume, from_checkpoint, overwrite)

    def load(file: Path | None) -> LMConfig:
        return _with_text(LMConfig.load(file, start.settings), data, valid)

    resolved = start.resolve(load, _unsaid_text)
    if start.continues and resolved.data.from_stdin and not data and not valid:
        raise ConfigError(
            f"{out}: this run reads standard input: continue it with the same text once more, "
            "... | loopwise train lm --resume --data -"
        )
    _train(resolved, start)


def _synthetic(name: "Name", about: str) -> None:
    """Add the command of a synthetic task."""

    def command(
        out: Out,
        length: Length = None,
        config: ConfigFile = None,
        settings: Settings = None,
        resume: Resume = False,
        from_checkpoint: FromCheckpoint = None,
        overwrite: Overwrite = False,
        watch: Watch = None,
    ) -> None:
        from loopwise.tasks.registry import config_class

        options = _options(settings, {"data.length": length, "train.watch": watch})
        start = Start(out, config, options, resume, from_checkpoint, overwrite)
        _train(start.resolve(lambda file: config_class(name).load(file, options)), start)

    app.command(name, help=f"{about}\n\n{_ABOUT_SYNTHETIC.format(name)}")(command)


def _options(settings: list[str] | None, named: Mapping[str, int | None]) -> tuple[str, ...]:
    """All settings, those first that have an option of their own."""
    given = [f"{key}={value}" for key, value in named.items() if value is not None]
    return *given, *(settings or ())


_ABOUT_SYNTHETIC = (
    "Sequences are made up as they are needed. All options, with their defaults, are printed by "
    "`loopwise config {}`."
)
_synthetic("adding", "Train to add two marked numbers among many.")
_synthetic("copy", "Train to repeat ten symbols after a long pause.")
_synthetic("parity", "Train to say whether the ones so far are odd.")
_synthetic("delayed-recall", "Train to name the first symbol after many others.")


@dataclass(frozen=True)
class Start:
    """How a training begins: what the commands of all tasks are given."""

    out: Path
    file: Path | None
    settings: tuple[str, ...]
    resume: bool
    from_checkpoint: str | None
    overwrite: bool

    @property
    def continues(self) -> bool:
        """Whether there is a run already that is to go on."""
        return self.resume or self.from_checkpoint is not None

    def resolve(
        self, load: Callable[[Path | None], C], unsaid: Callable[[C], list[str]] = lambda _: []
    ) -> C:
        """All options: those of the run where one continues, else of the file.

        Args:
            load: reads a file, or the defaults, with what else was given on top.
            unsaid: keys of which a file need not say what the run has.

        Raises:
            ConfigError: options that exclude each other, or a file that the run differs from.
        """
        if not self.continues:
            return load(self.file)
        if self.overwrite:
            raise ConfigError("--resume and --overwrite exclude each other: give one of them")
        resolved = load(Run.open(self.out).config_path)
        if self.file is not None:
            given = load(self.file)
            _require_same(resolved, given, self.file, unsaid(given))
        return resolved


def _with_text(config: "LMConfig", data: list[str] | None, valid: list[str] | None) -> "LMConfig":
    given = {"train": tuple(data or ()), "valid": tuple(valid or ())}
    text = {**config.data.model_dump(), **{name: paths for name, paths in given.items() if paths}}
    parsed = type(config.data).parse(text, where="--data and --valid")
    return config.model_copy(update={"data": parsed.absolute()})


def _unsaid_text(given: "LMConfig") -> list[str]:
    return [f"data.{name}" for name in ("train", "valid") if not getattr(given.data, name)]


def _require_same(run: "Section", given: "Section", file: Path, unsaid: list[str]) -> None:
    """A file may be given again to continue, as long as it says what the run has."""
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


def _train(config: "Config", start: Start) -> None:
    # Before torch reads it: threads that spin for a core that another process has stall each other.
    # On two cores a short spin costs 5 % at most, and is 1.7 to 2.6 times as fast beside a process
    # that occupies one of them.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    from loopwise.tasks.registry import make_task
    from loopwise.train.launch import launch
    from loopwise.train.processes import World

    result = launch(
        config,
        lambda world: make_task(config, world),
        start.out,
        resume=start.resume,
        from_checkpoint=start.from_checkpoint,
        overwrite=start.overwrite,
    )
    if World.current().rank == 0:
        _say_what_next(config.task, Run(start.out), result)
    if result.stopped == "interrupted":
        raise typer.Exit(130)


def _command() -> str:
    from loopwise.train.processes import World

    size = World.current().size
    return f"torchrun --nproc-per-node {size} -m loopwise" if size > 1 else "loopwise"


def _say_what_next(task: str, run: Run, result: "FitResult") -> None:
    path = shlex.quote(str(run.path))
    print(f"run: {run.path}")
    if result.stopped == "interrupted":
        print(f"continue: {_command()} train {task} --out {path} --resume")
    elif run.bundle_path.exists():
        print(f"try: loopwise {'generate' if task == 'lm' else 'evaluate'} {path}")
