"""From a table of series to a task."""

from typing import Any

from loopwise.codec.series.panel import Panel
from loopwise.codec.series.table import panel_from_table
from loopwise.errors import DataError
from loopwise.tasks.forecast.config import DataConfig, ForecastConfig
from loopwise.tasks.forecast.plan import columns_of
from loopwise.tasks.forecast.task import ForecastTask
from loopwise.train.processes import World


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
