"""A forecaster over the last window of one series, seen from inside."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from loopwise.codec.series.panel import Panel
from loopwise.codec.series.stamps import stamp_text
from loopwise.codec.series.windows import Prepared, Windows, cut, prepare
from loopwise.diagnose.attribution import attribute
from loopwise.diagnose.states import Array, Attribution, Inspection, Mixture
from loopwise.diagnose.telling import telling
from loopwise.diagnose.trace import trace
from loopwise.errors import DataError
from loopwise.runtime.forecaster import LoadedForecaster
from loopwise.runtime.lags import candidates_of
from loopwise.tasks.forecast.config import ForecastConfig
from loopwise.tasks.forecast.data import as_tensors
from loopwise.tasks.forecast.model import ForecastNetwork, Member

ROWS = 200
"""Windows that telling units are measured on."""

Integers = NDArray[np.int64]


def inspect_series(
    config: ForecastConfig, model: LoadedForecaster, panel: Panel, name: str | None, source: str
) -> Inspection:
    """Look at the forecast after the end of one series, its first target; its steps are patches.

    Args:
        config: of the run.
        model: its bundle, loaded.
        panel: series, among them that one.
        name: of the series; None for the first.
        source: names the table, on which telling units are measured.

    Raises:
        DataError: there is no such series.
    """
    i = _place(panel, name)
    d = model.description
    member = _first_member(config, model)
    prepared = prepare(panel, model.codec, d.horizon)
    row = np.array([i * prepared.per_series])
    one = _windows(model, prepared, row, prepared.lengths[row])
    many = _windows(model, prepared, *_spread_out(prepared))
    states = trace(member, lambda: member(one, 1, None))
    usual = trace(member, lambda: member(many, 1, None), gates=False)
    end, patches = int(prepared.lengths[row[0]]), d.window // d.patch
    begins = end - d.window + d.patch * np.arange(patches)
    stamps = panel.frequency.at(panel.first[i], begins)
    there = begins + d.patch > 0
    notes = [] if d.members == 1 else [f"states are those of the first of {d.members} networks"]
    shares = model.mixture(panel.select([i]))
    return Inspection(
        "numbers",
        tuple(
            stamp_text(stamp) if known else "(before the series)"
            for stamp, known in zip(stamps, there, strict=True)
        ),
        states,
        {k: v[:, 0] for k, v in _features(one, d.patch).items()},
        telling(usual, _features(many, d.patch), f"{ROWS} windows of {source}"),
        _attribution(member, one, str(panel.ids[i])),
        tuple(notes),
        None if shares is None else Mixture(tuple(candidates_of(d)), shares[0, :, 0]),
    )


def _place(panel: Panel, name: str | None) -> int:
    if name is None:
        return 0
    known = [str(each) for each in panel.ids]
    if name not in known:
        raise DataError(f"there is no series {name!r}; the first are {', '.join(known[:5])}")
    return known.index(name)


def _first_member(config: ForecastConfig, model: LoadedForecaster) -> Member:
    network = ForecastNetwork(model.description, config.model).eval()
    tensors = {k: v for k, v in model.bundle.tensors.items() if k != "calibration"}
    network.load_state_dict(
        {k: torch.from_numpy(np.array(v, np.float32)) for k, v in tensors.items()}
    )
    first = network.members[0]
    assert isinstance(first, Member)
    return first


def _spread_out(prepared: Prepared) -> tuple[Integers, Integers]:
    """Rows and ends of windows here and there."""
    rng = np.random.default_rng(1)
    rows = rng.integers(0, len(prepared.lengths), ROWS)
    lengths = prepared.lengths[rows]
    first = np.maximum(lengths // 2, 1)
    return rows, first + (rng.random(ROWS) * (lengths - first + 1)).astype(np.int64)


def _windows(
    model: LoadedForecaster, prepared: Prepared, rows: Integers, ends: Integers
) -> Windows:
    d = model.description
    return as_tensors(cut(prepared, rows, ends, d.window, d.horizon, d.patch)[0])


def _features(windows: Windows, patch: int) -> dict[str, Array]:
    """What units may follow, each [S, B], of the first channel."""
    values = windows.values[..., 0].double().numpy()
    known = windows.known[..., 0].double().numpy()
    of = values.reshape(len(values), -1, patch)
    there = known.reshape(of.shape)
    count = np.maximum(there.sum(-1), 1)
    mean = (of * there).sum(-1) / count
    spread = np.sqrt((np.square(of - mean[..., None]) * there).sum(-1) / count)
    change = np.diff(mean, axis=1, prepend=mean[:, :1])
    found = {
        "patch": np.broadcast_to(np.arange(of.shape[1], dtype=np.float64), mean.shape),
        "mean of the patch": mean,
        "change since the patch before": change,
        "rises": (change > 0).astype(float),
        "missing values": 1 - there.mean(-1),
    }
    if patch > 1:
        found["spread of the patch"] = spread
    return {name: each.T for name, each in found.items()}


def _attribution(member: Member, window: Windows, name: str) -> Attribution:
    d = member.description
    places = list(d.output.locations) or [0]
    patches = d.window // d.patch

    def score(x: Tensor) -> Tensor:
        """Patches [S, B, p * C] to the mean of the forecasts, [B]."""
        rows = x.shape[1]
        every = [part.expand(rows, *part.shape[1:]) for part in window]
        values = x.transpose(0, 1).reshape(rows, d.window, d.channels)
        raw = member(Windows(values, *every[1:]), 1, None)
        said = raw.outputs[..., places].mean(-1)[:, 0, :, 0]  # [B, h]
        return (said * raw.spread[:, 0, :1] + raw.centre[:, 0, :1]).mean(1)

    x = window.values.reshape(patches, d.patch * d.channels)
    shares = attribute(score, x, torch.zeros_like(x[0]))
    with torch.no_grad():
        value = float(score(x.unsqueeze(1))[0])
    what = f"the mean forecast of {name} less its last patch, in standard deviations"
    return Attribution(patches - 1, 0, what, value, *shares)
