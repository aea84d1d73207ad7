"""How good a network is on the windows that are held out."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from loopwise.codec.series.conformal import held_out_scores
from loopwise.codec.series.forecast import Forecast
from loopwise.codec.series.spaces import Space
from loopwise.codec.series.windows import Windows, following
from loopwise.runtime.forecast_network import Raw
from loopwise.runtime.forecast_windows import places_after
from loopwise.tasks.forecast.data import as_tensors, take

if TYPE_CHECKING:
    from loopwise.tasks.forecast.task import ForecastTask

ROWS = 512
"""Held-out windows that are read at once."""
SHARES = tuple(n / 8 for n in range(9))
"""Of the linear map, that are tried."""


class Validation(NamedTuple):
    """What was found."""

    metrics: dict[str, float]
    """loss, mase, smape, coverage of the intervals of 80 and 95 %"""
    scores: NDArray[np.float32]
    """[M, h], normal scores of what came true, of the windows where all of it is known"""


def held_out_places(task: "ForecastTask") -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The held-out windows: their rows and ends."""
    until = np.repeat(task.until, task.codec.rows_per_series)
    return places_after(until, task.prepared.lengths, task.horizon)


def validate(task: "ForecastTask") -> Validation:
    """Measure a task's model, which is in evaluation mode."""
    rows, ends = held_out_places(task)
    if task.description.linear and len(rows):
        _choose_share(task, rows, ends)
    h, naive = task.horizon, task.naive_errors()
    losses: list[torch.Tensor] = []
    scores: list[NDArray[np.float64]] = []
    errors: list[NDArray[np.float64]] = []
    rng = np.random.default_rng(0)  # for counts
    for begin in range(0, len(rows), ROWS):
        at, end = rows[begin : begin + ROWS], ends[begin : begin + ROWS]
        read = _Read.of(task, at, end)
        raws = read.raws(task)
        losses.append(read.losses(task, raws).flatten())
        arrays = [Raw(*(part.numpy() for part in raw)) for raw in raws]
        forecast = Forecast(task.output, arrays, read.space)
        actual = np.moveaxis(following(task.prepared, at, end, h), 1, 2)
        scores.append(held_out_scores(forecast, actual, rng))
        errors.append(_errors(forecast.at_score(0.0), actual, naive[at]))
    if not losses:
        return Validation({"loss": float("nan")}, np.empty((0, h), np.float32))
    score, error = np.concatenate(scores), np.concatenate(errors)
    known = np.isfinite(score)
    metrics = {"loss": float(torch.cat(losses).nanmean())}
    metrics["mase"], metrics["smape"] = mean_known(error, 0).tolist()
    if task.output.name != "point":
        for name, limit in (("coverage_80", 1.2815515655), ("coverage_95", 1.9599639845)):
            metrics[name] = float(np.mean(np.abs(score[known]) <= limit))
    whole = score.reshape(-1, h)
    whole = whole[np.isfinite(whole).all(1)]
    return Validation(metrics, whole.astype(np.float32))


def _choose_share(task: "ForecastTask", rows: NDArray[np.int64], ends: NDArray[np.int64]) -> None:
    """Leave to the linear map what share of the location makes the loss least.

    Outputs go straight from those without a share to those with all of it, so two readings of
    some of the windows serve for all shares.
    """
    some = slice(None, None, -(-len(rows) // ROWS))
    read = _Read.of(task, rows[some], ends[some])
    task.model.set_share(0.0)
    without = read.raws(task)
    task.model.set_share(1.0)
    alone = read.raws(task)
    losses = [
        read.losses(
            task,
            [
                own._replace(outputs=torch.lerp(own.outputs, all_of_it.outputs, share))
                for own, all_of_it in zip(without, alone, strict=True)
            ],
        ).nanmean()
        for share in SHARES
    ]
    best = int(torch.nan_to_num(torch.stack(losses), torch.inf).argmin())
    task.model.set_share(SHARES[best])


class _Read(NamedTuple):
    """Held-out windows and what follows them."""

    windows: Windows
    space: Space
    targets: torch.Tensor

    @classmethod
    def of(cls, task: "ForecastTask", rows: NDArray[np.int64], ends: NDArray[np.int64]) -> "_Read":
        d = task.description
        return cls(*take(task.prepared, rows, ends, d.window, 1, d))

    def raws(self, task: "ForecastTask") -> list[Raw]:
        """What each member makes of them."""
        device = next(task.model.parameters()).device
        moved = Windows(*(part.to(device) for part in as_tensors(self.windows)))
        with torch.no_grad():
            raws: list[Raw] = task.model([moved] * task.description.members, 1)
        return [Raw(*(part.cpu() for part in raw)) for raw in raws]

    def losses(self, task: "ForecastTask", raws: list[Raw]) -> torch.Tensor:
        """The mean over members for each target; NaN where it is unknown."""
        scale = torch.from_numpy(self.space.spread.astype(np.float32))[:, None, None, :]
        return torch.stack([task.losses(raw, self.targets, scale) for raw in raws]).mean(0)


def mean_known(values: NDArray[np.float64], axis: int | tuple[int, ...]) -> NDArray[np.float64]:
    """The means of what is known along axes; NaN where nothing is."""
    known = ~np.isnan(values)
    count = known.sum(axis)
    total = np.where(known, values, 0.0).sum(axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _errors(
    median: NDArray[np.float64], actual: NDArray[np.float64], naive: NDArray[np.float64]
) -> NDArray[np.float64]:
    """MASE and sMAPE of each window, [B, 2]."""
    off = np.abs(median - actual)
    size = np.abs(median) + np.abs(actual)
    relative = 200 * off / np.where(size > 0, size, 1.0)
    axes = (1, 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack([mean_known(off, axes) / naive, mean_known(relative, axes)], axis=-1)
