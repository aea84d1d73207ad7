"""``loopwise evaluate`` of a run whose task draws its own sequences."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from loopwise.errors import ConfigError
from loopwise.runs import Run

if TYPE_CHECKING:
    from loopwise.runtime.sequence_model import LoadedSequenceModel


def evaluate_sequences(
    path: Path,
    model: "LoadedSequenceModel",
    as_json: bool,
    *,
    sequences: int = 1000,
    seed: int = 1,
) -> None:
    """Print how well a model does its run's task on sequences drawn anew.

    Raises:
        ConfigError: the model is not in the run of a synthetic task, which alone knows what to
            draw.
    """
    from loopwise.tasks.registry import read_config
    from loopwise.tasks.synthetic.config import SyntheticConfig
    from loopwise.tasks.synthetic.measure import evaluate

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
