"""Forecasts from forecasts: sample paths of any length, and what lies beyond the horizon. No torch.

A path is drawn a horizon at a time: from a forecast, then from the forecast of the series that the
path so far has followed.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.series.base import Distribution
from loopwise.codec.series.conformal import evenly
from loopwise.codec.series.forecast import Forecast
from loopwise.codec.series.panel import Panel
from loopwise.codec.series.windows import prepare
from loopwise.runtime.forecasts import Forecasts, by_series

if TYPE_CHECKING:
    from loopwise.runtime.forecaster import LoadedForecaster

Floats = NDArray[np.float64]
Levels: TypeAlias = Callable[[tuple[int, ...]], Floats]
"""Probabilities [*shape, horizon] to draw at."""

PATHS = 50
"""Paths of a series by which what lies beyond the horizon is forecast."""
DRAWS = 8
"""Values that the forecast at the end of each stands for, one from each eighth of it."""
WINDOWS = 2048
"""Paths that go beyond the horizon at once, about, so that memory is bounded."""

_EDGE = 1e-12  # probabilities keep so far from 0 and 1


def sample_paths(
    model: "LoadedForecaster", panel: Panel, n: int, h: int, ahead: Floats | None, seed: int
) -> Floats:
    """Paths of what may follow each series, drawn for independently of each other.

    Args:
        model: the forecaster.
        panel: the N series up to now.
        n: paths of each.
        h: steps.
        ahead: covariates known ahead, [N, h, F].
        seed: of the random numbers.

    Returns:
        [n, N, h, targets].

    Raises:
        DataError: no held-out window is known at all steps.
    """
    levels = _levels(model, np.random.default_rng(seed))
    drawn = [block.drawn for block in _blocks(model, panel, n, h, ahead, levels)]
    return np.concatenate(drawn, axis=2)[:, :, :h]


def forecast_beyond(
    model: "LoadedForecaster", panel: Panel, h: int, ahead: Floats | None, seed: int
) -> Forecasts:
    """Forecast more steps than the horizon.

    The first horizon is forecast as ever. What comes later has the mixture of the forecasts after
    `PATHS` paths for its distribution, told by values from equal parts of each. All series draw
    by the same random numbers, so what is said of one does not depend on the others.

    Args:
        model: the forecaster.
        panel: the N series up to now.
        h: steps, more than the horizon.
        ahead: covariates known ahead, [N, h, F].
        seed: of the random numbers.

    Raises:
        DataError: as `sample_paths`.
    """
    own: list[Forecast] = []
    later: list[Floats] = []
    step = max(WINDOWS // (PATHS * model.codec.rows_per_series), 1)
    for begin in range(0, len(panel), step):
        part = np.arange(begin, min(begin + step, len(panel)))
        rng = np.random.default_rng(seed)
        some, told = panel.select(part), None if ahead is None else ahead[part]
        blocks = _blocks(model, some, PATHS, h, told, _shared(_levels(model, rng)))
        own += next(blocks).parts
        later.append(np.concatenate([_spread(model, block, rng) for block in blocks], axis=2))
    samples = np.concatenate(later, axis=1)[:, :, : h - model.horizon]
    return Forecasts(own, model.calibration, h, samples, model.codec.rows_per_series)


class _Block(NamedTuple):
    """A horizon of all paths of N series."""

    parts: list[Forecast]
    """some rows each, together R of the series at first, then n * R of all paths"""
    drawn: Floats
    """[n, N, horizon, targets]"""


def _blocks(
    model: "LoadedForecaster", panel: Panel, n: int, h: int, ahead: Floats | None, levels: Levels
) -> Iterator[_Block]:
    """Horizons one after the other, until there are `h` steps; the last one may go on further."""
    number, width, horizon = len(panel), model.description.window, model.horizon
    spaces = prepare(panel, model.codec, 0).spaces  # of what is known, whatever paths do
    rows, panel = len(spaces.log), panel.tail(width)
    for done in range(0, h, horizon):
        given = None if ahead is None else ahead[:, done : done + horizon]
        parts = list(model.parts(panel, given, spaces))
        p = np.clip(levels((n, rows, model.codec.channels)), _EDGE, 1 - _EDGE)
        p = p if done == 0 else p.reshape(1, n * rows, *p.shape[2:])
        drawn = by_series(
            _quantile(model, parts, p).reshape(n * rows, *p.shape[2:]), model.codec.rows_per_series
        )
        yield _Block(parts, drawn.reshape(n, number, horizon, -1))
        if done == 0:  # all paths of a series begin with the same forecast
            every = np.tile(np.arange(number), n)
            panel = panel.select(every)
            spaces = spaces.of(np.tile(np.arange(rows), n))
            ahead = None if ahead is None else ahead[every]
        known = np.empty((len(drawn), horizon, 0)) if ahead is None else ahead[:, done:]
        if done + horizon < h:
            panel = panel.followed_by(drawn, known[:, :horizon]).tail(width)


def _levels(model: "LoadedForecaster", rng: np.random.Generator) -> Levels:
    """Of paths whose steps go together as errors did, where held-out windows tell."""
    calibration = model.calibration
    if calibration is None:
        return lambda shape: evenly(rng, (*shape, model.horizon))
    return lambda shape: calibration.levels(rng, shape)


def _shared(levels: Levels) -> Levels:
    """The same for all rows."""

    def of(shape: tuple[int, ...]) -> Floats:
        n, rows, channels = shape
        drawn = levels((n, 1, channels))
        return np.broadcast_to(drawn, (n, rows, *drawn.shape[2:]))

    return of


def _spread(model: "LoadedForecaster", block: _Block, rng: np.random.Generator) -> Floats:
    """Values from each of `DRAWS` equal parts of the forecast after each path.

    Returns:
        [DRAWS * n, N, horizon, targets].
    """
    n, number, horizon, targets = block.drawn.shape
    rows, channels = number * model.codec.rows_per_series, model.codec.channels
    within = rng.random((DRAWS, n, 1, channels, horizon))
    p = (np.arange(DRAWS).reshape(-1, 1, 1, 1, 1) + within) / DRAWS
    p = np.broadcast_to(np.clip(p, _EDGE, 1 - _EDGE), (DRAWS, n, rows, channels, horizon))
    values = _quantile(model, block.parts, p.reshape(DRAWS, n * rows, channels, horizon))
    found = by_series(values.reshape(-1, channels, horizon), model.codec.rows_per_series)
    return found.reshape(DRAWS * n, number, horizon, targets)


def _quantile(model: "LoadedForecaster", parts: list[Forecast], p: Floats) -> Floats:
    """Calibrated values at probabilities [Q, rows, C, h]; the same shape."""
    found: list[Floats] = []
    begin = 0
    for part in parts:
        rows = slice(begin, begin + part.shape[0])
        right: Distribution = part
        if model.calibration is not None:
            right = model.calibration.calibrate(part)
        found.append(right.quantile(p[:, rows]))
        begin = rows.stop
    return np.concatenate(found, axis=1)
