"""Forecasts that need no training: what a network has to beat.

Each takes histories one after the other, ``values [total]`` and ``offsets [N + 1]``, and gives
``forecast [N, h]``. Unknown values, NaN, are passed over; a series with no known value is forecast
as NaN. All raise ShapeError for offsets that do not fit, and ConfigError for a season or a horizon
that is not at least 1 and whole.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from loopwise.codec.numbers import is_integer
from loopwise.codec.series.ragged import check_offsets
from loopwise.errors import ConfigError

Array = NDArray[np.float64]


def naive(values: ArrayLike, offsets: ArrayLike, horizon: int) -> Array:
    """The last known value."""
    return _each(values, offsets, horizon, 1, lambda y: np.full(horizon, _known(y)[-1]))


def mean(values: ArrayLike, offsets: ArrayLike, horizon: int) -> Array:
    """The mean of the known values."""
    return _each(values, offsets, horizon, 1, lambda y: np.full(horizon, _known(y).mean()))


def drift(values: ArrayLike, offsets: ArrayLike, horizon: int) -> Array:
    """The line through the first and the last known value, from the end of the history on.

    Of a single known value, that value.
    """

    def one(y: Array) -> Array:
        at = np.flatnonzero(~np.isnan(y))
        first, last = at[0], at[-1]
        slope = (y[last] - y[first]) / max(last - first, 1)
        return y[last] + slope * (len(y) - 1 - last + np.arange(1, horizon + 1))

    return _each(values, offsets, horizon, 1, one)


def seasonal_naive(values: ArrayLike, offsets: ArrayLike, horizon: int, season: int) -> Array:
    """The last known value at the same place in the season; where there is none, as `naive`."""
    return _each(
        values, offsets, horizon, season, lambda y: _repeat(_last_season(y, season), horizon)
    )


def naive2(values: ArrayLike, offsets: ArrayLike, horizon: int, season: int) -> Array:
    """M4's yardstick: `naive` of the series less its season, if it has one, and the season again.

    The season is multiplicative, by the classical decomposition: the mean of value by moving
    average over a season at each place, with mean 1 over the season. It is there if `is_seasonal`
    says so and all values are known and above 0.
    """

    def one(y: Array) -> Array:
        seasonal = bool(np.all(y > 0)) and is_seasonal(y, season)
        index = seasonal_index(y, season) if seasonal else np.ones(season)
        ahead = _repeat(np.roll(index, -len(y) % season), horizon)
        now = np.flatnonzero(~np.isnan(y))[-1]
        return y[now] / index[now % season] * ahead

    return _each(values, offsets, horizon, season, one)


def is_seasonal(y: ArrayLike, season: int) -> bool:
    """M4's test at 90 %: whether the autocorrelation at the season's lag is beyond its error.

    The error is 1.645 times Bartlett's for the lags below. False for less than three seasons,
    a season of 1, or a constant.

    Args:
        y: one history, all of it known, [T].
        season: steps in a season, at least 1.
    """
    values = np.asarray(y, np.float64)
    if season < 2 or len(values) < 3 * season:
        return False
    centred = values - values.mean()
    power = np.dot(centred, centred)
    if power <= 0:
        return False
    lags = [np.dot(centred[k:], centred[:-k]) / power for k in range(1, season + 1)]
    error = np.sqrt((1 + 2 * np.sum(np.square(lags[:-1]))) / len(values))
    return bool(abs(lags[-1]) > 1.645 * error)


def seasonal_index(y: ArrayLike, season: int) -> Array:
    """Multiplicative seasonal factors by the classical decomposition, [season], with mean 1.

    Args:
        y: one history, above 0, of at least two seasons, [T].
        season: steps in a season, at least 2. The first factor is that of the first value.
    """
    values = np.asarray(y, np.float64)
    even = season % 2 == 0
    window = np.r_[0.5, np.ones(season - 1), 0.5] if even else np.ones(season)
    trend = np.convolve(values, window / season, mode="valid")
    begin = season // 2
    ratio = np.full(-(-len(values) // season) * season, np.nan)
    ratio[begin : begin + len(trend)] = values[begin : begin + len(trend)] / trend
    factors = np.nanmean(ratio.reshape(-1, season), axis=0)
    return factors / factors.mean()


def _each(
    values: ArrayLike,
    offsets: ArrayLike,
    horizon: int,
    season: int,
    one: Callable[[Array], Array],
) -> Array:
    flat, at = check_offsets(values, offsets, season)
    if not (is_integer(horizon) and horizon >= 1):
        raise ConfigError(f"horizon={horizon!r}: must be at least 1 and whole")
    forecast = np.full((len(at) - 1, horizon), np.nan)
    for i, (begin, end) in enumerate(pairwise(at)):
        history = flat[begin:end]
        if not np.all(np.isnan(history)):
            forecast[i] = one(history)
    return forecast


def _known(y: Array) -> Array:
    return y[~np.isnan(y)]


def _last_season(y: Array, season: int) -> Array:
    """The last known value at each place of the season that comes next, [season]."""
    padded = np.r_[np.full(-len(y) % season, np.nan), y].reshape(-1, season)
    last = padded[-1]
    for earlier in padded[-2::-1]:
        if not np.any(np.isnan(last)):
            break
        last = np.where(np.isnan(last), earlier, last)
    return np.where(np.isnan(last), _known(y)[-1], last)


def _repeat(pattern: Array, horizon: int) -> Array:
    return np.resize(pattern, horizon)
