"""How good forecasts are: definitions of measures, and scores that add up over windows.

Arrays are ``actual [N, h]`` and ``forecast [N, h]``, N series and h steps ahead; quantiles are
[N, h, Q]. The functions give one number for each series, [N]: the mean over the steps whose actual
is known, that is not NaN, and NaN where there is none. `overall` is the mean of those, every series
alike, as in the M4 competition. Percentages go from 0 to 100, or 200; shares from 0 to 1.

M4: Makridakis, Spiliotis and Assimakopoulos, "The M4 Competition: 100,000 time series and 61
forecasting methods", 2020.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from loopwise.codec.series.ragged import check_offsets
from loopwise.errors import ShapeError

Array = NDArray[np.float64]


def mae(actual: ArrayLike, forecast: ArrayLike) -> Array:
    """Mean of ``|y - f|``, [N]."""
    return _mean(np.abs(_error(actual, forecast)))


def mse(actual: ArrayLike, forecast: ArrayLike) -> Array:
    """Mean of ``(y - f)²``, [N]."""
    return _mean(np.square(_error(actual, forecast)))


def rmse(actual: ArrayLike, forecast: ArrayLike) -> Array:
    """Root of `mse`, [N]."""
    return np.sqrt(mse(actual, forecast))


def mape(actual: ArrayLike, forecast: ArrayLike) -> Array:
    """Mean of ``100 |y - f| / |y|`` over steps whose actual is not 0, [N]; NaN if all are."""
    return _mean(_ape(actual, forecast))


def smape(actual: ArrayLike, forecast: ArrayLike) -> Array:
    """Mean of ``200 |y - f| / (|y| + |f|)``, [N], as in M4; a step where both are 0 counts as 0."""
    return _mean(_sape(actual, forecast))


def mase(actual: ArrayLike, forecast: ArrayLike, scale: ArrayLike) -> Array:
    """`mae` by the scale of each series, [N]; NaN where that is NaN.

    Args:
        actual: [N, h].
        forecast: [N, h].
        scale: [N], from `mase_scale`.
    """
    return mae(actual, forecast) / _broadcast_scale(scale, np.shape(actual))[:, 0]


def mase_scale(values: ArrayLike, offsets: ArrayLike, season: int = 1) -> Array:
    """Mean of ``|y_t - y_(t - season)|`` within each history, over steps where both are known.

    Args:
        values: histories one after the other, [total].
        offsets: where each begins and the last ends, [N + 1].
        season: steps in a season, at least 1; 1 is the error of the naive forecast.

    Returns:
        [N]. NaN where MASE has no meaning: the history is no longer than a season, knows no two
        values a season apart, or repeats itself exactly (all zeros, a constant). Such series are
        left out of the mean of MASE.

    Raises:
        ShapeError: the offsets do not fit the values.
        ConfigError: a season that is not allowed.
    """
    flat, at = check_offsets(values, offsets, season)
    scale = np.full(len(at) - 1, np.nan)
    for i, (begin, end) in enumerate(pairwise(at)):
        steps = np.abs(flat[begin + season : end] - flat[begin : max(end - season, begin)])
        known = steps[~np.isnan(steps)]
        if known.sum() > 0:
            scale[i] = known.mean()
    return scale


def owa(smape: float, mase: float, naive_smape: float, naive_mase: float) -> float:
    """Overall weighted average of M4: ``(sMAPE/sMAPE_Naive2 + MASE/MASE_Naive2) / 2``.

    All four are averages over all series; the latter two of `baselines.naive2`.
    """
    return (smape / naive_smape + mase / naive_mase) / 2


def pinball(actual: ArrayLike, quantiles: ArrayLike, levels: ArrayLike) -> Array:
    """Mean of ``max(p (y - q), (p - 1)(y - q))`` for each level p, [N, Q].

    Args:
        actual: [N, h].
        quantiles: [N, h, Q].
        levels: [Q], from 0 to 1.
    """
    return _mean(_pinball(actual, quantiles, levels), axis=1)


def crps(actual: ArrayLike, quantiles: ArrayLike, levels: ArrayLike) -> Array:
    """Continuous ranked probability score from quantiles: twice `pinball`, mean over levels, [N].

    Near to the integral over all levels when these are many and evenly spread.
    """
    return _mean(2 * _pinball(actual, quantiles, levels).mean(-1))


def crps_samples(actual: ArrayLike, samples: ArrayLike) -> Array:
    """CRPS of the empirical distribution of samples, ``E|X - y| - E|X - X'|/2``, [N].

    Args:
        actual: [N, h].
        samples: [n, N, h], n at least 1.
    """
    y, x = np.asarray(actual, np.float64), np.sort(np.asarray(samples, np.float64), axis=0)
    _same_shape(y.shape, x.shape[1:], "samples without their first axis")
    n = len(x)
    # For sorted x the mean over all pairs is a weighted sum.
    weight = (2 * np.arange(1, n + 1) - n - 1).reshape(-1, *(1 for _ in y.shape)) / n**2
    return _mean(np.abs(x - y).mean(0) - (weight * x).sum(0))


def coverage(actual: ArrayLike, low: ArrayLike, high: ArrayLike) -> Array:
    """Share of actuals with ``low <= y <= high``, [N], 0 to 1."""
    return _mean(_inside(actual, low, high))


def width(actual: ArrayLike, low: ArrayLike, high: ArrayLike) -> Array:
    """Mean of ``high - low`` over steps whose actual is known, [N]."""
    return _mean(_where_known(actual, _error(high, low)))


def interval_score(actual: ArrayLike, low: ArrayLike, high: ArrayLike, missing: float) -> Array:
    """Mean of ``high - low + 2/missing · (how far y lies outside)``, [N].

    Winkler's score (1972; Gneiting and Raftery, 2007), least for the true quantiles at
    ``missing/2`` and ``1 - missing/2``. Divided by `mase_scale` it is M4's MSIS.

    Args:
        actual: [N, h].
        low: lower ends, [N, h].
        high: upper ends, [N, h].
        missing: the share that the interval leaves out, above 0: 0.05 for one of 95 %.
    """
    return _mean(_winkler(actual, low, high, missing))


def overall(per_series: ArrayLike) -> float:
    """The mean over series, every series alike; those with NaN are left out. NaN if all are."""
    return float(_mean(np.asarray(per_series, np.float64).reshape(1, -1))[0])


@dataclass(frozen=True)
class Scores:
    """What forecasts of N series were worth; scores of windows add up to the score of all.

    ``scores + scores`` joins windows of the same series in the same order. ``Scores()`` is the
    score of nothing, for `sum`.

    Attributes:
        sums: by measure, the sum over steps, [N].
        counts: by measure, the number of steps, [N].
    """

    sums: Mapping[str, Array] = field(default_factory=dict[str, Array])
    counts: Mapping[str, NDArray[np.int64]] = field(default_factory=dict[str, NDArray[np.int64]])

    def per_series(self) -> dict[str, Array]:
        """Each measure's mean over the steps of each series, [N]; NaN where there are none."""
        return {
            name: _root(name, _ratio(total, self.counts[name])) for name, total in self.sums.items()
        }

    def overall(self) -> dict[str, float]:
        """Each measure's mean over series; ``"rmse"`` is the root of the mean of MSE."""
        return {
            name: float(_root(name, np.float64(overall(_ratio(total, self.counts[name])))))
            for name, total in self.sums.items()
        }

    def owa(self, naive2: "Scores") -> float:
        """`owa` of these forecasts by those of `baselines.naive2` for the same actuals."""
        ours, theirs = self.overall(), naive2.overall()
        return owa(ours["smape"], ours["mase"], theirs["smape"], theirs["mase"])

    def __add__(self, other: "Scores") -> "Scores":
        if not self.sums:
            return other
        if not other.sums:
            return self
        sizes = ({len(total) for total in scores.sums.values()} for scores in (self, other))
        if self.sums.keys() != other.sums.keys() or next(sizes) != next(sizes):
            raise ShapeError("scores of other measures or of another number of series do not add")
        return Scores(
            {name: total + other.sums[name] for name, total in self.sums.items()},
            {name: count + other.counts[name] for name, count in self.counts.items()},
        )


