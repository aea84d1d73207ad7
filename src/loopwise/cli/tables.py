"""Tables of series as commands of a forecaster take them."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from loopwise.cli.model import KINDS
from loopwise.errors import ConfigError
from loopwise.runs import Run

if TYPE_CHECKING:
    from typing_extensions import TypeIs

    from loopwise.runtime.forecaster import LoadedForecaster, Table
    from loopwise.runtime.load import Loaded
    from loopwise.tasks.forecast.config import DataConfig

FORECASTER = "Of a forecaster"
"""Heading of options, where a command has those of other models, too."""

Layout = Annotated[
    Literal["long", "wide", "rows"] | None,
    typer.Option(
        help="A row a point (long), a column a series (wide) or a row a series (rows).  "
        "[default: as in the training]",
        rich_help_panel=FORECASTER,
    ),
]
Missing = Annotated[
    Literal["error", "interpolate", "mask"] | None,
    typer.Option(
        help="Gaps and missing values: error, interpolate or mask.  [default: as in the training]",
        rich_help_panel=FORECASTER,
    ),
]
Point = Annotated[
    Literal["median", "mean"], typer.Option(help="The number that a forecast comes down to.")
]


def is_forecaster(model: "Loaded") -> "TypeIs[LoadedForecaster]":
    """Whether a model is a forecaster."""
    return model.bundle.task == "forecaster"


def require_forecaster(path: Path, model: "Loaded") -> "LoadedForecaster":
    """A model that is a forecaster; raises ConfigError for another."""
    if not is_forecaster(model):
        raise ConfigError(f"{path}: {KINDS[model.bundle.task]}, no forecaster")
    return model


def read(model: "LoadedForecaster", file: str, layout: str | None, missing: str | None) -> "Table":
    """A table as the model knows it; what is not said is as in its training.

    Raises:
        DataError: it cannot be read, or is not like the one of the training.
    """
    from loopwise.codec.series.files import naming, read_table

    given: Any = {"layout": layout, "missing": missing}
    frame = read_table(file)
    with naming(file):
        return model.read(frame, **given)


def trained_on(path: Path) -> "DataConfig | None":
    """What a run's options say about its table; None for a bundle."""
    if not path.is_dir():
        return None
    from loopwise.tasks.forecast.config import ForecastConfig
    from loopwise.tasks.registry import read_config

    config = read_config(Run.open(path))
    return config.data if isinstance(config, ForecastConfig) else None


def numbers_of(text: str | None, option: str) -> list[float]:
    """Numbers with commas between them; raises ConfigError for what is none."""
    found: list[float] = []
    for part in (text or "").split(","):
        try:
            found += [float(part)] if part.strip() else []
        except ValueError:
            raise ConfigError(
                f"{option} {text}: {part.strip()!r} is no number; give numbers with commas "
                "between them"
            ) from None
    return found


def names_of(given: list[str] | None) -> list[str]:
    """Names of columns, several in one text with commas between them."""
    return [name.strip() for text in given or [] for name in text.split(",") if name.strip()]


def aligned(rows: Sequence[Sequence[str]], left: Collection[int] = (0,)) -> str:
    """Rows of cells as lines of text; columns other than those to the left end at one place."""
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines: list[str] = []
    for row in rows:
        cells = [
            cell.ljust(width) if n in left else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, wide, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
