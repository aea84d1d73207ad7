"""``loopwise evaluate`` of a forecaster: its errors beside those of forecasts without training."""

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import typer

from loopwise.cli.forecast import require_picture, save_picture
from loopwise.cli.tables import FORECASTER, Layout, Missing, aligned, read, trained_on
from loopwise.errors import ConfigError, missing_extra

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from loopwise.codec.series.panel import Panel
    from loopwise.runtime.forecast_evaluation import Evaluation
    from loopwise.runtime.forecaster import LoadedForecaster

_TITLES = {
    "mae": "MAE", "rmse": "RMSE", "mse": "MSE", "mape": "MAPE, %", "smape": "sMAPE, %",
    "mase": "MASE", "owa": "OWA", "crps": "CRPS",
    "coverage_80": "in 80 % interval", "width_80": "its width",
    "coverage_95": "in 95 % interval", "width_95": "its width",
}  # fmt: skip


@dataclass(frozen=True)
class SeriesGroup:
    """Which forecasts are judged, and how."""

    horizon: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Steps of a forecast.  [default: its own]",
            min=1,
            rich_help_panel=FORECASTER,
        ),
    ] = None
    windows: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Forecasts of each series, from places before its end.  [default: 1]",
            min=1,
            rich_help_panel=FORECASTER,
        ),
    ] = None
    step: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Steps from one to the next.  [default: the horizon]",
            min=1,
            rich_help_panel=FORECASTER,
        ),
    ] = None
    test: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="What came after FILE, to be forecast from it.",
            rich_help_panel=FORECASTER,
        ),
    ] = None
    per_series: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the errors of each series, .csv or .parquet.",
            rich_help_panel=FORECASTER,
        ),
    ] = None
    standardise: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Errors in standard deviations of the first N points, over all windows alike; "
            "one step from one to the next, and means as forecasts, unless told otherwise.",
            min=2,
            rich_help_panel=FORECASTER,
        ),
    ] = None
    point: Annotated[
        Literal["median", "mean"] | None,
        typer.Option(
            help="What a forecast comes down to.  [default: median]", rich_help_panel=FORECASTER
        ),
    ] = None
    layout: Layout = None
    missing: Missing = None
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot",
            metavar="FILE",
            help="Draw forecasts and what came, .png or .svg.",
            rich_help_panel=FORECASTER,
        ),
    ] = None


def evaluate_forecasts(
    path: Path,
    model: "LoadedForecaster",
    files: list[str],
    asked: SeriesGroup,
    as_json: bool,
) -> None:
    """Print how good forecasts are on the last part of each series, or on the rows of `test`.

    Raises:
        ConfigError: options that exclude each other.
        DataError: a table that cannot be read, or is too short.
    """
    horizon, test, step, missing = asked.horizon, asked.test, asked.step, asked.missing
    windows = asked.windows or 1
    file = _one_table(path, files)
    require_picture(asked.plot)
    table = read(model, file, asked.layout, missing)
    if asked.standardise is not None:
        if test or asked.per_series or asked.plot:
            raise ConfigError("--standardise goes with neither --test, --per-series nor --plot")
        _standardise(
            model, table.panel, as_json,
            fit_on=asked.standardise, h=horizon, windows=windows, step=step or 1,
            point=asked.point or "mean",
        )  # fmt: skip
        return
    panel, ends, skipped = _origins(model, table, test, horizon, windows, step, missing)
    steps = _steps(model, panel, ends, horizon, test)
    from loopwise.runtime.forecast_evaluation import evaluate_at

    found = evaluate_at(model, panel, ends, steps, point=asked.point or "median")
    found = replace(found, skipped=skipped)
    notes = [] if test else _notes(path, file, panel, ends, steps)
    if found.left_out:
        notes.append(found.left_out)
    if as_json:
        print(json.dumps(_json(found, notes), indent=2, ensure_ascii=False))
    else:
        _print(found, file if test is None else f"{file} on {test}", len(panel), notes)
    if asked.per_series is not None:
        _write(found, model, asked.per_series)
        _say(f"each series: {asked.per_series}", as_json)
    if asked.plot is not None:
        _draw(asked.plot, model, panel, ends, steps, asked.point or "median")
        _say(f"picture: {asked.plot}", as_json)


def _one_table(path: Path, files: list[str]) -> str:
    if len(files) != 1:
        given = "none" if not files else f"{len(files)}"
        raise ConfigError(
            f"{path}: a forecaster: give one FILE, a table of series to evaluate it on; given "
            f"are {given}"
        )
    return files[0]


def _origins(
    model: "LoadedForecaster",
    table: Any,
    test: str | None,
    horizon: int | None,
    windows: int,
    step: int | None,
    missing: str | None,
) -> "tuple[Panel, NDArray[np.int64], tuple[str | int, ...]]":
    """The series, whole; places in them that forecasts start from; those left out."""
    from loopwise.codec.series.joining import joined
    from loopwise.runtime.forecast_evaluation import origins

    panel = table.panel
    if test is None:
        return origins(panel, model.require_steps(horizon), windows, step)
    after = read(model, test, table.layout, missing).panel
    whole = joined(panel, after, anew=table.layout == "rows")
    ends = whole.lengths - after.lengths
    steps = model.require_steps(horizon)
    more = (step or steps) * np.arange(windows)
    places = ends[:, None] + more
    last = int(after.lengths.max())
    if int(more[-1]) >= last:
        raise ConfigError(
            f"{test}: has {last} steps at most; {windows} windows begin up to {int(more[-1])} "
            "steps after its beginning: take fewer --windows or a smaller --step"
        )
    return whole, np.minimum(places, whole.lengths[:, None]), ()


