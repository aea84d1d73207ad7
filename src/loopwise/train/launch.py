"""From a configuration to a finished run, whatever the task."""

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console

from loopwise import engine
from loopwise.errors import ConfigError, DataError, FileError, LoopwiseError, MissingExtraError
from loopwise.runs import Run
from loopwise.train.config import TrainConfig
from loopwise.train.loop import FitResult, fit
from loopwise.train.machine import require_machine
from loopwise.train.processes import World
from loopwise.train.task import Task


class Launchable(Protocol):
    """The whole configuration of a training."""

    @property
    def train(self) -> TrainConfig:
        """The options of the loop."""
        ...

    def to_toml(self) -> str:
        """What the run keeps as its configuration."""
        ...


def launch(
    config: Launchable,
    make_task: Callable[[World], Task[Any]],
    out: str | os.PathLike[str],
    *,
    resume: bool = False,
    from_checkpoint: str | None = None,
    overwrite: bool = False,
    console: Console | None = None,
) -> FitResult:
    """Train a task and write a run. Nothing is written before the task is made.

    Args:
        config: all options.
        make_task: the task that they describe, with its data read, for one process.
        out: the run's directory.
        resume: continue from the run's latest checkpoint.
        from_checkpoint: continue from this one.
        overwrite: replace an earlier run at `out`.
        console: for messages; None for standard output.

    Raises:
        LoopwiseError: as `make_task`, `Run` and `fit` raise.
        ConfigError: a model that is too large for the machine.
    """
    world, resume = World.current(), resume or from_checkpoint is not None
    require_machine(config.train)
    run = Run.open(out) if resume else Run(Path(out))
    with _enough_memory():
        task = make_task(world)
    first = world.rank == 0  # only this process writes
    if first and not resume:
        run = Run.create(out, overwrite=overwrite)
    with _owned(run, config) if first else nullcontext():
        if first:
            _introduce(task, console or Console())
        return fit(
            task,
            config.train,
            run,
            resume=resume,
            from_checkpoint=from_checkpoint,
            console=console,
        )


@contextmanager
def _enough_memory() -> Generator[None]:
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, LoopwiseError) or "alloc" not in str(error).lower():
            raise
        raise ConfigError("model: no memory for it; lower model.hidden_size") from None


@contextmanager
def _owned(run: Run, config: Launchable) -> Generator[None]:
    """Lock `run` and write `config`; what does not fit machine or checkpoint does not stay."""
    with run.locked():
        before = run.config_path.read_text(encoding="utf-8") if run.config_path.exists() else None
        run.write_config(config.to_toml())
        try:
            yield
        except (ConfigError, DataError, FileError, MissingExtraError) as error:
            if before is not None:
                run.write_config(before)
            elif not isinstance(error, FileError):  # a full disk leaves a run to continue
                run.config_path.unlink()
            raise


def _introduce(task: Task[Any], console: Console) -> None:
    note = "" if engine.available() else "\nno native engine, so slower: see loopwise doctor"
    console.print(task.summary + note, markup=False, highlight=False, soft_wrap=True)
