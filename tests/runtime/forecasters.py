"""Small forecasters, fitted but hardly trained, and series for them."""

import numpy as np

from loopwise.codec.series.panel import Panel
from loopwise.runtime.forecaster import LoadedForecaster
from loopwise.runtime.load import load
from loopwise.tasks.forecast.config import ForecastConfig
from loopwise.tasks.forecast.task import ForecastTask
from loopwise.train.processes import World

SMALL = (
    "model.members=1",
    "model.hidden_size=8",
    "model.input_size=8",
    "model.decoder_size=8",
    "data.horizon=6",
)


def waves(count: int = 3, length: int = 90, targets: int = 1, seed: int = 0) -> Panel:
    """Series with a season of 6, each of a size of its own."""
    rng = np.random.default_rng(seed)
    t = np.arange(length)[:, None]
    series = [
        (i + 1) * (5 + np.sin(2 * np.pi * (t + i) / 6) + 0.2 * rng.normal(size=(length, targets)))
        for i in range(count)
    ]
    names = None if targets == 1 else [f"y{n}" for n in range(targets)]
    return Panel.from_arrays(series, ids=[f"s{i}" for i in range(count)], targets=names)


def forecaster(tmp_path, panel: Panel, *settings: str) -> LoadedForecaster:
    """A forecaster of a panel: only its linear map is fitted, and its intervals are calibrated."""
    columns = [f"data.target={list(panel.targets)}"]
    given = [*SMALL, "data.season_length=6", *columns, *settings]
    task = ForecastTask(ForecastConfig.load(None, given), panel, World())
    task.model.eval()
    task.validate(task.model)
    task.export(tmp_path / "f.safetensors")
    return load(tmp_path / "f.safetensors")
