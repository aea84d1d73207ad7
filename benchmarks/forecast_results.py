"""Forecasting on public data sets, from training to test scores.

    python benchmarks/forecast_results.py m4 [SECTION.KEY=VALUE ...]
    python benchmarks/forecast_results.py ett-96 | ett-192 | ett-336 | ett-720
    python benchmarks/forecast_results.py jsb

The data are found through LOOPWISE_DATA: m4/Hourly-train.csv and Hourly-test.csv, ett/ETTh1.csv,
polymusic/JSB_Chorales.mat. CUT=48 cuts so many hours off M4's training part and tests on the first
48 of them instead: what recipes may be chosen by.
"""

import os
import sys
import tempfile
import time

import numpy as np
from published import data

import loopwise
from loopwise.codec.series import baselines, metrics
from loopwise.codec.series.files import read_table
from loopwise.codec.series.panel import Panel
from loopwise.codec.series.table import panel_from_table
from loopwise.runtime.forecaster import LoadedForecaster
from loopwise.tasks.forecast.config import ForecastConfig
from loopwise.tasks.forecast.training import make_task, read_panel
from loopwise.train.launch import launch


def fit(panel: Panel, settings: list[str]) -> tuple[LoadedForecaster, float]:
    config = ForecastConfig.load(None, settings)
    out = os.environ.get("OUT") or tempfile.mkdtemp()
    begin = time.monotonic()
    launch(config, lambda world: make_task(config, world, panel), out, overwrite=True)
    return loopwise.load(out), time.monotonic() - begin


def coverage(scores: np.ndarray) -> str:
    known = np.abs(scores[np.isfinite(scores)])
    return ", ".join(
        f"{name} % {100 * np.mean(known <= z):.1f}" for name, z in ((80, 1.28155), (95, 1.95996))
    )


def m4(settings: list[str]) -> None:
    train, test = (
        panel_from_table(read_table(data(f"m4/Hourly-{part}.csv")), layout="rows", frequency=1)
        for part in ("train", "test")
    )
    actual = test.values.reshape(len(test), 48)
    if cut := int(os.environ.get("CUT", 0)):
        actual = train.values[train.offsets[1:, None] - cut + np.arange(48), 0]
        train = train.head(train.lengths - cut)
    found, seconds = fit(
        train, ["data.horizon=48", "data.season_length=[24,168]", "data.valid=48", *settings]
    )
    values, offsets = train.values[:, 0], train.offsets
    scale = metrics.mase_scale(values, offsets, 24)
    forecasts = found.forecast(train)

    def scores(forecast: np.ndarray) -> tuple[float, float]:
        return (
            float(np.mean(metrics.smape(actual, forecast))),
            float(np.mean(metrics.mase(actual, forecast, scale))),
        )

    naive2 = scores(baselines.naive2(values, offsets, 48, 24))
    for name, forecast in (
        ("loopwise", forecasts.point()[:, :, 0]),
        ("seasonal naive", baselines.seasonal_naive(values, offsets, 48, 24)),
    ):
        smape, mase = scores(forecast)
        owa = metrics.owa(smape, mase, *naive2)
        print(f"{name}: sMAPE {smape:.3f}, MASE {mase:.3f}, OWA {owa:.4f}")
    print(f"coverage: {coverage(forecasts.scores(actual[..., None]))}")
    print(f"training: {seconds:.0f} s")


