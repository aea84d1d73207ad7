"""From a table of series to a task."""

import os
import warnings
from typing import Any

import numpy as np
import torch

from loopwise.codec.series.codec import SeriesCodec
from loopwise.codec.series.panel import Panel, listed
from loopwise.codec.series.stamps import stamp_text
from loopwise.codec.series.table import panel_from_table
from loopwise.errors import ConfigError, DataError, DataWarning
from loopwise.runtime.bundle import Bundle
from loopwise.tasks.forecast.config import DataConfig, ForecastConfig
from loopwise.tasks.forecast.plan import columns_of
from loopwise.tasks.forecast.task import ForecastTask
from loopwise.tasks.forecast.validation import held_out_places
from loopwise.train.launch import launch
from loopwise.train.loop import FitResult
from loopwise.train.processes import World
from loopwise.train.training import put_weights


def train(
    config: ForecastConfig,
    out: str | os.PathLike[str],
    panel: Panel | None = None,
    *,
    init: Bundle | None = None,
    **options: Any,
) -> FitResult:
    """Train a forecaster and write a run.

    Args:
        config: all options.
        out: the run's directory.
        panel: the series; None reads the table that ``config.data`` names.
        init: a forecaster whose weights the training begins with; None for new ones.
        options: keyword arguments of `loopwise.train.launch.launch`, which has the errors, too.
    """

    def make(world: World) -> ForecastTask:
        task = make_task(config, world, panel)
        if init is not None:
            begin_with(task, init)
        return task

    return launch(config, make, out, **options)


def _require_counts(config: ForecastConfig, panel: Panel) -> None:
    """Refuse values that the output knows no chance of."""
    output = config.model.made_output
    if not output.counts:
        return
    values, most = panel.values, 1.0 if output.name == "bernoulli" else np.inf
    wrong = (values < 0) | (values > most)
    if config.data.missing != "interpolate":  # which puts fractions between whole numbers
        wrong |= np.isfinite(values) & (values != np.floor(values))
    if not wrong.any():
        return
    place, target = (int(found[0]) for found in np.nonzero(wrong))
    i = int(np.searchsorted(panel.offsets, place, side="right")) - 1
    stamp = stamp_text(panel.frequency.at(panel.first[i], place - panel.offsets[i]))
    allowed = "0 or 1" if output.name == "bernoulli" else "a whole number from 0"
    raise DataError(
        f"series {panel.ids[i]!r}, {stamp}: {panel.targets[target]!r} is "
        f"{values[place, target]:g}; with model.output={output.name} it must be {allowed}"
    )


def _require_held_out(task: ForecastTask) -> None:
    if len(held_out_places(task)[0]):
        return
    valid = task.config.data.valid
    if valid and valid < task.horizon:
        raise DataError(
            f"data.valid={valid} points are held out, and the horizon is {task.horizon}: there is "
            f"nothing to validate on; hold out {task.horizon} or more, or 0 to choose"
        )
    raise DataError(
        f"{task.panel.longest}; with a horizon of {task.horizon} at least "
        f"{task.horizon + 2} are needed, to hold out one horizon to validate on"
    )


def _tell_unvalidated(task: ForecastTask) -> None:
    """Warn of series that have no room for a held-out window."""
    lengths = task.panel.lengths
    needed = 2 + (task.config.data.valid or task.horizon)
    short = np.flatnonzero(lengths < needed)
    if not len(short):
        return
    names = listed([task.panel.ids[i] for i in short])
    warnings.warn(
        f"{len(short)} of {len(lengths)} series have fewer than {needed} points, so nothing of "
        f"them is validated on: {names}",
        DataWarning,
        stacklevel=2,
    )


def begin_with(task: ForecastTask, bundle: Bundle) -> None:
    """Give a task's model the weights of a forecaster.

    Raises:
        ConfigError: it is no forecaster, or one of another network, other covariates, other
            categories or, where each series has weights of its own, other series.
    """
    if bundle.task != "forecaster":
        raise ConfigError(f"training begins with a forecaster's weights, not a {bundle.task}'s")
    theirs = SeriesCodec.from_json(bundle.codec)
    ours = task.codec
    for name in ("targets", "past", "future", "static", "categories", "category_values"):
        before, now = getattr(theirs.schema, name), getattr(ours.schema, name)
        if before != now:
            raise ConfigError(
                f"training begins with a forecaster of other {name}: {_list(before)} in it and "
                f"{_list(now)} here"
            )
    if theirs.series != ours.series:
        raise ConfigError(
            "training begins with a forecaster that learned a smoothing for each series, and "
            "these are others: give the same series, or another model.scale"
        )
    weights = {
        name: torch.from_numpy(np.asarray(array, np.float32))
        for name, array in bundle.tensors.items()
        if name != "calibration"
    }
    put_weights(task.model, weights, "the forecaster to begin with")


def _list(values: tuple[Any, ...]) -> str:
    return ", ".join(map(str, values)) or "none"


def read_panel(data: DataConfig) -> Panel:
    """The series of the file that options name.

    Args:
        data: the file, columns, layout, frequency, what to do about what is missing.

    Raises:
        DataError: as `loopwise.codec.series.table.panel_from_table`.
    """
    from loopwise.codec.series.files import naming, read_table

    if not data.train:
        raise DataError("no table: give --data, a CSV or Parquet file or - for standard input")
    frame = read_table(data.train)
    with naming(data.train):
        return panel_from_table(
            frame,
            columns_of(data),
            frequency=data.frequency or None,
            missing=data.missing,
            layout=data.layout,
        )


def make_task(config: ForecastConfig, world: World, panel: Panel | None = None) -> ForecastTask:
    """The task of `config`, for one process.

    Args:
        config: all options.
        world: this process and how many there are.
        panel: the series; None for those of the file in `config`.

    Raises:
        DataError: the table cannot be read, or there is too little in it.

    Warns:
        DataWarning: series are too short to be validated on.
    """
    panel = read_panel(config.data) if panel is None else panel
    _require_counts(config, panel)
    task = ForecastTask(config, panel, world)
    _require_held_out(task)
    if world.rank == 0:
        _tell_unvalidated(task)
    return task
