"""``loopwise train forecast``: a forecaster from a table of series."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from loopwise.cli.options import ConfigFile, Settings
from loopwise.cli.tables import names_of
from loopwise.cli.train.options import FromCheckpoint, Out, Overwrite, Resume, Watch, all_settings
from loopwise.cli.train.start import Start
from loopwise.errors import ConfigError

if TYPE_CHECKING:
    from loopwise.tasks.forecast.config import ForecastConfig

Names = list[str] | None


def _column(option: str, text: str) -> Any:
    return typer.Option(option, metavar="NAME", help=text)


def _columns(option: str, text: str) -> Any:
    return typer.Option(option, metavar="NAME,...", help=text)


def forecast(
    out: Out,
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
    config: ConfigFile = None,
    settings: Settings = None,
    resume: Resume = False,
    from_checkpoint: FromCheckpoint = None,
    overwrite: Overwrite = False,
    watch: Watch = None,
) -> None:
    """Train a forecaster on a table of series.

    A row is a point of a series: its name, its stamp, its value. The last points of each series
    are held out to choose the best step and to make intervals right. All options, with their
    defaults, are printed by `loopwise config forecast`.
    """
    from loopwise.tasks.registry import config_class

    start = Start(out, config, resume, from_checkpoint, overwrite)
    named: dict[str, Any] = {
        "data.frequency": frequency,
        "data.layout": layout,
        "data.missing": missing,
        "data.id": id,
        "data.time": time,
        "data.target": names_of(target) or None,
        "data.static": names_of(static) or None,
        "data.past": names_of(past) or None,
        "data.future": names_of(future) or None,
    }
    texts = {key: json.dumps(value, ensure_ascii=False) for key, value in named.items() if value}
    seasons = None if season_length is None else _seasons(season_length)
    numbers = {"data.horizon": horizon, "data.season_length": seasons, "train.watch": watch}
    options = all_settings(settings, {**numbers, **texts})

    def load(file: Path | None) -> "ForecastConfig":
        loaded = cast("type[ForecastConfig]", config_class("forecast")).load(file, options)
        table = loaded.data.model_copy(update={"train": data} if data else {})
        return loaded.model_copy(update={"data": table.absolute()})

    def unsaid(given: "ForecastConfig") -> list[str]:
        return [] if given.data.train else ["data.train"]

    resolved = start.resolve(load, unsaid)
    if start.continues and resolved.data.train == "-" and not data:
        raise ConfigError(
            f"{out}: this run reads standard input: continue it with the same table once more, "
            "... | loopwise train forecast --resume --data -"
        )
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