def score(
    actual: ArrayLike,
    forecast: ArrayLike,
    *,
    scale: ArrayLike | None = None,
    quantiles: ArrayLike | None = None,
    levels: ArrayLike = (),
) -> Scores:
    """All measures of some forecasts at once.

    Args:
        actual: [N, h], NaN where unknown.
        forecast: one number for each, [N, h].
        scale: [N] from `mase_scale`, for ``"mase"`` and ``"msis..."``.
        quantiles: [N, h, Q], for the measures of uncertainty.
        levels: [Q], rising.

    Returns:
        ``mae``, ``mse``, ``rmse``, ``mape``, ``smape``; ``mase`` with a scale; with quantiles
        ``crps``, ``below_P`` for each level of P % (the share of actuals at or below that
        quantile), and for each two levels that lie alike about 0.5 with P % between them
        ``coverage_P``, ``width_P``, ``interval_score_P``, and with a scale ``msis_P``.

    Raises:
        ShapeError: shapes that do not fit each other.
    """
    error = _error(actual, forecast)
    steps = {
        "mae": np.abs(error),
        "mse": np.square(error),
        "rmse": np.square(error),
        "mape": _ape(actual, forecast),
        "smape": _sape(actual, forecast),
    }
    by = None if scale is None else _broadcast_scale(scale, error.shape)
    if by is not None:
        steps["mase"] = np.abs(error) / by
    if quantiles is not None:
        steps |= _of_quantiles(actual, np.asarray(quantiles, np.float64), levels, by)
    known = {name: ~np.isnan(each) for name, each in steps.items()}
    return Scores(
        {name: np.where(known[name], each, 0.0).sum(-1) for name, each in steps.items()},
        {name: each.sum(-1) for name, each in known.items()},
    )


