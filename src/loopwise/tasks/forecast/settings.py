"""The options of a forecaster as keyword arguments, and back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loopwise.errors import ConfigError
from loopwise.runs import Run
from loopwise.runtime.forecaster import LoadedForecaster
from loopwise.tasks.forecast.config import ForecastConfig

UNSAID = ("train",)
"""What is no keyword: the file of a table, which is given as a data frame."""


def config_of(params: Mapping[str, Any]) -> ForecastConfig:
    """The options that keyword arguments of `loopwise.Forecaster` say; None says nothing."""
    given = {name: value for name, value in params.items() if value is not None}
    config = given.pop("config", None)
    if config is not None:
        if given:
            raise ConfigError(f"Forecaster: give config= or {min(given)}=, not both")
        if not isinstance(config, ForecastConfig):
            raise ConfigError(f"Forecaster: config= must be a ForecastConfig, not {config!r}")
        return config
    if "train" in given:
        raise ConfigError("Forecaster: train= is no option; give a table to fit")
    return ForecastConfig.from_settings("Forecaster", UNSAID, **given)


def config_in(path: Path, model: LoadedForecaster) -> ForecastConfig:
    """The options beside a bundle or in it; else those that can be told from the model."""
    if path.is_dir():
        return ForecastConfig.load(Run.open(path).config_path)
    options = model.info.get("config")
    if isinstance(options, dict):
        return ForecastConfig.parse(options, where=str(path))
    d, columns = model.description, model.codec.columns
    return ForecastConfig.from_settings(
        str(path),
        UNSAID,
        horizon=d.horizon,
        season_length=d.seasons,
        window=d.window,
        patch=d.patch,
        hidden_size=d.layers[0].hidden_size,
        num_layers=len(d.layers),
        cell=d.layers[0].cell,
        members=d.members,
        id=columns.id,
        time=columns.time,
        target=columns.targets,
        static=tuple(columns.static),
        past=tuple(columns.past),
        future=tuple(columns.future),
        weight=columns.weight or "",
        layout=model.codec.layout,
        missing=model.codec.missing,
    )


def changed(config: ForecastConfig) -> dict[str, Any]:
    """The settings that are not as they are by default."""
    usual = ForecastConfig()
    return {
        name: value
        for table in ("data", "model", "train")
        for name, value in dict(getattr(config, table)).items()
        if name not in UNSAID and value != getattr(getattr(usual, table), name)
    }
