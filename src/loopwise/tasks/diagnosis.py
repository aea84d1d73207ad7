"""The diagnosis of a run, whatever its task: its model, its data, what its log says."""

import os
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from loopwise.diagnose.report import Report, Training
from loopwise.errors import ConfigError, missing_extra
from loopwise.nn.state import detach
from loopwise.runs import Run
from loopwise.tasks.registry import Config, read_checkpoint, read_config, remake_task

if TYPE_CHECKING:
    from loopwise.train.task import Task

WINDOW = 256
"""Tokens that a language model is read over at least: memory beyond the trained window shows."""
ROWS = 16
"""Sequences that are read at once, at most."""
RECENT = 10
"""Last records of a log whose mean counts."""


def diagnose_run(
    path: str | os.PathLike[str],
    data: tuple[str, ...] = (),
    *,
    checkpoint: str = "latest",
    thorough: bool = True,
) -> Report:
    """Measure a run's model on a batch of its training data.

    Args:
        path: the run's directory.
        data: for a language model: other text, as ``--data`` takes it; for a forecaster: another
            table.
        checkpoint: ``"latest"``, ``"best"``, or one by name, step or path.
        thorough: as in `loopwise.diagnose`.

    Raises:
        RunError: no run, or one without a checkpoint.
        CheckpointError: a checkpoint that is not there or damaged.
        ConfigError: options that cannot be read, or `data` for a task that makes up its own.
        DataError: data that cannot be read.
        MissingExtraError: training is not installed.
    """
    try:
        from loopwise.diagnose.measure import examine
        from loopwise.train.optimizers import make_optimizer
        from loopwise.train.training import load_optimizer, load_weights
    except ModuleNotFoundError as error:
        raise missing_extra(error, "loopwise diagnose") from error
    run = Run.open(path)
    config = read_config(run)
    found = read_checkpoint(run, checkpoint)
    task = remake_task(_to_look_at(config, data))
    load_weights(task.model, found.tensors)
    optimizer = make_optimizer(config.train, task.model)
    load_optimizer(optimizer, found)
    context = _context(run, config, task, found.step)
    if context.lr:
        for group in optimizer.param_groups:
            group["lr"] = context.lr
    task.model.train()
    batch, state = _batch(task)
    return examine(
        task.model,
        lambda: task.loss(task.model, batch, state).loss,
        optimizer=optimizer,
        data=task.dependence(),
        training=context,
        thorough=thorough,
    )


@dataclass(frozen=True)
class Fix:
    """A changed configuration.

    Attributes:
        config: with the changes.
        settings: these, as ``--set`` takes them.
    """

    config: Config
    settings: tuple[str, ...]


def fix(config: Config, report: Report) -> Fix | None:
    """Change `config` by the first remedy of each finding that it has not taken already.

    Once a remedy takes another cell, it is the last: what else was found is of gates, units and
    gradients that are gone with the cell.

    Returns:
        None if no finding has a remedy that is allowed here and would change anything.
    """
    taken: list[str] = []
    for finding in report.findings:
        for remedy in finding.remedies:
            settings = remedy.split()
            keys = {setting.partition("=")[0] for setting in settings}
            if keys & {setting.partition("=")[0] for setting in taken}:
                break  # a graver finding has settled this
            if _changes(config, taken, settings):
                taken += settings
                break
        if "model.cell" in {setting.partition("=")[0] for setting in taken}:
            break
    if not taken:
        return None
    return Fix(config.changed(taken), tuple(taken))


def _changes(config: Config, taken: list[str], settings: list[str]) -> bool:
    try:
        before, after = config.changed(taken), config.changed([*taken, *settings])
    except ConfigError:
        return False
    return before != after


def _to_look_at(config: Config, data: tuple[str, ...]) -> Config:
    """The same with a batch that shows much and costs little."""
    rows = min(config.train.batch_size, ROWS)
    if config.task != "lm":
        few = config.train.model_copy(update={"batch_size": rows})
        if not data:
            return config.model_copy(update={"train": few})
        if config.task == "translation":
            raise ConfigError("a translator is looked at on the run's own pairs: give no files")
        if config.task == "speech":
            raise ConfigError(
                "a recognizer is looked at on the run's own recordings: give no files"
            )
        if config.task != "forecast":
            raise ConfigError(f"{config.task} makes up its data: give no files")
        file, *others = data
        if others:
            raise ConfigError(f"a forecaster is looked at on one table, given are {len(data)}")
        table = config.data.model_copy(update={"train": file}).absolute()
        return config.model_copy(update={"train": few, "data": table})
    window = max(config.train.window, WINDOW)
    changes = {"batch_size": rows, "window": window, "vary_window": False}
    text = config.data
    if data:
        text = text.model_copy(update={"train": data}).absolute()
    return config.model_copy(
        update={"train": config.train.model_copy(update=changes), "data": text}
    )


def _batch(task: "Task[Any]") -> tuple[Any, Any]:
    """A batch, and the state that the one before it has left, where the task carries one."""
    import torch

    first = task.batches.next()
    with torch.no_grad():
        state = task.loss(task.model, first, None).state
    if state is None or task.batches.starts_epoch:
        return first, None
    return task.batches.next(), detach(state)


def _context(run: Run, config: Config, task: "Task[Any]", step: int) -> Training:
    records = [r for r in run.records() if r["kind"] == "train" and r["step"] <= step][-RECENT:]
    clipped = [r["clipped"] for r in records if r["clipped"] is not None]
    return Training(
        step,
        fmean(clipped) if clipped else None,
        config.train.clip,
        records[-1]["lr"] if records else config.train.lr,
        config.train.window if config.task == "lm" else None,
    )