def _steps(
    model: "LoadedForecaster",
    panel: "Panel",
    ends: "NDArray[np.int64]",
    horizon: int | None,
    test: str | None,
) -> int:
    """Steps to forecast: no more than the rows of a test have."""
    steps = model.require_steps(horizon)
    if test is None or horizon is not None:
        return steps
    return min(steps, int((panel.lengths - ends[:, 0]).max()))


def _notes(
    path: Path, file: str, panel: "Panel", ends: "NDArray[np.int64]", steps: int
) -> list[str]:
    """What makes the numbers look better than they are."""
    trained = trained_on(path)
    if trained is None or file == "-" or Path(file).absolute() != Path(trained.train):
        return []
    learned = _learned(path, panel, ends)
    if learned:
        said = f"{learned:,} of {ends.size:,} windows lie in what the model has learned from"
        return [f"{said}: it will do worse on others"]
    said = "the run chose its best step and its intervals by the end of this very table"
    return [f"{said}: one of later points is a fairer judge"]


def _learned(path: Path, panel: "Panel", ends: "NDArray[np.int64]") -> int:
    """How many origins lie before the points that training held out."""
    from loopwise.runs import Run
    from loopwise.tasks.forecast.config import ForecastConfig
    from loopwise.tasks.forecast.plan import held_out
    from loopwise.tasks.registry import read_config

    config = read_config(Run.open(path))
    assert isinstance(config, ForecastConfig)
    return int((ends < (panel.lengths - held_out(config, panel))[:, None]).sum())


def _standardise(
    model: "LoadedForecaster", panel: "Panel", as_json: bool, *, fit_on: int, h: int | None,
    windows: int, step: int, point: str,
) -> None:  # fmt: skip
    from loopwise.runtime.forecast_evaluation import standardised

    found = standardised(model, panel, fit_on, h=h, windows=windows, step=step, point=point)
    if as_json:
        print(json.dumps({name: each._asdict() for name, each in found.items()}, indent=2))
        return
    channels = len(panel) * len(panel.targets)
    print(
        f"{_windows(windows)} of {model.require_steps(h)} steps, step {step}, {channels} channels, "
        f"in standard deviations of the first {fit_on:,} points"
    )
    errors = [[name, f"{each.mse:.4f}", f"{each.mae:.4f}"] for name, each in found.items()]
    print(aligned([["", "MSE", "MAE"], *errors]))
    ours = found[model.codec.alias]
    for name, each in found.items():
        if each.mse < ours.mse:
            print(
                f"{model.codec.alias} is worse than {name}: MSE {ours.mse:.4g}, {name} "
                f"{each.mse:.4g}"
            )


def _print(found: "Evaluation", name: str, series: int, notes: list[str]) -> None:
    print(
        f"{name}: {series:,} series, {_windows(found.windows)} of {found.horizon} steps, season "
        f"{found.season if found.season > 1 else 'none'}"
    )
    values = found.overall()
    rows = [["", *values]]
    for measure, title in _TITLES.items():
        cells = [_number(measure, value[measure]) for value in values.values()]
        if any(cell != "-" for cell in cells):
            rows.append([title, *cells])
    print(aligned(rows))
    for line in (*found.sentences(), *(f"note: {note}" for note in notes)):
        print(line)


def _windows(count: int) -> str:
    return "1 window" if count == 1 else f"{count:,} windows"


def _number(measure: str, value: float) -> str:
    if not math.isfinite(value):
        return "-"
    if measure.startswith("coverage"):
        return f"{100 * value:.1f} %"
    return f"{value:,.0f}" if abs(value) >= 1e5 else f"{value:.4g}"


def _json(found: "Evaluation", notes: list[str]) -> dict[str, Any]:
    values = {
        name: {m: v if math.isfinite(v) else None for m, v in measures.items()}
        for name, measures in found.overall().items()
    }
    return {
        "series": len({name for name, _ in found.rows}),
        "windows": found.windows,
        "horizon": found.horizon,
        "season": found.season,
        "measures": values,
        "worse_than": [each.baseline for each in found.verdicts() if each.worse],
        "skipped": list(found.skipped),
        "notes": notes,
    }


def _write(found: "Evaluation", model: "LoadedForecaster", file: Path) -> None:
    import polars as pl

    from loopwise.codec.series.files import write_table

    columns = found.table(model.codec.columns.id, per_series=True)
    write_table(pl.DataFrame(columns, strict=False), file)


def _draw(
    path: Path,
    model: "LoadedForecaster",
    panel: "Panel",
    ends: "NDArray[np.int64]",
    steps: int,
    point: str,
) -> None:
    try:
        from loopwise.diagnose.forecast_plot import SHOWN, pictures
    except ModuleNotFoundError as error:
        raise missing_extra(error, "--plot") from error
    from loopwise.runtime.forecast_evaluation import forecasts_at

    some = np.arange(min(len(panel), SHOWN))
    first = panel.select(some)
    points, ends_of_intervals = forecasts_at(
        model, first, ends[some], steps, point, (0.1, 0.9, 0.025, 0.975)
    )
    drawn = pictures(first, ends[some], points, (80.0, 95.0), ends_of_intervals)
    save_picture(path, drawn, len(panel) * len(panel.targets) - len(drawn))


def _say(line: str, as_json: bool) -> None:
    import sys

    print(line, file=sys.stderr if as_json else sys.stdout)
