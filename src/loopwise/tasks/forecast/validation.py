"""How good a network is on the windows that are held out."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from loopwise.codec.series.conformal import held_out_scores
from loopwise.codec.series.forecast import Forecast
from loopwise.codec.series.windows import following
from loopwise.runtime.forecast_network import Raw
from loopwise.runtime.forecast_windows import places_after
from loopwise.tasks.forecast.data import as_tensors, take

if TYPE_CHECKING:
    from loopwise.tasks.forecast.task import ForecastTask

ROWS = 512
"""Of these at once."""


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
    h, naive = task.horizon, task.naive_errors()
    losses: list[torch.Tensor] = []
    scores: list[NDArray[np.float64]] = []
    errors: list[NDArray[np.float64]] = []
    rng = np.random.default_rng(0)  # for counts
    for begin in range(0, len(rows), ROWS):
        at, end = rows[begin : begin + ROWS], ends[begin : begin + ROWS]
        forecast, loss = _read(task, at, end)
        losses.append(loss)
        actual = np.moveaxis(following(task.prepared, at, end, h), 1, 2)
        scores.append(held_out_scores(forecast, actual, rng))
        errors.append(_errors(forecast.at_score(0.0), actual, naive[at]))
    if not losses:
        return Validation({"loss": float("nan")}, np.empty((0, h), np.float32))
    score, error = np.concatenate(scores), np.concatenate(errors)
    known = np.isfinite(score)
    metrics = {"loss": float(torch.cat(losses).nanmean())}
    metrics["mase"], metrics["smape"] = map(float, np.nanmean(error, axis=0))
    if task.output.name != "point":
        for name, limit in (("coverage_80", 1.2815515655), ("coverage_95", 1.9599639845)):
            metrics[name] = float(np.mean(np.abs(score[known]) <= limit))
    whole = score.reshape(-1, h)
    whole = whole[np.isfinite(whole).all(1)]
    return Validation(metrics, whole.astype(np.float32))


def _read(
    task: "ForecastTask", rows: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[Forecast, torch.Tensor]:
    d = task.description
    windows, space, targets = take(task.prepared, rows, ends, d.window, 1, d)
    device = next(task.model.parameters()).device
    read = as_tensors(windows)
    moved = type(read)(*(part.to(device) for part in read))
    with torch.no_grad():
        raws: list[Raw] = task.model([moved] * d.members, 1)
    scale = torch.from_numpy(space.spread.astype(np.float32))[:, None, None, :]
    raws = [Raw(*(part.cpu() for part in raw)) for raw in raws]
    losses = torch.stack([task.losses(raw, targets, scale) for raw in raws]).mean(0)
    arrays = [Raw(*(part.numpy() for part in raw)) for raw in raws]
    return Forecast(task.output, arrays, space), losses.flatten()


def _errors(
    median: NDArray[np.float64], actual: NDArray[np.float64], naive: NDArray[np.float64]
) -> NDArray[np.float64]:
    """MASE and sMAPE of each window, [B, 2]."""
    off = np.abs(median - actual)
    size = np.abs(median) + np.abs(actual)
    relative = 200 * off / np.where(size > 0, size, 1.0)
    axes = (1, 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack([np.nanmean(off, axes) / naive, np.nanmean(relative, axes)], axis=-1)
