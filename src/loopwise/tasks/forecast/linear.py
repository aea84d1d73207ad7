"""The linear map from a window and the mean so far to what follows: ridge regression."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from loopwise.codec.series.windows import Prepared, cut, following
from loopwise.runtime.description import ForecasterDescription
from loopwise.runtime.forecast_network import FLOOR
from loopwise.tasks.forecast.data import WindowStream

WINDOWS = 60_000
"""Windows that it is fitted to, at most."""
POINTS = 60_000_000
"""Points in all of these, at most. Of a million minutes with days, in windows of 2,880, a third of
all windows takes a third of the time (39 s for 120), and errors on others stay what they are."""
AT_ONCE = 2_000


def fit_linear(
    prepared: Prepared, stream: WindowStream, d: ForecasterDescription, ridge: float, seed: int
) -> Tensor:
    """Fit the map that all rows share, in closed form.

    In each window's scale (its last patch about 0, its standard deviation 1), where targets are
    known: least squares, over the mean of the windows, plus `ridge` times the squared difference
    of the weights from those of a seasonal profile. A window counts by its standard deviation, so
    that quiet ones, which what follows may lie many deviations away from, do not rule. The mean of
    the series so far is one more input; the penalty takes it for that of W points.

    Returns:
        [h, W + 1].
    """
    size = d.window + 1
    rng = np.random.default_rng([seed, 2])
    gram = np.zeros((size, size))
    cross = np.zeros((size, d.horizon))
    total = 0.0
    for _ in range(max(min(WINDOWS, POINTS // d.window) // AT_ONCE, 1)):
        rows, ends = stream.places(rng, AT_ONCE, d.window)
        windows, space = cut(prepared, rows, ends, d.window, d.horizon, d.patch)
        targets = space.over(1).into(following(prepared, rows, ends, d.horizon))
        held = (ends[:, None] + np.arange(d.horizon) >= stream.until[rows][:, None])[..., None]
        targets = np.where(held, np.nan, targets)
        x, known = windows.values.astype(np.float64), windows.known.astype(np.float64)
        points = np.maximum(known.sum(1, keepdims=True), 1)
        mean = (x * known).sum(1, keepdims=True) / points
        variance = (np.square(x - mean) * known).sum(1, keepdims=True) / points
        spread = np.sqrt(np.maximum(variance, FLOOR**2))
        inputs = np.concatenate([x * known, windows.mean], axis=1) / spread
        inputs = inputs.transpose(0, 2, 1).reshape(-1, size)
        outputs = (targets / spread).transpose(0, 2, 1).reshape(-1, d.horizon)
        whole = np.isfinite(outputs).all(1)
        inputs, outputs, counts = inputs[whole], outputs[whole], spread.ravel()[whole]
        weighted = inputs.T * counts
        gram += weighted @ inputs
        cross += weighted @ outputs
        total += counts.sum()
    total = total or 1.0
    penalty = ridge * np.append(np.ones(d.window), 1 / d.window)
    toward = ridge * seasonal_profile(d.window, d.horizon, d.season)
    cross[: d.window] += total * toward
    solved = np.linalg.solve(gram / total + np.diag(penalty), cross / total)
    return torch.from_numpy(np.ascontiguousarray(solved.T, np.float32))


def seasonal_profile(window: int, horizon: int, season: int) -> NDArray[np.float64]:
    """The map that forecasts, for each phase, how far its mean is from that of all.

    Over the whole cycles in a window; 0 where there is no season, or no whole cycle.

    Returns:
        [W, h].
    """
    cycles = window // season
    weights = np.zeros((window, horizon))
    steps = np.arange(horizon)
    for back in range(1, cycles + 1):
        weights[window - back * season + steps % season, steps] = 1 / cycles
    weights[window - cycles * season :] -= 1 / max(cycles * season, 1)
    return weights
