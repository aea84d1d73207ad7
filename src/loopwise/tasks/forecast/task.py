"""Forecasting as the training loop sees it."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from loopwise.codec.series.panel import Panel
from loopwise.codec.series.windows import prepare
from loopwise.diagnose.dependence import known
from loopwise.diagnose.report import Dependence
from loopwise.errors import DataError
from loopwise.export.bundle import to_bundle
from loopwise.nn.state import State
from loopwise.runtime.bundle import write_bundle
from loopwise.runtime.forecast_network import Raw
from loopwise.tasks.forecast.config import ForecastConfig
from loopwise.tasks.forecast.data import ForecastBatch, WindowStream
from loopwise.tasks.forecast.linear import fit_linear
from loopwise.tasks.forecast.losses import target_loss
from loopwise.tasks.forecast.model import ForecastNetwork
from loopwise.tasks.forecast.plan import describe, held_out, make_codec
from loopwise.tasks.forecast.validation import Validation, mean_known, validate
from loopwise.tasks.layers.modules import summarise
from loopwise.train.processes import World
from loopwise.train.task import StepLoss

LEAST_ERROR = 0.05
"""A seasonal naive error, in standard deviations of its series, that weighs no more."""


class ForecastTask:
    """Windows of many series, their last points held out; a `loopwise.train.task.Task`.

    Args:
        config: all options.
        panel: the series.
        world: this process and how many there are.

    Raises:
        DataError: there is nothing to learn from.
    """

    monitor = "loss"
    unit = "targets"

    def __init__(self, config: ForecastConfig, panel: Panel, world: World | None = None):
        world = world or World.current()
        self.config, self.panel = config, panel
        self.codec = make_codec(config, panel)
        self.description = describe(config, self.codec, panel)
        self.until = panel.lengths - held_out(config, panel)
        if self.until.max() < 2:
            raise DataError(f"{panel.longest}; at least 2 are needed to learn from")
        self.prepared = prepare(panel, self.codec, 0, until=self.until)
        each = self.codec.rows_per_series
        self.batches = WindowStream(
            self.prepared,
            np.repeat(self.until, each),
            self._weights(each),
            self.description,
            self._length,
            config.train.origins,
            config.train.batch_size,
            targets=config.train.targets,
            epoch_windows=config.train.epoch_windows,
            epochs=config.train.epochs,
            seed=config.train.seed,
            rank=world.rank,
            world=world.size,
        )
        torch.manual_seed(config.train.seed)
        self.model = ForecastNetwork(self.description, config.model)
        if self.description.linear:
            found = fit_linear(
                self.prepared, self.batches, self.description, config.model.ridge, config.train.seed
            )
            self.model.set_linear(found)
        self.output = config.model.made_output
        self._validation: Validation | None = None

    @property
    def judge(self) -> str:
        """What is validated on."""
        held = self.panel.lengths - self.until
        some, every = np.count_nonzero(held), len(self.panel)
        of = f"{every}" if some == every else f"{some} of {every}"
        return f"{held.sum()} held-out points of {of} series, horizon {self.horizon}"

    @property
    def horizon(self) -> int:
        """Steps that are forecast at once."""
        return self.description.horizon

    @property
    def summary(self) -> str:
        """The series and the network in a line each."""
        d, panel = self.description, self.panel
        seasons = ", ".join(map(str, d.seasons)) if d.seasons != (1,) else "none"
        lengths = dict.fromkeys((int(panel.lengths.min()), int(panel.lengths.max())))
        return (
            f"{len(panel):,} series of {' to '.join(map(str, lengths))} "
            f"points, frequency {panel.frequency}, seasons {seasons}; {self.judge}\n"
            f"reads {d.window} points in patches of {d.patch}\n"
            f"{summarise(self.config.model, self.model)}"
        )

    @property
    def window(self) -> int | None:
        """None: windows are read as a whole."""
        return None

    def dependence(self) -> Dependence:
        """A window's patches: as far back as it reaches."""
        return known(self.description.window // self.description.patch)

    def loss(self, model: nn.Module, batch: ForecastBatch, state: State | None) -> StepLoss:
        """Mean over members of each one's mean loss of the targets that are known.

        In units of their window's scale.
        """
        raws: list[Raw] = model(batch.windows, self.config.train.origins, batch.chosen)
        means: list[Tensor] = []
        count = 0
        for raw, targets, scale, weight in zip(
            raws, batch.targets, batch.scale, batch.weight, strict=True
        ):
            there = torch.isfinite(targets)
            losses = self.losses(raw, torch.where(there, targets, 0.0), scale)
            whole = torch.where(there, losses, 0.0) * weight[:, None, None, None]
            means.append(whole.sum() / there.sum().clamp_min(1))
            count += int(there.sum())
        mean, members = torch.stack(means).mean(), len(raws)
        # the sum of the members' means is what is minimised: so several train as each would alone
        others = mean * (members - 1) if members > 1 else None
        return StepLoss(mean, max(count // members, 1), penalty=others)

    def losses(self, raw: Raw, targets: Tensor, scale: Tensor) -> Tensor:
        """The loss of each target [B, K, h, C]; see `loopwise.tasks.forecast.losses`."""
        centre, spread = raw.centre[:, :, None, :], raw.spread[:, :, None, :]
        y = (targets - centre) / spread
        return target_loss(self.output, raw.outputs, y, spread * scale, self.config.model.loss)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Metrics of the held-out windows; see `loopwise.tasks.forecast.validation`."""
        self._validation = validate(self)
        return self._validation.metrics

    def export(self, path: Path) -> None:
        """Write the bundle of the model as it is now, with its calibration."""
        info: dict[str, Any] = {"series": len(self.panel), "points": len(self.panel.values)}
        scores: NDArray[np.float32] | None = None
        if self._validation is not None:
            info["validation"] = self._validation.metrics
            scores = self._validation.scores
        bundle = to_bundle("forecaster", self.model, self.codec, info)
        if scores is not None and len(scores):
            model = {**bundle.model, "calibration": len(scores)}
            tensors = {**bundle.tensors, "calibration": scores}
            bundle = dataclasses.replace(bundle, model=model, tensors=tensors)
        write_bundle(path, bundle)

    @property
    def _length(self) -> int:
        """Points of a training window: up to its first origin, and on to its last."""
        d, train = self.description, self.config.train
        warmup = train.warmup_points or d.window
        patches = -(-warmup // d.patch) + train.origins - 1
        return patches * d.patch

    def _weights(self, each: int) -> NDArray[np.float64]:
        """Of each row, with a mean of 1."""
        weights = self.panel.weights
        weights = np.ones(len(self.panel)) if weights is None else weights
        rows = np.repeat(weights, each)
        if self.config.train.weighting == "mase":
            shares = 1 / np.maximum(self.naive_errors(scaled=True), LEAST_ERROR)
            known = np.isfinite(shares)
            usual = np.median(shares[known]) if known.any() else 1.0
            rows = rows * np.where(known, shares, usual)
        return rows / rows.mean()

    def naive_errors(self, *, scaled: bool = False) -> NDArray[np.float64]:
        """Of each row, over what is not held out, the seasonal naive forecast's mean error, [R].

        NaN where no two values a season apart are known.

        Args:
            scaled: of the logarithms where they are forecast, and in units of the row's spread.
        """
        prepared, season = self.prepared, self.description.season
        lengths = self.panel.lengths
        values = prepared.values
        if scaled:
            shape = (len(self.panel), values.shape[1])
            log = np.repeat(prepared.spaces.log.reshape(shape), lengths, axis=0)
            with np.errstate(divide="ignore", invalid="ignore"):
                values = np.where(log, np.log(values), values)
            values = values / np.repeat(prepared.spaces.spread.reshape(shape), lengths, axis=0)
        place = np.arange(len(values)) - np.repeat(prepared.offsets[:-1], lengths)
        inside = (place >= season) & (place < np.repeat(self.until, lengths))
        off = np.full(values.shape, np.nan)
        off[season:] = np.abs(values[season:] - values[:-season])
        off[~inside] = np.nan
        there = np.isfinite(off)
        total = np.add.reduceat(np.where(there, off, 0.0), prepared.offsets[:-1], axis=0)
        count = np.add.reduceat(there.astype(float), prepared.offsets[:-1], axis=0)
        mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        return mean.reshape(-1) if prepared.per_series > 1 else mean_known(mean, 1)
