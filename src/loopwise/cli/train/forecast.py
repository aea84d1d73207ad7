"""``loopwise train forecast``: a forecaster from a table of series."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from loopwise.cli.grouping import grouped
from loopwise.cli.tables import names_of
from loopwise.cli.train.start import Start
from loopwise.errors import ConfigError

if TYPE_CHECKING:
    from loopwise.tasks.forecast.config import ForecastConfig

Names = list[str] | None


def _column(option: str, text: str) -> Any:
    return typer.Option(option, metavar="NAME", help=text)


def _columns(option: str, text: str) -> Any:
    return typer.Option(option, metavar="NAME,...", help=text)


@grouped
def forecast(
    *,
    data: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A table: CSV (also .gz), Parquet, - for stdin."),
    ] = None,
    horizon: Annotated[
        int | None,
        typer.Option(metavar="N", help="Steps that are forecast at once.  [default: 12]"),
    ] = None,
    season_length: Annotated[
        str | None,
        typer.Option(metavar="N,...", help="Steps of a season, as 24,168.  [default: as usual]"),
    ] = None,
    frequency: Annotated[
        str | None,
        typer.Option(metavar="STEP", help="Step of the stamps, as h.  [default: inferred]"),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(help="long (a row a point), wide (a column a series), rows (a row a series)."),
    ] = None,
    missing: Annotated[
        str | None, typer.Option(help="Gaps and missing values: error, interpolate or mask.")
    ] = None,
    id: Annotated[str | None, _column("--id", "Names the series.  [default: unique_id]")] = None,
    time: Annotated[str | None, _column("--time", "The stamps.  [default: ds]")] = None,
    target: Annotated[Names, _columns("--target", "What to forecast.  [default: y]")] = None,
    static: Annotated[Names, _columns("--static", "What a series keeps.")] = None,
    past: Annotated[Names, _columns("--past", "Covariates known up to now.")] = None,
    future: Annotated[Names, _columns("--future", "Covariates known ahead.")] = None,
    start: Start,
) -> None:
    """Train a forecaster on a table of series.

    A row is a point of a series: its name, its stamp, its value. The last points of each series
    are held out to choose the best step and to make intervals right. All options, with their
    defaults, are printed by `loopwise config forecast`.
    """
    from loopwise.tasks.registry import config_class

    named: dict[str, Any] = {
        "frequency": frequency,
        "layout": layout,
        "missing": missing,
        "id": id,
        "time": time,
        "target": names_of(target),
        "static": names_of(static),
        "past": names_of(past),
        "future": names_of(future),
    }
    texts = {key: json.dumps(value, ensure_ascii=False) for key, value in named.items() if value}
    seasons = None if season_length is None else _seasons(season_length)
    options = start.options(horizon=horizon, season_length=seasons, **texts)

    def load(file: Path | None) -> "ForecastConfig":
        loaded = cast("type[ForecastConfig]", config_class("forecast")).load(file, options)
        table = loaded.data.model_copy(update={"train": data} if data else {})
        return loaded.model_copy(update={"data": table.absolute()})

    def unsaid(given: "ForecastConfig") -> list[str]:
        return [] if given.data.train else ["data.train"]

    resolved = start.resolve(load, unsaid)
    start.require_input("forecast", "table", gone=resolved.data.train == "-" and not data)
    start.train(resolved)


def _seasons(text: str) -> str:
    """Whole numbers with commas between them, as a list of TOML."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise ConfigError(
            f"--season-length {text}: must be a whole number of steps, or several with commas "
            "between them, as 24,168"
        )
    return f"[{', '.join(parts)}]"
