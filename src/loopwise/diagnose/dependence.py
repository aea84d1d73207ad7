"""Over which lags data depends on its past. NumPy alone."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from loopwise.diagnose.report import Dependence

SHUFFLES = 8
"""Shuffled copies that show what chance gives."""
SIGMAS = 6.0
"""Standard deviations above their mean from which a dependence counts."""
LEAST = {"mutual information": 2e-3, "autocorrelation": 2e-2}
"""What such a deviation is taken for at least: so few copies may lie together by chance."""
WEAKEST = 0.05
"""Share of the strongest dependence that still counts for the reach."""
SYMBOLS = 64
"""Most frequent tokens that are told apart."""
FEATURES = 16
"""Features that are looked at, if there are more, drawn at random."""

Series = NDArray[np.float64] | NDArray[np.int64]
Measure = Callable[[Series, int], float]


def dependence(data: ArrayLike, *, longest: int = 0) -> Dependence:
    """Measure how sequences depend on their own past.

    Args:
        data: whole numbers, which are tokens: [T] or [T, B]; then mutual information is measured.
            Others are series: [T], [T, B] or [T, B, I]; then autocorrelation.
        longest: largest lag; 0 for half of the steps.

    Returns:
        the dependence at lags 1, 2, 3, 4, 6, 8, 12, ...
    """
    values = np.asarray(data)
    values = values.reshape(len(values), -1) if values.ndim < 3 else values
    tokens = values.dtype.kind in "iu"
    series = _symbols(values) if tokens else _standardised(values)
    measure: Measure = _mutual_information if tokens else _autocorrelation
    kind = "mutual information" if tokens else "autocorrelation"
    lags = _lags(longest or len(values) // 2)
    found = _above_chance(series, lags, measure, LEAST[kind])
    strong = [lag for lag, v in zip(lags, found, strict=True) if v > WEAKEST * max(found)]
    return Dependence(kind, tuple(lags), tuple(found), max(strong, default=0))


def known(reach: int) -> Dependence:
    """The dependence of a task that is known to go back `reach` steps."""
    return Dependence("known", (reach,), (1.0,), reach)


def _lags(longest: int) -> list[int]:
    lags, lag = [1, 2, 3], 4
    while lag <= longest:
        lags += [lag, lag + lag // 2]
        lag *= 2
    return [lag for lag in lags if lag <= longest]


def _above_chance(series: Series, lags: list[int], measure: Measure, least: float) -> list[float]:
    generator = np.random.default_rng(0)
    shuffled = [generator.permutation(series, axis=0) for _ in range(SHUFFLES if lags else 0)]
    found: list[float] = []
    for lag in lags:
        chance = np.array([measure(other, lag) for other in shuffled])
        value = measure(series, lag)
        real = value > chance.mean() + SIGMAS * max(float(chance.std()), least)
        found.append(float(value - chance.mean()) if real else 0.0)
    return found


def _symbols(values: NDArray[np.generic]) -> NDArray[np.int64]:
    """The most frequent tokens as 0, 1, 2, ..., all others as one: few pairs need few data."""
    kinds, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    keep = min(SYMBOLS, max(2, int((values.size / 20) ** 0.5)), len(kinds))
    number = np.full(len(kinds), keep)
    number[np.argsort(-counts, kind="stable")[:keep]] = np.arange(keep)
    return number[inverse].reshape(values.shape)


def _mutual_information(series: Series, lag: int) -> float:
    """Nats between tokens `lag` apart (Shannon 1948), by counts."""
    size = int(series.max()) + 1
    pairs = series[:-lag].astype(np.int64) * size + series[lag:].astype(np.int64)
    joint = np.bincount(pairs.ravel(), minlength=size * size).reshape(size, size) / pairs.size
    independent = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    seen = joint > 0
    return float((joint[seen] * np.log(joint[seen] / independent[seen])).sum())


def _standardised(values: NDArray[np.generic]) -> NDArray[np.float64]:
    series = values.astype(np.float64)
    if series.shape[-1] > FEATURES:
        chosen = np.random.default_rng(0).choice(series.shape[-1], FEATURES, replace=False)
        series = series[..., chosen]
    axes = tuple(range(series.ndim - 1)) if series.ndim == 3 else (0,)
    series = np.nan_to_num(series, posinf=0.0, neginf=0.0)
    series = series - series.mean(axes, keepdims=True)
    return series / np.maximum(series.std(axes, keepdims=True), 1e-12)


def _autocorrelation(series: Series, lag: int) -> float:
    product = series[:-lag] * series[lag:]
    axes = tuple(range(product.ndim - 1)) if product.ndim == 3 else None
    return float(np.abs(product.mean(axes)).max())
