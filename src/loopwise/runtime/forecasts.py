"""Forecasts of many series as users ask for them: points, quantiles, scores, columns of a table."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.series.base import Distribution
from loopwise.codec.series.codec import SeriesCodec
from loopwise.codec.series.conformal import Calibration, held_out_scores
from loopwise.codec.series.forecast import Forecast
from loopwise.errors import ConfigError

Floats = NDArray[np.float64]

ROWS = 256
"""Windows that go through the network at once."""


class Forecasts:
    """Forecasts of R rows, each a series or one channel of it; see `LoadedForecaster.forecast`.

    Args:
        parts: the networks' own forecasts of some rows each, [B, C, h].
        calibration: what puts them right; None for nothing.
        steps: how many of them are wanted.
        beyond: of steps beyond the horizon, samples [n, N, steps - h, targets]; None where none
            are wanted.
        per_series: rows of a series.
    """

    def __init__(
        self,
        parts: Sequence[Forecast],
        calibration: Calibration | None,
        steps: int,
        beyond: Floats | None,
        per_series: int,
    ):
        self._own: list[Distribution] = list(parts)
        self._right = self._own
        if calibration is not None:
            self._right = [calibration.calibrate(part) for part in parts]
        self.steps, self._beyond, self._per_series = steps, beyond, per_series

    def point(self, kind: str = "median") -> Floats:
        """The networks' medians or means, beyond the horizon those of samples, [N, steps, targets].

        Raises:
            ConfigError: neither ``"median"`` nor ``"mean"``.
        """
        if kind not in ("median", "mean"):
            raise ConfigError(f"point={kind!r}: must be 'median' or 'mean'")
        median = kind == "median"
        near = self._joined([p.at_score(0.0) if median else p.mean() for p in self._own])
        if self._beyond is None:
            return near
        far = (np.median if median else np.mean)(self._beyond, axis=0)
        return np.concatenate([near, far], axis=1)

    def quantiles(self, levels: Sequence[float]) -> Floats:
        """Calibrated quantiles at probabilities Q, [N, steps, targets, Q].

        Raises:
            ConfigError: no probabilities.
        """
        near = self._joined([part.quantiles(levels) for part in self._right])
        if self._beyond is None:
            return near
        far = np.moveaxis(np.quantile(self._beyond, levels, axis=0), 0, -1)
        return np.concatenate([near, far], axis=1)

    def scores(self, actual: Floats) -> Floats:
        """The normal scores of what came, [N, steps, targets], under the calibrated forecasts."""
        return self._asked(self._right, actual, lambda part, y: part.score(y))

    def held_out(self, actual: Floats) -> Floats:
        """The scores of what came, [N, steps, targets], under the networks' own forecasts.

        They are what a `Calibration` is made of.
        """
        rng = np.random.default_rng(0)  # for counts
        return self._asked(self._own, actual, lambda part, y: held_out_scores(part, y, rng))

    def nll(self, actual: Floats) -> Floats:
        """Negative log likelihoods of what came, [N, steps, targets], under the network's own
        forecasts; see `Forecast.nll`.
        """
        return self._asked(self._own, actual, lambda part, y: part.nll(y))

    def _asked(
        self,
        parts: Sequence[Distribution],
        actual: Floats,
        ask: Callable[[Distribution, Floats], Floats],
    ) -> Floats:
        rows = actual.transpose(0, 2, 1).reshape(-1, parts[0].shape[1], actual.shape[1])
        found: list[Floats] = []
        begin = 0
        for part in parts:
            end = begin + part.shape[0]
            found.append(ask(part, rows[begin:end]))
            begin = end
        return self._joined(found)

    def columns(
        self,
        codec: SeriesCodec,
        *,
        level: Sequence[float] | float = (),
        quantiles: Sequence[float] | float = (),
        point: str = "median",
    ) -> dict[str, Floats]:
        """The columns of a table, [N, h] each, by their names; see `LoadedForecaster.predict`.

        Raises:
            ConfigError: levels that are no percentages, or quantiles that are no probabilities.
        """
        wanted = asked_for(level, quantiles)
        points, values = self.point(point), self.quantiles([p for _, p in wanted])
        named: dict[str, Floats] = {}
        for target, name in enumerate(forecast_names(codec)):
            named[name] = points[:, :, target]
            for n, (suffix, _) in enumerate(wanted):
                named[name + suffix] = values[:, :, target, n]
        return named

    def _joined(self, parts: Sequence[Floats]) -> Floats:
        """Parts [B, C, h, ...] as [N, steps, targets, ...]."""
        return by_series(np.concatenate(parts), self._per_series)[:, : self.steps]


def asked_for(
    level: Sequence[float] | float, quantiles: Sequence[float] | float
) -> list[tuple[str, float]]:
    """Ends of columns' names and their probabilities; see `percentages` and `probabilities`."""
    wanted: list[tuple[str, float]] = []
    for percent in percentages(level):
        tail = (100 - percent) / 200
        wanted += [(f"-lo-{percent:g}", tail), (f"-hi-{percent:g}", 1 - tail)]
    return [*wanted, *((f"-q-{p:g}", p) for p in probabilities(quantiles))]


def percentages(level: Sequence[float] | float, name: str = "level=") -> list[float]:
    """Levels of intervals, one or several, from 1 to below 100.

    Raises:
        ConfigError: others; what they are called is `name`.
    """
    found = _numbers(level, name)
    for percent in found:
        if not 1 <= percent < 100:
            hint = f"; did you mean {100 * percent:g}?" if 0 < percent < 1 else ""
            raise ConfigError(f"{name}{percent:g}: must be a percentage from 1 to below 100{hint}")
    return found


def probabilities(quantiles: Sequence[float] | float, name: str = "quantiles=") -> list[float]:
    """Probabilities of quantiles, one or several, above 0 and below 1.

    Raises:
        ConfigError: others; what they are called is `name`.
    """
    found = _numbers(quantiles, name)
    for p in found:
        if not 0 < p < 1:
            hint = f"; did you mean {p / 100:g}?" if 1 < p < 100 else ""
            raise ConfigError(f"{name}{p:g}: must be a probability between 0 and 1{hint}")
    return found


def _numbers(given: Any, name: str) -> list[float]:
    try:
        return [float(each) for each in np.atleast_1d(np.asarray(given, np.float64))]
    except (TypeError, ValueError):
        raise ConfigError(f"{name}{given!r}: must be a number, or several in a list") from None


def forecast_names(codec: SeriesCodec) -> list[str]:
    """What the forecasts of a codec's targets are called."""
    targets = codec.schema.targets
    return [codec.alias] if len(targets) == 1 else [f"{codec.alias}-{name}" for name in targets]


def by_series(values: Floats, per_series: int) -> Floats:
    """[R, C, h, ...] of rows as [N, h, targets, ...] of series; one of R / N and C is 1."""
    targets = per_series * values.shape[1]
    number = len(values) // per_series  # not -1, which is ambiguous where there are no levels
    return np.moveaxis(values.reshape(number, targets, *values.shape[2:]), 1, 2)
