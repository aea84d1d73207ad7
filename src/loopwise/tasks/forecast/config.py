"""The options of forecasting. No torch here: the command line prints them without it."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from loopwise.codec.series.distributions import Output, OutputName, make_output
from loopwise.config import ActsWith, Section
from loopwise.errors import DataError
from loopwise.tasks.layers.config import LayersConfig
from loopwise.train.config import TaskConfig, TrainConfig


class DataConfig(Section):
    """The table of series, its columns, and what is forecast."""

    train: str = Field(default="", description="CSV (also .gz) or Parquet, or - for standard input")
    horizon: int = Field(default=12, ge=1, description="steps that are forecast at once")
    season_length: tuple[int, ...] = Field(
        default=(), description="steps of a season, several if there are; empty = as usual"
    )
    frequency: str = Field(default="", description="step of the stamps, as h; empty = inferred")

    layout: Literal["long", "wide", "rows"] = Field(
        default="long",
        description="long (a row a point), wide (a column a series) or rows (a row a series)",
    )
    id: str = Field(default="unique_id", description="column that names the series")
    time: str = Field(default="ds", description="column of the stamps")
    target: tuple[str, ...] = Field(default=("y",), description="columns to forecast")
    static: tuple[str, ...] = Field(default=(), description="columns that describe a series")
    past: tuple[str, ...] = Field(default=(), description="covariates known up to now")
    future: tuple[str, ...] = Field(default=(), description="covariates known ahead")
    weight: str = Field(default="", description="column of a series' weight in training")
    missing: Literal["error", "interpolate", "mask"] = Field(
        default="error",
        description="gaps, missing values, text among numbers, stamps that come twice: error, "
        "interpolate or mask",
    )
    calendar: bool = Field(default=False, description="tell the model hour, weekday, month, ...")
    holidays: str = Field(default="", description="tell it the holidays of a country, as DE")

    valid: int = Field(
        default=0,
        ge=0,
        description="last points of each series held out to validate and calibrate; 0 = a tenth "
        "of a series, at least the horizon, at most ten of them",
    )
    valid_series: int = Field(
        default=0,
        ge=0,
        description="series that hold them out, at most, the others are learned from to their "
        "ends; 0 = up to 100 all, of more a quarter, though no fewer than 100",
    )

    @field_validator("target", "static", "past", "future", mode="before")
    @classmethod
    def _one_is_a_list_too(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("season_length", mode="before")
    @classmethod
    def _one_season(cls, value: Any) -> Any:
        return (value,) if isinstance(value, int) else value

    @field_validator("season_length")
    @classmethod
    def _rising(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if any(season < 1 for season in value):
            raise ValueError(f"must be 1 or more, given {min(value)}")
        return tuple(sorted(set(value) - {1}))

    def require_files(self) -> None:
        """Raise DataError unless the table is a file, so that it can be read again."""
        if self.train in ("", "-"):
            raise DataError(
                "the table of this run was no file, but given from Python or standard input"
            )

    def absolute(self) -> "DataConfig":
        """The same with an absolute path, so that a run can be continued from any folder."""
        if self.train in ("", "-"):
            return self
        return self.model_copy(update={"train": str(Path(self.train).absolute())})


class ModelConfig(LayersConfig):
    """What the network reads, its layers, and what it puts out."""

    window: int = Field(
        default=0, ge=0, description="points that a forecast reads; 0 = by seasons and horizon"
    )
    patch: int = Field(
        default=0, ge=0, description="points read in one step; 0 = the shortest season"
    )
    channels: Literal["independent", "mixed"] = Field(
        default="independent",
        description="several targets: each a series of its own, or read together (mixed)",
    )
    scale: Literal["level", "seasonal", "smoothing", "none"] = Field(
        default="level",
        description="taken out before reading: level, also a seasonal profile, smoothing (both, "
        "Holt-Winters with rates learned for each series), or none",
    )
    log: bool = Field(
        default=True,
        description="what was never below 0 is not forecast below 0, and series that are positive "
        "throughout by their logarithms; not with student-t, whose exponential has no mean",
    )
    input_size: int = Field(default=128, ge=1, description="features of a patch")
    dilations: tuple[int, ...] = Field(
        default=(), description="of each layer: reads every n-th step; empty = every one"
    )

    decoder: Literal["lags", "linear"] = Field(
        default="lags",
        description="lags (a small network for each target, which sees past cycles) or linear",
    )
    decoder_size: Annotated[int, ActsWith("decoder", ("lags",))] = Field(
        default=128, ge=1, description="its hidden units"
    )
    cycles: Annotated[tuple[int, int], ActsWith("decoder", ("lags",))] = Field(
        default=(7, 2), description="past cycles it sees of the shortest and of longer seasons"
    )
    neighbours: Annotated[int, ActsWith("decoder", ("lags",))] = Field(
        default=2, ge=0, description="phases it sees on each side in the last cycle"
    )
    linear: Annotated[bool, ActsWith("decoder", ("lags",))] = Field(
        default=True,
        description="it also mixes in a linear map of the window and of the mean so far, fitted "
        "once by ridge regression",
    )
    ridge: Annotated[float, ActsWith("decoder", ("lags",))] = Field(
        default=1.0,
        gt=0,
        description="of that: penalty on what differs from a seasonal profile, where "
        "inputs have variance 1",
    )
    dropout: float = Field(default=0.1, ge=0, lt=1, description="on the features of patches")

    output: OutputName = Field(
        default="quantiles",
        description="quantiles, a distribution (normal, student-t, mixture, negative-binomial, "
        "poisson, bernoulli) or a point",
    )
    levels: Annotated[tuple[float, ...], ActsWith("output", ("quantiles",))] = Field(
        default=(0.1, 0.25, 0.5, 0.75, 0.9), description="of the quantiles, between 0 and 1"
    )
    components: Annotated[int, ActsWith("output", ("mixture",))] = Field(
        default=3, ge=1, description="normals of a mixture"
    )
    loss: Annotated[Literal["mae", "mse", "huber"], ActsWith("output", ("point",))] = Field(
        default="mae", description="of a point: mae, mse or huber"
    )
    members: int = Field(
        default=3,
        ge=1,
        description="networks, each from its own seed, whose forecasts are averaged",
    )

    @field_validator("dilations", mode="before")
    @classmethod
    def _one_dilation(cls, value: Any) -> Any:
        return (value,) if isinstance(value, int) else value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.dilations and len(self.dilations) != self.num_layers:
            raise ValueError(f"dilations {list(self.dilations)}: give one for each layer")
        if any(step < 1 for step in self.dilations):
            raise ValueError(f"dilations {list(self.dilations)}: must be 1 or more")
        if self.window and self.patch and self.window % self.patch:
            raise ValueError(f"window {self.window}: must be a multiple of patch {self.patch}")
        _ = self.made_output
        return self

    @property
    def made_output(self) -> Output:
        """What the network puts out for a target."""
        quantiles, mixture = self.output == "quantiles", self.output == "mixture"
        return make_output(
            self.output,
            levels=self.levels if quantiles else None,
            components=self.components if mixture else None,
        )


class ForecastTrainConfig(TrainConfig):
    """Training: length, optimiser, learning rate, clipping, checkpoints, machine."""

    origins: int = Field(
        default=1,
        ge=1,
        description="a loss at the ends of so many last patches of a window, not only its end",
    )
    warmup_points: int = Field(
        default=0, ge=0, description="points before a window's first loss; 0 = model.window"
    )
    targets: int = Field(
        default=64,
        ge=0,
        description="targets of a window that a step learns from, drawn at random; 0 = all",
    )
    epoch_windows: int = Field(
        default=0, ge=0, description="windows of an epoch, in all processes; 0 = by the data"
    )
    weighting: Literal["none", "mase"] = Field(
        default="none",
        description="errors count in units of the window's scale (none), or of the seasonal naive "
        "forecast's mean error (mase)",
    )


class ForecastConfig(TaskConfig):
    """A forecaster: its table, its network and its training."""

    task: Literal["forecast"] = Field(
        default="forecast", description="what this configuration is for"
    )
    data: DataConfig = DataConfig.load()
    model: ModelConfig = ModelConfig(hidden_size=128)
    train: ForecastTrainConfig = ForecastTrainConfig(
        epochs=12,
        batch_size=128,
        lr=5e-3,
        weight_decay=0.01,
        schedule="one-cycle",
        warmup=0.2,
        average=0.98,
    )
