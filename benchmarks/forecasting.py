"""Forecasters: training and predicting beside neuralforecast's LSTM and GRU, and live streams.

Three pairs are timed in turn. "same work": both read windows of 144 points one by one, by two
layers of 128 units, 128 windows a step, scaled by mean and deviation, and learn their 48 targets
through a linear map by Adam from the mean absolute error. Not the same: loopwise makes 8 features
of a point before the first layer, where the other one has the point itself; maps the last state to
all targets, where the other one maps each of the last 48 states to its own; and sees which points
are missing. "same sizes": window, layers, units, windows a step and loss are equal, but each reads
and decodes in its own way, loopwise in patches of a season. "defaults": what one gets who gives the
horizon, the seasons and no more; the sizes differ then. Trained is on M4 Hourly, without validation
between the steps. `--quick` only shows that the script works.
"""

import io
import os
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import neural
import numpy as np
import pandas as pd
import torch
from report import argument_parser, print_table, write_results
from rich.console import Console
from timing import interleave

import loopwise
from loopwise import engine
from loopwise.codec.series.files import read_table
from loopwise.codec.series.table import panel_from_table
from loopwise.runtime.forecast_stream import ForecastStream
from loopwise.runtime.forecaster import LoadedForecaster
from loopwise.tasks.forecast.config import ForecastConfig
from loopwise.tasks.forecast.task import ForecastTask
from loopwise.tasks.forecast.training import make_task
from loopwise.train.launch import launch
from loopwise.train.processes import World

HORIZON = 48
WARMUP = 5
"""Steps of a training before those that are timed."""
SAME_WORK = """
model.patch=1 model.window=144 model.input_size=8 model.num_layers=2 model.hidden_size=128
model.members=1 model.dropout=0 model.decoder=linear model.output=point model.log=false
train.batch_size=128 train.average=0 train.weight_decay=0 train.clip=0
train.schedule=constant train.warmup=0 train.lr=1e-3
"""
SAME_SIZES = """
model.members=1 model.window=144 model.num_layers=2 model.hidden_size=128 model.decoder_size=128
model.output=point
train.batch_size=128
"""
OURS = {"same work": SAME_WORK.split(), "same sizes": SAME_SIZES.split(), "defaults": list[str]()}
THEIR_SIZES = {
    "input_size": 144,
    "encoder_n_layers": 2,
    "encoder_hidden_size": 128,
    "decoder_hidden_size": 128,
}
THEIRS: dict[str, dict[str, Any]] = {
    "same work": {**THEIR_SIZES, "decoder_layers": 1, "scaler_type": "standard"},
    "same sizes": THEIR_SIZES,
    "defaults": {},
}
"""Their defaults are windows of three horizons, 128 a step, two layers of 128 units (LSTM) or 200
(GRU), the mean absolute error, a decoder with a hidden layer of 128, and scaling by the median and
the deviation from it.
"""
THEIR_WINDOWS = 128
COUNTS = (1, 100, 1_000, 10_000)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="trainings of each")
    parser.add_argument("--steps", type=int, default=30, help="of each of them")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    quick = arguments.quick
    rounds, steps = (1, WARMUP + 2) if quick else (arguments.rounds, arguments.steps)
    cells = ("lstm",) if quick else ("lstm", "gru")
    table = seasonal(20, 400) if quick else hourly()
    rows = [training(table, cell, what, rounds, steps) for what in OURS for cell in cells]
    print_table("forecasting, training: milliseconds a step; ratio = other / loopwise", rows)
    many = seasonal(20 if quick else max(COUNTS), 200)
    predicted = [predicting(many, what) for what in OURS]
    print_table("forecasting, predicting: seconds a table; ratio = other / loopwise", predicted)
    counts, seconds = (COUNTS[:1], 0.01) if quick else (COUNTS, 1.0)
    model, _ = fit(many.head(200 * 200), configure("defaults", "lstm", WARMUP, "[24]"))
    streamed = [streaming(model, many.head(200 * count), seconds) for count in counts]
    print_table("forecasting, streams: milliseconds a call", streamed)
    write_results(
        arguments.results,
        "forecasting",
        [*rows, *predicted, *streamed],
        isa=engine.isa() if engine.available() else "",
        threads=arguments.threads,
        torch=torch.__version__,
        **neural.INSTALLED,
    )


def hourly() -> pd.DataFrame:
    """The training part of M4 Hourly, a row a point."""
    path = Path(os.environ.get("LOOPWISE_DATA", ""), "m4/Hourly-train.csv")
    if not path.exists():
        sys.exit(f"{path}: missing; LOOPWISE_DATA is the folder of the data sets")
    panel = panel_from_table(read_table(path), layout="rows", frequency=1)
    return long_table(list(panel.ids), panel.lengths, panel.values[:, 0])