def _of_quantiles(
    actual: ArrayLike, quantiles: Array, levels: ArrayLike, by: Array | None
) -> dict[str, Array]:
    p = np.asarray(levels, np.float64)
    steps = {"crps": 2 * _pinball(actual, quantiles, p).mean(-1)}
    for i, level in enumerate(p):
        at_most = np.asarray(actual) <= quantiles[..., i]
        steps[f"below_{100 * level:g}"] = _where_known(actual, at_most)
    for i, level in enumerate(p):
        for j in np.flatnonzero(np.isclose(p, 1 - level)):
            if j <= i:
                continue
            low, high = quantiles[..., i], quantiles[..., j]
            name = f"{100 * (1 - 2 * level):g}"
            steps[f"coverage_{name}"] = _inside(actual, low, high)
            steps[f"width_{name}"] = _where_known(actual, high - low)
            winkler = _winkler(actual, low, high, 2 * level)
            steps[f"interval_score_{name}"] = winkler
            if by is not None:
                steps[f"msis_{name}"] = winkler / by
    return steps


def _error(actual: ArrayLike, forecast: ArrayLike) -> Array:
    y, f = np.asarray(actual, np.float64), np.asarray(forecast, np.float64)
    _same_shape(y.shape, f.shape, "forecast")
    return y - f


def _ape(actual: ArrayLike, forecast: ArrayLike) -> Array:
    y = np.abs(np.asarray(actual, np.float64))
    return 100 * np.abs(_error(actual, forecast)) / np.where(y == 0, np.nan, y)


def _sape(actual: ArrayLike, forecast: ArrayLike) -> Array:
    size = np.abs(np.asarray(actual, np.float64)) + np.abs(np.asarray(forecast, np.float64))
    return 200 * np.abs(_error(actual, forecast)) / np.where(size == 0, 1.0, size)


def _pinball(actual: ArrayLike, quantiles: ArrayLike, levels: ArrayLike) -> Array:
    y, q = np.asarray(actual, np.float64), np.asarray(quantiles, np.float64)
    p = np.asarray(levels, np.float64)
    _same_shape((*y.shape, *p.shape), q.shape, "quantiles")
    error = y[..., None] - q
    return np.maximum(p * error, (p - 1) * error)


def _inside(actual: ArrayLike, low: ArrayLike, high: ArrayLike) -> Array:
    return _where_known(actual, (_error(actual, low) >= 0) & (_error(actual, high) <= 0))


def _winkler(actual: ArrayLike, low: ArrayLike, high: ArrayLike, missing: float) -> Array:
    outside = np.maximum(-_error(actual, low), 0) + np.maximum(_error(actual, high), 0)
    return _error(high, low) + 2 / missing * outside


def _where_known(actual: ArrayLike, each: NDArray[np.bool_] | Array) -> Array:
    return np.where(np.isnan(np.asarray(actual, np.float64)), np.nan, each)


def _broadcast_scale(scale: ArrayLike, shape: tuple[int, ...]) -> Array:
    given = np.asarray(scale, np.float64)
    _same_shape(shape[:1], given.shape, "scale")
    return given[:, None]


def _same_shape(expected: tuple[int, ...], given: tuple[int, ...], what: str) -> None:
    if expected != given:
        raise ShapeError(f"{what} of shape {list(given)}: must be {list(expected)}")


def _mean(each: Array, axis: int = -1) -> Array:
    """The mean over what is not NaN."""
    known = ~np.isnan(each)
    return _ratio(np.where(known, each, 0.0).sum(axis), known.sum(axis))


def _ratio(total: Array, count: NDArray[np.int64]) -> Array:
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _root(name: str, value: Array | np.float64) -> Array:
    return np.asarray(np.sqrt(value) if name == "rmse" else value)
