"""``loopwise evaluate`` of a run whose task draws its own sequences."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loopwise.errors import ConfigError
from loopwise.runs import Run

if TYPE_CHECKING:
    from loopwise.runtime.sequence_model import LoadedSequenceModel


PANEL = "Of a synthetic task"


@dataclass(frozen=True)
class SequenceGroup:
    """Which sequences are drawn."""

    sequences: Annotated[
        int | None,
        typer.Option(help="How many to draw.  [default: 1000]", min=1, rich_help_panel=PANEL),
    ] = None
    seed: Annotated[
        int | None,
        typer.Option(help="Which to draw.  [default: 1]", min=0, rich_help_panel=PANEL),
    ] = None


def evaluate_sequences(
    path: Path,
    model: "LoadedSequenceModel",
    files: list[str],
    drawing: SequenceGroup,
    as_json: bool,
) -> None:
    """Print how well a model does its run's task on sequences drawn anew.

    Raises:
        ConfigError: files, or the model is not in the run of a synthetic task, which alone knows
            what to draw.
    """
    from loopwise.tasks.registry import read_config
    from loopwise.tasks.synthetic.config import SyntheticConfig
    from loopwise.tasks.synthetic.measure import evaluate

    if files:
        raise ConfigError(f"{path}: a model of a synthetic task: it takes no FILE")
    sequences, seed = drawing.sequences or 1000, 1 if drawing.seed is None else drawing.seed
    config = read_config(Run.open(path)) if path.is_dir() else None
    if not isinstance(config, SyntheticConfig):
        raise ConfigError(f"{path}: not the run of a synthetic task, which knows what to draw")
    found = evaluate(model, config.problem, sequences, seed)
    if as_json:
        given = {"task": config.task, "length": config.data.length}
        print(json.dumps({**given, "sequences": sequences, "seed": seed, **found}, indent=2))
        return
    print(f"{config.task}, length {config.data.length}, {sequences:,} sequences")
    for name, value in found.items():
        print(f"{name:<8}  {value:.4g}")
