"""Small panels and small networks for the tests of forecasting."""

from typing import Any

import numpy as np

from loopwise.codec.series.panel import Panel
from loopwise.tasks.forecast.config import ForecastConfig

TINY = ("hidden_size", 8), ("input_size", 8), ("decoder_size", 8)


def waves(count: int = 6, length: int = 160, seed: int = 0, season: int = 8) -> np.ndarray:
    """Seasonal series of different sizes, positive, [N, T]."""
    rng = np.random.default_rng(seed)
    t = np.arange(length)
    level = 10.0 ** rng.uniform(0, 3, (count, 1))
    wave = 1.5 + np.sin(2 * np.pi * t / season + rng.uniform(0, 6, (count, 1)))
    return level * (wave + 0.1 * rng.standard_normal((count, length)))


def panel_of(values: Any, **options: Any) -> Panel:
    """A panel of hourly series [N, T], or of a list of them."""
    first = np.datetime64("2024-01-01T00", "us")
    return Panel.from_arrays(list(values), first=first, frequency="h", **options)


def config(**settings: Any) -> ForecastConfig:
    """A tiny network that forecasts 6 steps of series with seasons of 8 and 16."""
    given = {
        **dict(TINY),
        "members": 1,
        "horizon": 6,
        "season_length": (8, 16),
        "batch_size": 16,
        "threads": 1,
        "max_steps": 10,
        "valid": 12,
        **settings,
    }
    if given.get("decoder") == "linear":
        del given["decoder_size"]
    return ForecastConfig.from_settings("test", **given)
