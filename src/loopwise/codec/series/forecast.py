"""A forecast in the units of its series: distributions that a network put out, brought back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from loopwise.codec.series.base import probabilities
from loopwise.codec.series.distributions import Distribution, Output
from loopwise.codec.series.windows import Space

Floats = NDArray[np.float64]

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(41)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


@dataclass(frozen=True)
class Own:
    """What one network says, in the window's space.

    Attributes:
        distribution: of all targets, [B, ..., h, C], in the origin's scale.
        centre: of that scale, broadcasts with the targets.
        spread: the same.
    """

    distribution: Distribution
    centre: Floats
    spread: Floats


class Forecast:
    """The forecast of targets [B, ..., h, C], averaged over networks.

    Averaged are the values at equal probabilities (Lichtendahl et al. 2013), which keeps the shape
    that networks agree upon. Normal scores are what `loopwise.codec.series.base` says.

    Args:
        output: what networks put out.
        members: what each says.
        space: of the windows, [B, C].
    """

    def __init__(self, output: Output, members: Sequence[Own], space: Space):
        self._output, self._members, self._space = output, members, space

    @property
    def shape(self) -> tuple[int, ...]:
        """[B, ..., h, C]."""
        return self._members[0].distribution.shape

    def at_score(self, z: ArrayLike) -> Floats:
        """The values at normal scores that broadcast with the targets."""
        z = np.asarray(z, np.float64)
        parts = [self._scaled(own, own.distribution.at_score(z)) for own in self._members]
        whole = parts[0] if len(parts) == 1 else np.mean(parts, axis=0)
        return self._back(np.broadcast_to(whole, np.broadcast_shapes(whole.shape, z.shape)))

    def quantiles(self, levels: Sequence[float]) -> Floats:
        """The values at probabilities [Q], [B, ..., h, C, Q]."""
        asked = ndtri(probabilities(np.asarray(levels, np.float64)))
        return np.stack([self.at_score(z) for z in asked], axis=-1)

    def median(self) -> Floats:
        """The middle of each."""
        return self.at_score(0.0)

    def mean(self) -> Floats:
        """The mean of each; of logarithms by Gauss-Hermite quadrature over the normal score."""
        plain = not self._space.log.any()
        if plain or self._output.name == "point":
            each = [self._scaled(own, own.distribution.mean()) for own in self._members]
            return self._back(np.mean(each, axis=0))
        total = np.zeros(self.shape)
        for z, weight in zip(_NODES, _WEIGHTS, strict=True):
            if weight > 1e-12:
                total += weight * self.at_score(z)
        return total

    def score(self, y: ArrayLike, within: ArrayLike = 0.5) -> Floats:
        """The normal scores of values, [B, ..., h, C]; NaN where they are.

        Of several networks by bisection, to 1e-6.
        """
        y = np.asarray(y, np.float64)
        if len(self._members) == 1:
            own = self._members[0]
            return own.distribution.score(self._into(own, y), within)
        low, high = np.full(y.shape, -9.0), np.full(y.shape, 9.0)
        for _ in range(24):
            middle = (low + high) / 2
            below = self.at_score(middle) < y
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.where(np.isfinite(y), (low + high) / 2, np.nan)

    def _scaled(self, own: Own, values: Floats) -> Floats:
        return values if self._output.counts else values * own.spread + own.centre

    def _into(self, own: Own, y: Floats) -> Floats:
        if self._output.counts:
            return y
        return (self._space.into(y) - own.centre) / own.spread

    def _back(self, values: Floats) -> Floats:
        return values if self._output.counts else self._space.back(values)


def own_of(output: Output, raw: Any, space: Space) -> Own:
    """What one network says.

    Args:
        output: what it puts out.
        raw: as `loopwise.runtime.forecast_network.Raw`, arrays of NumPy: outputs
            [B, K, h, C, P], centre and spread [B, K, C].
        space: of the windows.
    """
    centre = np.asarray(raw.centre, np.float64)[:, :, None, :]
    spread = np.asarray(raw.spread, np.float64)[:, :, None, :]
    scale = spread * space.spread[:, None, None, :] if output.counts else None
    return Own(output.distribution(raw.outputs, scale), centre, spread)
