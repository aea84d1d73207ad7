"""Small forecasters, fitted but hardly trained, and series for them."""

from dataclasses import replace

import numpy as np
import torch

from loopwise.codec.series.frequency import Frequency
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


COVARIATES = (
    "data.past=['visitors']",
    "data.future=['price']",
    "data.static=['area', 'kind']",
    "data.calendar=true",
)
"""The options of `with_covariates`."""


def with_covariates(panel: Panel, seed: int = 0) -> Panel:
    """Hourly series with covariates of every kind."""
    rng = np.random.default_rng(seed)
    total, count = len(panel.values), len(panel)
    begin = np.datetime64("2024-02-27T05", "us")
    return replace(
        panel,
        frequency=Frequency.parse("h"),
        first=begin + np.arange(count).astype("timedelta64[h]"),
        past=panel.values[:, :1] + rng.normal(size=(total, 1)),
        past_names=("visitors",),
        future=rng.normal(5, 2, (total, 1)),
        future_names=("price",),
        static=rng.normal(size=(count, 1)),
        static_names=("area",),
        categories=1 + np.arange(count)[:, None] % 2,
        category_names=("kind",),
        category_values=(("city", "village"),),
    )


def forecaster(tmp_path, panel: Panel, *settings: str, swayed: bool = False) -> LoadedForecaster:
    """A forecaster of a panel: only its linear map is fitted, and its intervals are calibrated.

    One that is swayed has large weights besides, so that all that it reads moves its forecasts.
    """
    columns = [f"data.target={list(panel.targets)}"]
    given = [*SMALL, "data.season_length=6", *columns, *settings]
    task = ForecastTask(ForecastConfig.load(None, given), panel, World())
    task.model.eval()
    task.validate(task.model)
    if swayed:
        task.model.set_share(0.0)
        torch.manual_seed(0)
        for weight in task.model.parameters():
            weight.data += 0.3 * torch.randn_like(weight)
    task.export(tmp_path / "f.safetensors")
    return load(tmp_path / "f.safetensors")
