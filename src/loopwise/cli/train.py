"""``loopwise train``: one subcommand per task."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from typer.core import TyperCommand

from loopwise.cli.options import ConfigFile, Settings
from loopwise.cli.start import Start
from loopwise.cli.tables import names_of
from loopwise.errors import ConfigError

if TYPE_CHECKING:
    from loopwise.tasks.forecast.config import ForecastConfig
    from loopwise.tasks.lm.config import LMConfig
    from loopwise.tasks.synthetic.problems import Name

app = typer.Typer(help="Train a model.", no_args_is_help=True)

Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="The run's directory.")]
Data = Annotated[
    list[str] | None,
    typer.Option(
        "--data", metavar="PATH...", help="Text: files, folders, globs, .gz, - for standard input."
    ),
]
Valid = Annotated[
    list[str] | None,
    typer.Option(
        "--valid", metavar="PATH...", help="Text to validate on; without it, the end of --data."
    ),
]
Length = Annotated[
    int | None,
    typer.Option("--length", metavar="N", help="Steps to be remembered, like data.length."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")]
FromCheckpoint = Annotated[
    str | None,
    typer.Option("--from-checkpoint", metavar="NAME", help="Continue from this checkpoint."),
]
Watch = Annotated[
    int | None,
    typer.Option("--watch", metavar="N", help="Look inside every N steps, like train.watch."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the run in --out.")]
Names = list[str] | None


def _column(option: str, text: str) -> Any:
    return typer.Option(option, metavar="NAME", help=text)


def _columns(option: str, text: str) -> Any:
    return typer.Option(option, metavar="NAME,...", help=text)


class ManyPaths(TyperCommand):
    """Lets several values follow ``--data`` and ``--valid``, as a shell's glob leaves them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the option before each of its values."""
        spread: list[str] = []
        option = None
        for arg in args:
            is_value = arg == "-" or not arg.startswith("-")
            if is_value and option is not None and spread[-1] != option:
                spread.append(option)
            spread.append(arg)
            if not is_value:
                option = arg if arg in ("--data", "--valid") else None
        return super().parse_args(ctx, spread)


@app.callback()
def tasks() -> None:
    """Train a model."""


@app.command(cls=ManyPaths)
def lm(
    out: Out,
    data: Data = None,
    valid: Valid = None,
    config: ConfigFile = None,
    settings: Settings = None,
    resume: Resume = False,
    from_checkpoint: FromCheckpoint = None,
    overwrite: Overwrite = False,
    watch: Watch = None,
) -> None:
    """Train a language model on text.

    Several paths may follow --data and --valid. The options of the model and the training, with
    their defaults, are printed by `loopwise config lm`.
    """
    from loopwise.tasks.lm.config import LMConfig

    start = Start(out, config, resume, from_checkpoint, overwrite)
    options = _options(settings, {"train.watch": watch})

    def load(file: Path | None) -> LMConfig:
        return _with_text(LMConfig.load(file, options), data, valid)

    resolved = start.resolve(load, _unsaid_text)
    if start.continues and resolved.data.from_stdin and not data and not valid:
        raise ConfigError(
            f"{out}: this run reads standard input: continue it with the same text once more, "
            "... | loopwise train lm --resume --data -"
        )
    start.train(resolved)


@app.command()
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
    options = _options(settings, {**numbers, **texts})

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


def _synthetic(name: "Name", about: str) -> None:
    """Add the command of a synthetic task."""

    def command(
        out: Out,
        length: Length = None,
        config: ConfigFile = None,
        settings: Settings = None,
        resume: Resume = False,
        from_checkpoint: FromCheckpoint = None,
        overwrite: Overwrite = False,
        watch: Watch = None,
    ) -> None:
        from loopwise.tasks.registry import config_class

        options = _options(settings, {"data.length": length, "train.watch": watch})
        start = Start(out, config, resume, from_checkpoint, overwrite)
        start.train(start.resolve(lambda file: config_class(name).load(file, options)))

    app.command(name, help=f"{about}\n\n{_ABOUT_SYNTHETIC.format(name)}")(command)


_ABOUT_SYNTHETIC = (
    "Sequences are made up as they are needed. All options, with their defaults, are printed by "
    "`loopwise config {}`."
)
_synthetic("adding", "Train to add two marked numbers among many.")
_synthetic("copy", "Train to repeat ten symbols after a long pause.")
_synthetic("parity", "Train to say whether the ones so far are odd.")
_synthetic("delayed-recall", "Train to name the first symbol after many others.")


def _options(settings: list[str] | None, named: Mapping[str, int | str | None]) -> tuple[str, ...]:
    """All settings, those first that have an option of their own."""
    given = [f"{key}={value}" for key, value in named.items() if value is not None]
    return *given, *(settings or ())


def _with_text(config: "LMConfig", data: list[str] | None, valid: list[str] | None) -> "LMConfig":
    given = {"train": tuple(data or ()), "valid": tuple(valid or ())}
    text = {**config.data.model_dump(), **{name: paths for name, paths in given.items() if paths}}
    parsed = type(config.data).parse(text, where="--data and --valid")
    return config.model_copy(update={"data": parsed.absolute()})


def _unsaid_text(given: "LMConfig") -> list[str]:
    return [f"data.{name}" for name in ("train", "valid") if not getattr(given.data, name)]
