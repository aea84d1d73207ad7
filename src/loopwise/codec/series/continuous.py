"""Forecasts of numbers on a line: normal, Student's t, mixtures of normals, and a bare point.

In the formulas `r0, r1, ...` are the raw numbers of one forecast, and `positive` is
`loopwise.codec.series.base.positive`.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln, logsumexp, ndtr, ndtri_exp, stdtr, stdtrit

from loopwise.codec.series.base import (
    Array,
    Distribution,
    from_tails,
    log_tail,
    normal_nll,
    parameters,
    positive,
    probabilities,
)
from loopwise.errors import ConfigError


class Normal(Distribution):
    """``loc = r0``, ``sd = positive(r1)``.

    ``nll = z²/2 + log sd + log(2π)/2`` with ``z = (y - loc) / sd``.
    """

    def __init__(self, raw: ArrayLike):
        raw = parameters(raw, 2)
        self.loc, self.sd = raw[..., 0], positive(raw[..., 1])
        self.shape = self.loc.shape

    def score(self, y: ArrayLike, within: ArrayLike = 0.5) -> Array:
        """``(y - loc) / sd``."""
        return (np.asarray(y) - self.loc) / self.sd

    def at_score(self, z: ArrayLike) -> Array:
        """``loc + z sd``."""
        return self.loc + np.asarray(z) * self.sd

    def mean(self) -> Array:
        """``loc``, S."""
        return self.loc

    def nll(self, y: ArrayLike) -> Array:
        """In nats, of a density."""
        return normal_nll(self.score(y)) + np.log(self.sd)


class StudentT(Distribution):
    """``loc = r0``, ``scale = positive(r1)``, ``df = 2 + positive(r2)``, so the variance exists.

    ``nll = (df + 1)/2 · log(1 + t²/df) + log scale + log(df π)/2 + lgamma(df/2)
    - lgamma((df + 1)/2)`` with ``t = (y - loc) / scale``.
    """

    def __init__(self, raw: ArrayLike):
        raw = parameters(raw, 3)
        self.loc, self.scale = raw[..., 0], positive(raw[..., 1])
        self.df = 2 + positive(raw[..., 2])
        self.shape = self.loc.shape

    def score(self, y: ArrayLike, within: ArrayLike = 0.5) -> Array:
        """From whichever tail has the digits."""
        t = (np.asarray(y) - self.loc) / self.scale
        return from_tails(stdtr(self.df, t), stdtr(self.df, -t))

    def at_score(self, z: ArrayLike) -> Array:
        """The inverse of `score`."""
        z = np.asarray(z, np.float64)
        return self._at(np.asarray(ndtr(-np.abs(z))), np.sign(z))

    def quantile(self, p: ArrayLike) -> Array:
        """As `Distribution.quantile`."""
        p = probabilities(p)
        return self._at(np.minimum(p, 1 - p), np.sign(p - 0.5))

    def mean(self) -> Array:
        """``loc``, S."""
        return self.loc

    def nll(self, y: ArrayLike) -> Array:
        """In nats, of a density."""
        df = self.df
        t = (np.asarray(y) - self.loc) / self.scale
        norm = np.log(df * np.pi) / 2 + gammaln(df / 2) - gammaln((df + 1) / 2)
        return (df + 1) / 2 * np.log1p(t * t / df) + np.log(self.scale) + norm

    def _at(self, tail: Array, side: Array) -> Array:
        """The value with probability `tail`, at most 1/2, beyond it, below or above the middle."""
        far = -stdtrit(self.df, tail)
        return self.loc + self.scale * np.where(side == 0, 0.0, side * np.abs(far))


class Mixture(Distribution):
    """K normals: ``w = softmax(r0 ... r(K-1))``, then K times loc, then K times ``sd = positive``.

    ``nll = -logsumexp_k(log w_k - z_k²/2 - log sd_k) + log(2π)/2`` with
    ``z_k = (y - loc_k) / sd_k``.

    Args:
        raw: [..., 3K].
        components: K, at least 1.
    """

    def __init__(self, raw: ArrayLike, components: int):
        raw = parameters(raw, 3 * components)
        logits, self.loc, spread = np.split(raw, 3, axis=-1)
        self.sd = positive(spread)
        self.log_weight = logits - logsumexp(logits, axis=-1, keepdims=True)
        self.shape = raw.shape[:-1]

    def score(self, y: ArrayLike, within: ArrayLike = 0.5) -> Array:
        """From whichever tail has the digits."""
        y = np.asarray(y, np.float64)
        side = np.where(self._log_tail(y, 1.0) <= np.log(0.5), 1.0, -1.0)
        return side * ndtri_exp(self._log_tail(y, side))

    def at_score(self, z: ArrayLike) -> Array:
        """The inverse of `score`, by Newton's method kept between the values of the components."""
        asked = np.broadcast_to(
            np.asarray(z, np.float64), np.broadcast_shapes(np.shape(z), self.shape)
        )
        inner = np.where(np.isinf(asked), 0.0, asked)
        each = self.loc + inner[..., None] * self.sd
        low, high = each.min(-1), each.max(-1)
        side = np.where(inner <= 0, 1.0, -1.0)
        wanted = log_tail(-np.abs(inner))
        enough = 1e-10 * (np.abs(low) + np.abs(high))  # the next move would be the square of that
        at, last = low + (high - low) / 2, high - low
        for _ in range(100):
            tail = self._log_tail(at, side)
            over = side * (tail - wanted)
            low, high = np.where(over < 0, at, low), np.where(over < 0, high, at)
            move = -over / np.exp(np.maximum(-self.nll(at) - tail, -700.0))
            there = np.abs(move) <= enough
            safe = (np.abs(move) <= last / 2) & (at + move >= low) & (at + move <= high)
            move = np.where(there | safe, move, low + (high - low) / 2 - at)
            at, last = at + move, np.abs(move)
            if np.all(there | (last == 0) | np.isnan(move)):
                break
        return np.where(np.isinf(asked), asked, at)

    def mean(self) -> Array:
        """``Σ_k w_k loc_k``, S."""
        return np.sum(np.exp(self.log_weight) * self.loc, -1)

    def nll(self, y: ArrayLike) -> Array:
        """In nats, of a density."""
        z = (np.asarray(y, np.float64)[..., None] - self.loc) / self.sd
        return -np.asarray(logsumexp(self.log_weight - normal_nll(z) - np.log(self.sd), axis=-1))

    def sample(self, rng: np.random.Generator, n: int) -> Array:
        """A component first, then of it; [n, *S]."""
        edges = np.cumsum(np.exp(self.log_weight), axis=-1)[..., :-1]
        chosen = np.sum(rng.random((n, *self.shape, 1)) > edges, -1, keepdims=True)
        every = (n, *self.loc.shape)
        loc = np.take_along_axis(np.broadcast_to(self.loc, every), chosen, -1)[..., 0]
        sd = np.take_along_axis(np.broadcast_to(self.sd, every), chosen, -1)[..., 0]
        return loc + sd * rng.standard_normal(loc.shape)

    def _log_tail(self, y: Array, side: ArrayLike) -> Array:
        """Log probability of less than y where `side` is 1, of more where it is -1."""
        z = np.asarray(side)[..., None] * (y[..., None] - self.loc) / self.sd
        return np.asarray(logsumexp(self.log_weight + log_tail(z), axis=-1))


