"""``loopwise forecast``: what comes after the series of a table."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from loopwise.cli.model import open_model_before
from loopwise.cli.options import Model
from loopwise.cli.tables import (
    Layout,
    Missing,
    Point,
    aligned,
    numbers_of,
    read,
    require_forecaster,
)
from loopwise.errors import ConfigError, missing_extra

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from loopwise.codec.series.panel import Panel
    from loopwise.runtime.forecaster import LoadedForecaster
    from loopwise.runtime.forecasts import Forecasts

HEAD = 12
"""Rows of a table that are printed."""


def forecast(
    model: Model,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="The series up to now: CSV (also .gz), Parquet, - for stdin."
        ),
    ],
    horizon: Annotated[
        int | None,
        typer.Option("--horizon", metavar="N", help="Steps.  [default: the model's]", min=1),
    ] = None,
    level: Annotated[
        str | None,
        typer.Option(metavar="P,...", help="Intervals that hold so many percent, as 80,95."),
    ] = None,
    quantiles: Annotated[
        str | None, typer.Option(metavar="P,...", help="Quantiles, as 0.1,0.9.")
    ] = None,
    future: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Covariates known ahead, over the steps forecast."),
    ] = None,
    paths: Annotated[
        int | None, typer.Option(metavar="N", help="Sample paths of each series as well.", min=1)
    ] = None,
    recalibrate: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Intervals by errors on the last N points of each series, which went on since "
            "the training, instead of on those that it held out.",
            min=1,
        ),
    ] = None,
    point: Point = "median",
    layout: Layout = None,
    missing: Missing = None,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal paths.", min=0)] = 0,
    out: Annotated[
        str | None,
        typer.Option(
            "--out", metavar="FILE", help="Write it there, .csv or .parquet, and not to stdout."
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", help="Draw up to 12 series, .png or .svg."),
    ] = None,
) -> None:
    """What comes after the series of a table, with intervals.

    Prints a CSV, a row for each step of each series. A forecast that is longer than the model's
    horizon goes on from sampled paths, and takes many times as long.
    """
    from loopwise.codec.series.files import write_table
    from loopwise.codec.series.output import forecast_table
    from loopwise.runtime.forecast_paths import sample_paths
    from loopwise.runtime.forecasts import percentages, probabilities

    levels, chosen = numbers_of(level, "--level"), numbers_of(quantiles, "--quantiles")
    loaded = require_forecaster(model, open_model_before([file], model, "forecast"))
    percentages(levels, "--level ")
    probabilities(chosen, "--quantiles ")
    require_picture(plot)
    table = read(loaded, file, layout, missing)
    steps = loaded.require_steps(horizon)
    if recalibrate is not None:
        if recalibrate < loaded.horizon:
            raise ConfigError(
                f"--recalibrate {recalibrate}: must be at least the horizon, {loaded.horizon}"
            )
        loaded = loaded.recalibrated(table.panel, recalibrate)
    known = loaded.codec.schema.future
    if known and future is None:
        names = ", ".join(map(repr, known))
        raise ConfigError(
            f"{model}: the model needs {names} over the {steps} steps after the series: give "
            "--future FILE"
        )
    if future is not None and not known:
        raise ConfigError(f"--future {future}: this model knows no covariates ahead; leave it out")
    ahead = None if future is None else _ahead(loaded, table.panel, steps, future)
    found = loaded.forecast(table.panel, steps, ahead, seed)
    columns = found.columns(loaded.codec, level=levels, quantiles=chosen, point=point)
    sampled = None
    if paths is not None:
        sampled = sample_paths(loaded, table.panel, paths, steps, ahead, seed)
        columns |= _paths(loaded, sampled)
    stamps = table.panel.stamps_after(steps)
    result = forecast_table(table.kind, table.panel, stamps, columns)
    write_table(result, "-" if out is None else out)
    if out is not None:
        print(head(result, HEAD))
        print(f"forecast: {out}")
    if plot is not None:
        _draw(plot, table.panel, found, steps, levels or [80.0, 95.0], point, sampled)
        print(f"picture: {plot}", file=sys.stderr if out is None else sys.stdout)


def _ahead(
    loaded: "LoadedForecaster", panel: "Panel", steps: int, file: str
) -> "NDArray[np.float64] | None":
    from loopwise.codec.series.files import naming, read_table

    frame = read_table(file)
    with naming(file):
        return loaded.ahead(panel, steps, frame)


def head(table: Any, count: int) -> str:
    """The first rows of a table as text, and how many there are."""
    shown = table.head(count)
    names: list[str] = shown.columns
    columns = [[name, *(_cell(value) for value in shown[name].to_list())] for name in names]
    left = [n for n, name in enumerate(names) if not shown[name].dtype.is_numeric()]
    text = aligned(list(zip(*columns, strict=True)), left)
    return text if len(table) <= count else f"{text}\n... {len(table):,} rows"


def require_picture(path: Path | None) -> None:
    """Refuse a name of a picture that says no kind that can be drawn."""
    if path is not None and path.suffix not in (".png", ".svg"):
        raise ConfigError(f"--plot {path}: the name of a picture ends in .png or .svg")


def save_picture(path: Path, drawn: Any, more: int) -> None:
    """Draw pictures of series; raises MissingExtraError without matplotlib."""
    try:
        from loopwise.diagnose.forecast_plot import figure
        from loopwise.diagnose.plots import save_figure
    except ModuleNotFoundError as error:
        raise missing_extra(error, "--plot") from error
    save_figure(figure(drawn, more=more), path)


def _draw(
    path: Path,
    panel: "Panel",
    found: "Forecasts",
    steps: int,
    levels: list[float],
    point: str,
    paths: "NDArray[np.float64] | None",
) -> None:
    try:
        from loopwise.diagnose.forecast_plot import pictures
    except ModuleNotFoundError as error:
        raise missing_extra(error, "--plot") from error
    from loopwise.runtime.forecasts import asked_for

    ends = found.quantiles([p for _, p in asked_for(levels, ())])[:, None]
    drawn = pictures(
        panel, panel.lengths[:, None], found.point(point)[:, None], levels, ends, paths=paths
    )
    save_picture(path, drawn, len(panel) * len(panel.targets) - len(drawn))


def _paths(loaded: "LoadedForecaster", sampled: "NDArray[np.float64]") -> dict[str, Any]:
    return {
        f"{name}-path-{n + 1}": one[:, :, target]
        for n, one in enumerate(sampled)
        for target, name in enumerate(loaded.names)
    }


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else str(value)
