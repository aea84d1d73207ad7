"""A forecast in the units of its series: distributions that networks put out, brought back."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from loopwise.codec.series.base import Array, Distribution
from loopwise.codec.series.distributions import Output
from loopwise.codec.series.spaces import Space
from loopwise.errors import ConfigError

_NODES, _MASSES = np.polynomial.hermite_e.hermegauss(41)
_HALVINGS = 30


class Own(NamedTuple):
    """What one network says, in the windows' space.

    Attributes:
        distribution: of all targets, [B, C, h], in the origin's scale.
        centre: of that scale, [B, C, 1].
        spread: the same.
    """

    distribution: Distribution
    centre: Array
    spread: Array


class Forecast(Distribution):
    """The forecasts of windows, [B, C, h], averaged over networks.

    Averaged are the values at equal probabilities (Lichtendahl et al. 2013), which keeps the shape
    that networks agree upon.

    Args:
        output: what networks put out.
        raws: of each network, as `loopwise.runtime.forecast_network.Raw` in NumPy: outputs
            [B, 1, h, C, P], centre and spread [B, 1, C].
        space: of the windows, [B, C].
    """

    def __init__(self, output: Output, raws: Sequence[Any], space: Space):
        self._output, self._space = output, space.over(-1)
        self._members = [_own(output, raw, self._space) for raw in raws]
        self.shape = self._members[0].distribution.shape

    def at_score(self, z: ArrayLike) -> Array:
        """The values at normal scores."""
        return self._back(self._mean_at(z))

    def _mean_at(self, z: ArrayLike) -> Array:
        """The mean of the networks' values at normal scores, in the windows' space."""
        parts = [self._scaled(own, own.distribution.at_score(z)) for own in self._members]
        return parts[0] if len(parts) == 1 else np.mean(parts, axis=0)

    def mean(self) -> Array:
        """The means; of logarithms by Gauss-Hermite quadrature over the normal score."""
        if self._output.name == "point" or not self._space.log.any():
            each = [self._scaled(own, own.distribution.mean()) for own in self._members]
            return self._back(np.mean(each, axis=0))
        weights = _MASSES / _MASSES.sum()
        used = weights > 1e-12
        parts = [w * self.at_score(z) for z, w in zip(_NODES[used], weights[used], strict=True)]
        return np.sum(parts, axis=0)

    def score(self, y: ArrayLike, within: ArrayLike = 0.5) -> Array:
        """The normal scores of values; of several networks to 1e-8."""
        y = np.asarray(y, np.float64)
        if len(self._members) == 1:
            own = self._members[0]
            return own.distribution.score(self._into(own, y), within)
        if self._output.counts:
            return self._halved(y)
        goal = self._space.into(y)
        each = [own.distribution.score(self._into(own, y)) for own in self._members]
        z = _crossing(lambda z: self._mean_at(z) - goal, np.min(each, axis=0), np.max(each, axis=0))
        return np.where(np.isfinite(y), z, np.nan)

    def _halved(self, y: Array) -> Array:
        """The score where values, which rise in steps, pass `y`: by bisection."""
        shape = np.broadcast_shapes(y.shape, self.shape)
        low, high = np.full(shape, -9.0), np.full(shape, 9.0)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            below = self.at_score(middle) < y
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.where(np.isfinite(y), (low + high) / 2, np.nan)

    def nll(self, y: ArrayLike) -> Array:
        """Of a single network's distribution, without the Jacobian of scale and logarithm.

        Raises:
            ConfigError: several networks.
        """
        if len(self._members) > 1:
            raise ConfigError("an average of networks has no likelihood of its own")
        own = self._members[0]
        return own.distribution.nll(self._into(own, np.asarray(y, np.float64)))

    def _scaled(self, own: Own, values: Array) -> Array:
        return values if self._output.counts else values * own.spread + own.centre

    def _into(self, own: Own, y: Array) -> Array:
        if self._output.counts:
            return y
        return (self._space.into(y) - own.centre) / own.spread

    def _back(self, values: Array) -> Array:
        return values if self._output.counts else self._space.back(values)


def _crossing(f: Callable[[Array], Array], low: Array, high: Array) -> Array:
    """Where rising functions pass 0 between `low` and `high`, to 1e-8.

    Regula falsi in its Illinois form (Dowell and Jarratt 1971): quantiles are nearly straight
    between two networks' scores, so a few steps do.
    """
    below, above = f(low), f(high)
    z = low
    last = np.zeros(z.shape)
    for _ in range(_HALVINGS):
        span = above - below
        z = low + np.where(span > 0, -below / np.where(span > 0, span, 1.0), 0.5) * (high - low)
        z = np.clip(z, low, high)
        now = f(z)
        side = np.where(now < 0, -1.0, 1.0)
        above = np.where(side > 0, now, np.where(last < 0, above / 2, above))
        below = np.where(side < 0, now, np.where(last > 0, below / 2, below))
        moved = np.where(side > 0, high - z, z - low)
        low, high = np.where(side < 0, z, low), np.where(side > 0, z, high)
        last = side
        done = (now == 0) | (np.minimum(moved, high - low) < 1e-8) | ~np.isfinite(now)
        if done.all():
            break
    return z


def _own(output: Output, raw: Any, space: Space) -> Own:
    outputs = np.moveaxis(np.asarray(raw.outputs)[:, 0], 1, 2)  # [B, C, h, P]
    centre, spread = (_last(part) for part in (raw.centre, raw.spread))
    scale = spread * space.spread if output.counts else None
    return Own(output.distribution(outputs, scale), centre, spread)


def _last(part: NDArray[Any]) -> Array:
    """[B, 1, C] as [B, C, 1]."""
    return np.asarray(part, np.float64)[:, 0, :, None]
