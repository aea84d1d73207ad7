"""Forecasts of counts 0, 1, 2, ...: Poisson, negative binomial, and of yes or no.

Counts cannot be divided by a scale and stay counts. A network may see them scaled; what it puts
out is multiplied by the same `scale` to give the mean of the counts themselves.
"""

from abc import abstractmethod
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc, expit, gammainc, gammaincc, gammaln, ndtr

from loopwise.codec.series.base import (
    Array,
    Distribution,
    from_tails,
    parameters,
    positive,
    probabilities,
    softplus,
)


class Count(Distribution):
    """A distribution on 0 to `most`, by its two tails; `y` between counts is as the one below."""

    most = np.inf

    @abstractmethod
    def _tails(self, k: Array) -> tuple[Array, Array]:
        """Probabilities of at most and of more than the counts `k`, at least 0, and whole."""

    def tails(self, y: ArrayLike) -> tuple[Array, Array]:
        """Probabilities of at most and of more than `y`."""
        k = np.floor(np.asarray(y, np.float64))
        at_most, more = self._tails(np.maximum(k, 0.0))
        none, all_ = np.where(np.isnan(k), np.nan, 0.0), np.where(np.isnan(k), np.nan, 1.0)
        known = k >= 0
        return np.where(known, at_most, none), np.where(known, more, all_)

    def cdf(self, y: ArrayLike) -> Array:
        """The probability of at most `y`."""
        return self.tails(y)[0]

    def score(self, y: ArrayLike, within: ArrayLike = 0.5) -> Array:
        """As `Distribution.score`."""
        within = np.asarray(within, np.float64)
        below, at_least = self.tails(np.floor(y) - 1)
        at_most, more = self.tails(y)
        return from_tails(
            below + within * (at_most - below), more + (1 - within) * (at_least - more)
        )

    def at_score(self, z: ArrayLike) -> Array:
        """The least counts with at least the probability of `z`."""
        z = np.asarray(z, np.float64)
        low, high = ndtr(z) * (1 - 1e-9), ndtr(-z) * (1 + 1e-9)  # the inverse survives rounding

        def short(k: Array) -> NDArray[np.bool_]:
            at_most, more = self.tails(k)
            return np.where(z <= 0, at_most < low, more > high)

        return self._least(short, z, z == np.inf)

    def quantile(self, p: ArrayLike) -> Array:
        """The least counts with at least the probability `p`."""
        p = probabilities(p)
        return self._least(lambda k: self.tails(k)[0] < p, p, p == 1)

    def _least(
        self,
        short: Callable[[Array], NDArray[np.bool_]],
        asked: Array,
        last: NDArray[np.bool_],
    ) -> Array:
        """The least counts that are not `short` of what was asked, by doubling and halving."""
        unknown = np.isnan(asked) | np.isnan(self.mean())
        high = np.zeros(unknown.shape)
        for _ in range(64):
            below = short(high)
            if not np.any(below):
                break
            high = np.where(below, 2 * high + 1, high)
        low = np.full(high.shape, -1.0)
        for _ in range(64):
            apart = high - low > 1
            if not np.any(apart):
                break
            middle = np.floor((low + high) / 2)
            below = short(middle)
            low = np.where(apart & below, middle, low)
            high = np.where(apart & ~below, middle, high)
        return np.where(unknown, np.nan, np.where(last, self.most, high))


class Poisson(Count):
    """``mean = scale · positive(r0)``.

    ``nll = mean - y log mean + lgamma(y + 1)``.
    """

    def __init__(self, raw: ArrayLike, scale: ArrayLike = 1.0):
        self._mean: Array = positive(parameters(raw, 1)[..., 0]) * np.asarray(scale, np.float64)
        self.shape = self._mean.shape

    def _tails(self, k: Array) -> tuple[Array, Array]:
        return gammaincc(k + 1, self._mean), gammainc(k + 1, self._mean)

    def mean(self) -> Array:
        """S, above 0."""
        return self._mean

    def nll(self, y: ArrayLike) -> Array:
        """In nats."""
        y = np.asarray(y, np.float64)
        return self._mean - y * np.log(self._mean) + gammaln(y + 1)


class NegativeBinomial(Count):
    """``mean = scale · positive(r0)``, ``dispersion a = positive(r1) / √scale``.

    The variance is ``mean + a mean²``. With ``n = 1/a``,
    ``nll = lgamma(n) + lgamma(y + 1) - lgamma(y + n) + (n + y) log(1 + a mean)
    - y log(a mean)`` (DeepAR, Salinas et al., 2020).
    """

    def __init__(self, raw: ArrayLike, scale: ArrayLike = 1.0):
        raw, scale = parameters(raw, 2), np.asarray(scale, np.float64)
        self._mean: Array = positive(raw[..., 0]) * scale
        self.dispersion: Array = positive(raw[..., 1]) / np.sqrt(scale)
        self.shape = self._mean.shape

    def _tails(self, k: Array) -> tuple[Array, Array]:
        odds = self.dispersion * self._mean
        success, failure = 1 / (1 + odds), odds / (1 + odds)
        n = 1 / self.dispersion
        return betainc(n, k + 1, success), betainc(k + 1, n, failure)

    def mean(self) -> Array:
        """S, above 0."""
        return self._mean

    def nll(self, y: ArrayLike) -> Array:
        """In nats."""
        y = np.asarray(y, np.float64)
        n, odds = 1 / self.dispersion, self.dispersion * self._mean
        ways = gammaln(n) + gammaln(y + 1) - gammaln(y + n)
        return ways + (n + y) * np.log1p(odds) - y * np.log(odds)


class Bernoulli(Count):
    """1 with probability ``s(r0)``, else 0.

    ``nll = log(1 + e^r0) - y r0``.
    """

    most = 1.0

    def __init__(self, raw: ArrayLike):
        self.logit = parameters(raw, 1)[..., 0]
        self.shape = self.logit.shape

    def _tails(self, k: Array) -> tuple[Array, Array]:
        return (
            np.where(k >= 1, 1.0, expit(-self.logit)),
            np.where(k >= 1, 0.0, expit(self.logit)),
        )

    def mean(self) -> Array:
        """The probability of 1, S."""
        return np.asarray(expit(self.logit))

    def nll(self, y: ArrayLike) -> Array:
        """In nats."""
        return softplus(self.logit) - np.asarray(y) * self.logit