class Point(Distribution):
    """``mean = r0`` and no word on how far off it may be.

    Its scores are plain errors, ``y - r0``: a calibration makes intervals of them. Before that it
    has a mean and a loss, the squared error, and everything else raises ConfigError.
    """

    def __init__(self, raw: ArrayLike):
        self.loc = parameters(raw, 1)[..., 0]
        self.shape = self.loc.shape

    def score(self, y: ArrayLike, within: ArrayLike = 0.5) -> Array:
        """``y - r0``."""
        return np.asarray(y) - self.loc

    def at_score(self, z: ArrayLike) -> Array:
        """``r0 + z``."""
        return self.loc + np.asarray(z)

    def mean(self) -> Array:
        """``r0``, S."""
        return self.loc

    def loss(self, y: ArrayLike) -> Array:
        """``(y - r0)²``."""
        return np.square(np.asarray(y) - self.loc)

    def nll(self, y: ArrayLike) -> Array:
        """Raises ConfigError."""
        raise self._unknown("likelihood")

    def cdf(self, y: ArrayLike) -> Array:
        """Raises ConfigError."""
        raise self._unknown("probabilities")

    def quantile(self, p: ArrayLike) -> Array:
        """Raises ConfigError."""
        raise self._unknown("quantiles")

    def sample(self, rng: np.random.Generator, n: int) -> Array:
        """Raises ConfigError."""
        raise self._unknown("samples")

    def _unknown(self, what: str) -> ConfigError:
        return ConfigError(f"a point forecast has no {what} before it is calibrated")
