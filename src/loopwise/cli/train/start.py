"""How a training begins and ends at the command line, whatever the task."""

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from loopwise.cli.options import ConfigFile, Settings
from loopwise.errors import ConfigError
from loopwise.runs import Run

if TYPE_CHECKING:
    from loopwise.config import Section
    from loopwise.tasks.registry import Config
    from loopwise.train.loop import FitResult

C = TypeVar("C", bound="Section")


@dataclass(frozen=True)
class Start:
    """How a training begins: the options of its command that all tasks have."""

    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The run's directory.")]
    config: ConfigFile = None
    settings: Settings = None
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")] = False
    from_checkpoint: Annotated[
        str | None,
        typer.Option("--from-checkpoint", metavar="NAME", help="Continue from this checkpoint."),
    ] = None
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in --out.")] = (
        False
    )
    watch: Annotated[
        int | None,
        typer.Option("--watch", metavar="N", help="Look inside every N steps, like train.watch."),
    ] = None

    def options(self, **named: int | str | None) -> tuple[str, ...]:
        """All settings, those first that have an option of their own.

        Args:
            named: the values of these in the table ``data``, by their keys; None if not given.
        """
        keyed = {f"data.{key}": value for key, value in named.items()}
        keyed["train.watch"] = self.watch
        given = [f"{key}={value}" for key, value in keyed.items() if value is not None]
        return *given, *(self.settings or ())

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
            return load(self.config)
        if self.overwrite:
            raise ConfigError("--resume and --overwrite exclude each other: give one of them")
        resolved = load(Run.open(self.out).config_path)
        if self.config is not None:
            given = load(self.config)
            _require_same(resolved, given, self.config, unsaid(given))
        return resolved

    def require_input(self, task: str, what: str, *, gone: bool) -> None:
        """Refuse to continue a run that read standard input, where that is not given once more.

        Raises:
            ConfigError: a continued run whose input is `gone`.
        """
        if self.continues and gone:
            raise ConfigError(
                f"{self.out}: this run reads standard input: continue it with the same {what} once "
                f"more, ... | loopwise train {task} --resume --data -"
            )

    def train(self, config: "Config") -> None:
        """Train the task of `config`, and say what comes next.

        Raises:
            LoopwiseError: as `loopwise.train.launch.launch` raises.
        """
        # Before torch reads it: threads that spin for a core that another process has stall each
        # other. On two cores a short spin costs 5 % at most, and is 1.7 to 2.6 times as fast beside
        # a process that occupies one of them.
        if "OMP_WAIT_POLICY" not in os.environ:
            os.environ.setdefault("GOMP_SPINCOUNT", "1000")
        from loopwise.tasks.registry import make_task
        from loopwise.train.launch import launch
        from loopwise.train.processes import World

        result = launch(
            config,
            lambda world: make_task(config, world),
            self.out,
            resume=self.resume,
            from_checkpoint=self.from_checkpoint,
            overwrite=self.overwrite,
        )
        if World.current().rank == 0:
            _say_what_next(config, Run(self.out), result)
        if result.stopped == "interrupted":
            raise typer.Exit(130)


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


def _command() -> str:
    from loopwise.train.processes import World

    size = World.current().size
    return f"torchrun --nproc-per-node {size} -m loopwise" if size > 1 else "loopwise"


def _say_what_next(config: "Config", run: Run, result: "FitResult") -> None:
    path = shlex.quote(str(run.path))
    print(f"run: {run.path}")
    if result.stopped == "interrupted":
        print(f"continue: {_command()} train {config.task} --out {path} --resume")
    elif run.bundle_path.exists():
        print(f"try: loopwise {_what_next(config, path)}")


def _what_next(config: "Config", path: str) -> str:
    if config.task == "lm":
        return f"generate {path}"
    if config.task == "forecast":
        table = "FILE" if config.data.train == "-" else shlex.quote(config.data.train)
        ahead = " --future FILE" if config.data.future else ""
        return f"forecast {path} {table}{ahead} --level 80,95 --plot forecast.png"
    if config.task == "translation":
        return f"translate {path}{' --stream' if config.model.wait else ''}"
    if config.task == "speech":
        return f"transcribe {path} {'FILE' if config.model.bidirectional else '--stream'}"
    return f"evaluate {path}"
