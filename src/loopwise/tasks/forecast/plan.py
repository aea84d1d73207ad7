"""What of a training follows from the data: seasons, window, patches, covariates, what is held out.

No torch here.
"""

from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.series.codec import SeriesCodec, Space, Standard
from loopwise.codec.series.columns import Columns
from loopwise.codec.series.distributions import Output, middle
from loopwise.codec.series.panel import Panel
from loopwise.runtime.description import ForecasterDescription, OutputDescription
from loopwise.tasks.forecast.config import DataConfig, ForecastConfig
from loopwise.tasks.layers.description import describe_layers

LEAST, LONG = 14, 2
"""Points and longest seasons of a window, at least."""
SHORT, SHARE = 14, 4
"""Shortest seasons in it, where the longest series is so many times as long."""
FEW, PART = 100, 4
"""Series that all hold points out; of more one of so many does, though no fewer."""


def make_codec(config: ForecastConfig, panel: Panel) -> SeriesCodec:
    """What stands between tables such as that of `panel` and the network."""
    data, model = config.data, config.model
    smoothed = model.scale == "smoothing"
    return SeriesCodec(
        schema=panel.schema,
        columns=columns_of(data),
        mixed=model.channels == "mixed",
        space=_space(config),
        calendar=data.calendar or bool(data.holidays),
        country=data.holidays,
        past=Standard.of(panel.past),
        future=Standard.of(panel.future),
        static=Standard.of(panel.static),
        series=tuple(str(name) for name in panel.ids) if smoothed else (),
        alias="loopwise",
        bounded=model.log,
        layout=data.layout,
        missing=data.missing,
    )


def columns_of(data: DataConfig) -> Columns:
    """The columns of a table."""
    return Columns(
        data.id, data.time, data.target, data.static, data.past, data.future, data.weight or None
    )


def describe(config: ForecastConfig, codec: SeriesCodec, panel: Panel) -> ForecasterDescription:
    """The network for a panel."""
    model, data = config.model, config.data
    seasons = seasons_of(config, panel)
    patch = model.patch or min(seasons, default=1)
    window = _window(config, panel, seasons, patch)
    output = model.made_output
    lags = model.decoder == "lags"
    cycles = [model.cycles[0], *[model.cycles[1]] * len(seasons)][: max(len(seasons), 1)]
    sizes = tuple(len(values) + 1 for values in codec.schema.category_values)
    return ForecasterDescription(
        kind="forecaster",
        window=window,
        patch=patch,
        horizon=data.horizon,
        channels=codec.channels,
        seasons=tuple(seasons) or (1,),
        cycles=tuple(cycles),
        neighbours=model.neighbours,
        scale="mean" if codec.space == "counts" else model.scale,
        reads_in="origin" if config.train.origins == 1 else "patch",
        smoothed=len(codec.series) * codec.rows_per_series,
        past=len(codec.schema.past),
        future=codec.ahead,
        static=len(codec.schema.static),
        categories=sizes,
        category_sizes=tuple(min(16, (size + 1) // 2) for size in sizes),
        input_size=model.input_size,
        layers=describe_layers(model, model.input_size),
        dilations=model.dilations or (1,) * model.num_layers,
        linear=lags and model.linear,
        decoder=model.decoder,
        decoder_size=model.decoder_size if lags else 1,
        step_size=min(16, data.horizon),
        output=OutputDescription(
            output.name, output.levels, output.components, output.size, _locations(output)
        ),
        members=model.members,
        calibration=0,
    )


def seasons_of(config: ForecastConfig, panel: Panel) -> list[int]:
    """Season lengths, shortest first, that the series are long enough to show."""
    longest = int(panel.lengths.max(initial=1))
    given = config.data.season_length
    return [m for m in given or panel.frequency.seasons if given or 2 * m <= longest]


def held_out(config: ForecastConfig, panel: Panel) -> NDArray[np.int64]:
    """Last points of each series that are not learned from, [N]; 0 where it has too few.

    Of many series some do to choose the best step by, and to be learned from to the end is worth
    much to the others. Which these are depends on names alone, not on their order.
    """
    data, lengths = config.data, panel.lengths
    horizons = np.clip(lengths // (10 * data.horizon), 1, 10)
    wanted = np.full(len(panel), data.valid) if data.valid else data.horizon * horizons
    able = np.flatnonzero((wanted >= data.horizon) & (lengths - wanted >= 2))
    most = data.valid_series or max(FEW, len(able) // PART)
    if len(able) > most:
        marks = [crc32(str(panel.ids[i]).encode()) for i in able]
        able = able[np.argsort(marks, kind="stable")[:most]]
    held = np.zeros(len(panel), np.int64)
    held[able] = wanted[able]
    return held


def _window(config: ForecastConfig, panel: Panel, seasons: list[int], patch: int) -> int:
    if config.model.window:
        return -(-config.model.window // patch) * patch
    longest = int(panel.lengths.max(initial=1))
    roomy = min(SHORT * min(seasons, default=1), longest // SHARE)
    wanted = max(LEAST, roomy, LONG * max(seasons, default=1))
    wanted = wanted if seasons else max(wanted, config.data.horizon)
    return -(-min(wanted, max(longest - config.data.horizon, 1)) // patch) * patch


def _space(config: ForecastConfig) -> Space:
    if config.model.output in ("bernoulli",) or config.model.scale == "none":
        return "as-is"
    if config.model.made_output.counts:
        return "counts"
    return "log" if config.model.log and config.model.output != "student-t" else "plain"


def _locations(output: Output) -> tuple[int, ...]:
    match output.name:
        case "quantiles":
            return (middle(output.levels),)
        case "mixture":
            return tuple(range(output.components, 2 * output.components))
        case "bernoulli":
            return ()
        case _:
            return (0,)
