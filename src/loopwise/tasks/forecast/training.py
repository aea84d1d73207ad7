"""From a table of series to a task."""

import os
from typing import Any

import numpy as np
import torch

from loopwise.codec.series.codec import SeriesCodec
from loopwise.codec.series.panel import Panel
from loopwise.codec.series.table import panel_from_table
from loopwise.errors import ConfigError, DataError
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
        _require_held_out(task)
        if init is not None:
            begin_with(task, init)
        return task

    return launch(config, make, out, **options)


def _require_held_out(task: ForecastTask) -> None:
    if len(held_out_places(task)[0]):
        return
    longest, valid = int(task.panel.lengths.max(initial=0)), task.config.data.valid
    if valid and valid < task.horizon:
        raise DataError(
            f"data.valid={valid} points are held out, and the horizon is {task.horizon}: there is "
            f"nothing to validate on; hold out {task.horizon} or more, or 0 to choose"
        )
    raise DataError(
        f"the longest series has {longest} points; with a horizon of {task.horizon} at least "
        f"{task.horizon + 2} are needed, to hold out one horizon to validate on"
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


def read_panel(data: DataConfig, frame: Any = None) -> Panel:
    """The series that options describe.

    Args:
        data: columns, layout, frequency, what to do about what is missing.
        frame: a data frame; None for the file that they name.

    Raises:
        DataError: as `loopwise.codec.series.table.panel_from_table`.
    """
    if frame is None:
        from loopwise.codec.series.files import read_table

        if not data.train:
            raise DataError("no table: give --data, a CSV or Parquet file or - for standard input")
        frame = read_table(data.train)
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
    """
    return ForecastTask(config, read_panel(config.data) if panel is None else panel, world)