def seasonal(count: int, length: int) -> pd.DataFrame:
    """Series with a season of 24 steps, each of its own size and phase, and noise."""
    rng = np.random.default_rng(1)
    phase, size = rng.uniform(0, 2 * np.pi, (count, 1)), rng.uniform(1, 5, (count, 1))
    wave = size * np.sin(2 * np.pi * np.arange(length) / 24 + phase)
    values = 20 + wave + rng.normal(size=wave.shape)
    names = [f"series-{n}" for n in range(count)]
    return long_table(names, np.full(count, length), values.ravel())


def long_table(names: list[Any], lengths: np.ndarray, values: np.ndarray) -> pd.DataFrame:
    steps = np.concatenate([np.arange(1, length + 1) for length in lengths])
    ids = np.repeat(np.array(names), lengths)
    return pd.DataFrame({"unique_id": ids, "ds": steps, "y": values})


def training(table: pd.DataFrame, cell: str, what: str, rounds: int, steps: int) -> dict[str, Any]:
    """A step of both, by trainings made in turn."""
    mine: list[float] = []
    other: list[float] = []
    config = configure(what, cell, steps, "[24,168]")
    for _ in range(rounds):
        mine.append(pace(fit(table, config)[1]))
        if neural.INSTALLED:
            other.append(pace(neural.fit(table, cell, steps, h=HORIZON, **THEIRS[what])[1]))
    windows = config.train.batch_size * config.model.members
    row: dict[str, Any] = {"training": what, "cell": cell, "windows": windows}
    row["loopwise"] = round(1000 * statistics.median(mine), 1)
    if other:
        ratio = statistics.median(b / a for a, b in zip(mine, other, strict=True))
        row |= {"their windows": THEIR_WINDOWS}
        row |= {"neuralforecast": round(1000 * statistics.median(other), 1)}
        row |= {"ratio": round(ratio, 2)}
        row |= {"ratio of a window": round(ratio * windows / THEIR_WINDOWS, 2)}
    return row


def configure(what: str, cell: str, steps: int, seasons: str) -> ForecastConfig:
    """loopwise's options: one epoch of so many steps, so nothing is validated before its end."""
    data = [f"data.horizon={HORIZON}", f"data.valid={HORIZON}", f"data.season_length={seasons}"]
    threads = f"train.threads={torch.get_num_threads()}"
    config = ForecastConfig.load(None, [*data, f"model.cell={cell}", threads, *OURS[what]])
    windows = steps * config.train.batch_size
    return config.changed(["train.epochs=1", f"train.epoch_windows={windows}"])


def fit(table: pd.DataFrame, config: ForecastConfig) -> tuple[LoadedForecaster, list[float]]:
    """loopwise's forecaster, trained, and when each step began."""
    began: list[float] = []

    def make(world: World) -> ForecastTask:
        task = make_task(config, world, panel_from_table(table))
        draw = task.batches.next

        def clocked() -> Any:
            began.append(time.perf_counter())
            return draw()

        task.batches.next = clocked
        return task

    with tempfile.TemporaryDirectory() as out:
        launch(config, make, out, overwrite=True, console=Console(file=io.StringIO()))
        return loopwise.load(out), began


def pace(began: list[float]) -> float:
    """Mean seconds of a step, all that is between two of them included."""
    return (began[-1] - began[WARMUP - 1]) / (len(began) - WARMUP)


def predicting(many: pd.DataFrame, what: str) -> dict[str, Any]:
    """A call of `predict` of both: a data frame in, one out."""
    few = many.head(200 * 200)
    mine, _ = fit(few, configure(what, "lstm", WARMUP, "[24]"))
    calls = [lambda: mine.predict(many)]
    if neural.INSTALLED:
        other, _ = neural.fit(few, "lstm", WARMUP, h=HORIZON, **THEIRS[what])
        calls.append(lambda: other.predict(many))
    times = interleave(calls, seconds=0)
    row: dict[str, Any] = {"predicting": what, "series": many["unique_id"].nunique()}
    row |= {"loopwise": round(times[0], 2)}
    if neural.INSTALLED:
        row |= {"neuralforecast": round(times[1], 2), "ratio": round(times[1] / times[0], 2)}
    return row


def streaming(model: LoadedForecaster, table: pd.DataFrame, seconds: float) -> dict[str, Any]:
    """A call that takes a point of each series and gives its score and the medians that follow."""
    count = table["unique_id"].nunique()
    row: dict[str, Any] = {"streams in a call": count}
    y = np.full(count, 20.0)
    for h in (1, HORIZON):
        stream = model.stream(table, h=h)
        (each,) = interleave([partial(push, stream, y)], seconds)
        row[f"h={h}"] = round(1000 * each, 2)
        row[f"updates a second, h={h}"] = round(count / each)
    return row


def push(stream: ForecastStream, y: np.ndarray) -> np.ndarray:
    return stream.update(y).median


if __name__ == "__main__":
    main()
