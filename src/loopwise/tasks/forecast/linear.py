"""The linear map from a window to what follows it, by ridge regression in closed form."""

import numpy as np
import torch
from torch import Tensor

from loopwise.codec.series.windows import Prepared, cut, following
from loopwise.runtime.description import ForecasterDescription
from loopwise.runtime.forecast_network import FLOOR
from loopwise.tasks.forecast.data import WindowStream

WINDOWS = 60_000
"""Windows that it is fitted to."""
AT_ONCE = 2_000


def fit_linear(
    prepared: Prepared, stream: WindowStream, d: ForecasterDescription, ridge: float, seed: int
) -> Tensor:
    """Fit the map that all rows share.

    In each window's scale (its last patch about 0, its standard deviation 1), where targets are
    known: least squares plus `ridge` times the squared weights, over the mean of the windows.

    Returns:
        [h, W].
    """
    rng = np.random.default_rng([seed, 2])
    gram = np.zeros((d.window, d.window))
    cross = np.zeros((d.window, d.horizon))
    count = 0
    for _ in range(WINDOWS // AT_ONCE):
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
        inputs = (x / spread * known).transpose(0, 2, 1).reshape(-1, d.window)
        outputs = (targets / spread).transpose(0, 2, 1).reshape(-1, d.horizon)
        whole = np.isfinite(outputs).all(1)
        inputs, outputs = inputs[whole], outputs[whole]
        gram += inputs.T @ inputs
        cross += inputs.T @ outputs
        count += len(inputs)
    count = max(count, 1)
    solved = np.linalg.solve(gram / count + ridge * np.eye(d.window), cross / count)
    return torch.from_numpy(np.ascontiguousarray(solved.T, np.float32))