def ett(horizon: int, settings: list[str]) -> None:
    """Intervals are put right again after each horizon, by the five horizons before, or POINTS.

    Errors are of all windows; and, as papers have them whose test loader drops its last incomplete
    batch of 256, of those without it.
    """
    columns = ["HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"]
    names = ["data.time=date", f"data.target={columns}", f"data.horizon={horizon}"]
    file = f"data.train={data('ett/ETTh1.csv')}"
    panel = read_panel(ForecastConfig.load(None, [*names, file]).data).head(14400)
    found, seconds = fit(panel.head(11520), [*names, "data.valid=2880", *settings])
    points = int(os.environ.get("POINTS", 5 * horizon))
    values = panel.values
    deviation = values[:8640].std(0)
    square: list[np.ndarray] = []  # of each window
    absolute: list[np.ndarray] = []
    covered: dict[str, list[np.ndarray]] = {"of training": [], "recalibrated": []}
    last = 14400 - horizon
    for begin in range(11520, last + 1, horizon):
        ends = np.arange(begin, min(begin + horizon, last + 1))
        forecasts = found.forecast_at(panel, ends[None])
        actual = values[ends[:, None] + np.arange(horizon)]
        off = (forecasts.point("mean") - actual) / deviation
        square.append(np.mean(off**2, axis=(1, 2)))
        off = (forecasts.point("median") - actual) / deviation
        absolute.append(np.mean(np.abs(off), axis=(1, 2)))
        covered["of training"].append(forecasts.scores(actual)[::8])
        recent = found.recalibrated(panel.head(begin), points)
        again = recent.forecast_at(panel, ends[None, ::8])
        covered["recalibrated"].append(again.scores(actual[::8]))
    errors = np.concatenate(square), np.concatenate(absolute)
    windows = len(errors[0])
    for some in (windows, windows - windows % 256):
        mse, mae = (float(each[:some].mean()) for each in errors)
        print(f"ETTh1 {horizon}, {some} windows: MSE {mse:.4f}, MAE {mae:.4f}")
    for name, scores in covered.items():
        print(f"coverage, intervals {name}: {coverage(np.concatenate(scores))}")
    print(f"training: {seconds:.0f} s")


JSB = (
    "data.horizon=1 data.valid=2 model.channels=mixed model.output=bernoulli model.decoder=linear "
    "model.scale=none model.patch=1 model.window=160 model.cell=gru model.hidden_size=256 "
    "model.members=1 model.dropout=0.2 model.dropout_output=0.4 "
    "train.origins=160 train.warmup_points=1 train.batch_size=32 train.epochs=12 "
    "train.epoch_windows=4800 train.lr=5e-3 "
)


def jsb(settings: list[str]) -> None:
    from scipy.io import loadmat

    sets = loadmat(data("polymusic/JSB_Chorales.mat"))
    names = tuple(f"n{key}" for key in range(88))

    def panel(part: str) -> Panel:
        from loopwise.codec.series.frequency import Frequency
        from loopwise.codec.series.panel import offsets_of

        rolls = [np.asarray(roll, np.float64) for roll in sets[part][0]]
        return Panel(
            ids=tuple(range(len(rolls))),
            offsets=offsets_of([len(roll) for roll in rolls]),
            values=np.concatenate(rolls),
            first=np.ones(len(rolls), np.int64),
            frequency=Frequency.parse(1),
            targets=names,
            past=np.empty((sum(map(len, rolls)), 0)),
            future=np.empty((sum(map(len, rolls)), 0)),
            static=np.empty((len(rolls), 0)),
            categories=np.empty((len(rolls), 0), np.int64),
        )

    found, seconds = fit(panel("traindata"), [*JSB.split(), *settings])
    for part in ("validdata", "testdata"):
        total, steps = 0.0, 0
        one = panel(part)
        for n in range(len(one)):
            roll = one.select([n])
            ends = np.arange(1, int(roll.lengths[0]))
            forecasts = found.forecast_at(roll, ends[None])
            total += float(np.sum(forecasts.nll(roll.values[1:, None, :])))
            steps += len(ends)
        print(f"JSB {part}: {total / steps:.4f} nats a step")
    print(f"training: {seconds:.0f} s")


if __name__ == "__main__":
    what, *settings = sys.argv[1:] or ["m4"]
    if what.startswith("ett"):
        ett(int(what.removeprefix("ett-")), settings)
    else:
        {"m4": m4, "jsb": jsb}[what](settings)
