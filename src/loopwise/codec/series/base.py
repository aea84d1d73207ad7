"""What a forecast of one value can be asked, whatever a network put out for it.

Besides probabilities, a value has a *score*: the normal score ``Φ⁻¹(F(y))`` of its probability
under the forecast, what a standard normal would have in its place. It says the same as the
probability, but does not run out of digits in the tails, and is 0 at the median.
"""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_ndtr, ndtr, ndtri

from loopwise.errors import ConfigError, ShapeError

Array = NDArray[np.float64]

FLOOR = 1e-4
"""The least spread or gap that a network can put out, in scaled space."""


def positive(raw: ArrayLike) -> Array:
    """``log(1 + e^raw) + FLOOR``: any number as a positive one, about `raw` itself if large."""
    return softplus(raw) + FLOOR


def softplus(raw: ArrayLike) -> Array:
    """``log(1 + e^raw)``; unlike NumPy's own, without a warning for NaN."""
    given = np.asarray(raw, np.float64)
    return np.maximum(given, 0.0) + np.log1p(np.exp(-np.abs(given)))


class Distribution(ABC):
    """The forecasts of values in an array of shape S, one distribution each; float64.

    Arguments named `y`, `z` and `p` broadcast with S: a number asks all forecasts the same. An
    axis of its own in front, [Q, 1, ..., 1], asks each Q times. NaN gives NaN.

    Attributes:
        shape: S.
    """

    shape: tuple[int, ...]

    @abstractmethod
    def score(self, y: ArrayLike, within: ArrayLike = 0.5) -> Array:
        """The normal scores ``Φ⁻¹(F(y))`` of values, finite wherever that can be.

        Args:
            y: the values.
            within: where to stand within the jump of F at y, from 0 (probability of less than y)
                to 1 (of at most y), if the values are counts. Random numbers make the scores of
                right forecasts exactly normal.
        """

    @abstractmethod
    def at_score(self, z: ArrayLike) -> Array:
        """The values at normal scores `z`: the inverse of `score`; for counts the least value
        with at least that probability.
        """

    @abstractmethod
    def mean(self) -> Array:
        """The means, S."""

    @abstractmethod
    def nll(self, y: ArrayLike) -> Array:
        """Negative log likelihood of values in nats, or of a density."""

    def loss(self, y: ArrayLike) -> Array:
        """What training keeps low; `nll` unless the class says otherwise."""
        return self.nll(y)

    def cdf(self, y: ArrayLike) -> Array:
        """The probability of at most `y`."""
        return np.asarray(ndtr(self.score(y, 1.0)))

    def quantile(self, p: ArrayLike) -> Array:
        """The values at probabilities `p`, 0 to 1; at 0 and 1 the ends of what is possible.

        Raises:
            ConfigError: a probability is outside of 0 to 1.
        """
        return self.at_score(ndtri(probabilities(p)))

    def quantiles(self, levels: ArrayLike) -> Array:
        """All of some levels Q for each forecast.

        Args:
            levels: probabilities, [Q], from 0 to 1.

        Returns:
            values, [*S, Q].

        Raises:
            ConfigError: a level is outside of 0 to 1.
        """
        asked = np.atleast_1d(np.asarray(levels, np.float64))
        values = self.quantile(asked.reshape(-1, *(1 for _ in self.shape)))
        return np.moveaxis(np.broadcast_to(values, (len(asked), *self.shape)), 0, -1)

    def sample(self, rng: np.random.Generator, n: int) -> Array:
        """`n` independent draws from each, [n, *S]."""
        return self.at_score(rng.standard_normal((n, *self.shape)))


def probabilities(p: ArrayLike) -> Array:
    """Probabilities as an array; raises ConfigError for one outside of 0 to 1."""
    given = np.asarray(p, np.float64)
    wrong = (given < 0) | (given > 1)
    if np.any(wrong):
        raise ConfigError(f"a probability of {given[wrong][0]:g}: must be from 0 to 1")
    return given


def parameters(raw: ArrayLike, size: int) -> Array:
    """Raw numbers [..., P] in float64, once P is seen to be `size`; raises ShapeError if not."""
    given = np.asarray(raw, np.float64)
    if given.ndim == 0 or given.shape[-1] != size:
        raise ShapeError(f"raw numbers of shape {list(given.shape)}: must be [..., {size}]")
    return given


def from_tails(below: ArrayLike, above: ArrayLike) -> Array:
    """Normal scores from the probabilities of less and of more, which sum to 1.

    The smaller of the two has the digits. Where it is no longer a float, the score is the last
    that is, about 37.
    """
    tiny = np.finfo(np.float64).tiny
    less = ndtri(np.maximum(below, tiny))
    more = -ndtri(np.maximum(above, tiny))
    return np.where(np.asarray(below) <= above, less, more)


LOG_SQRT_2PI = 0.5 * float(np.log(2 * np.pi))


def normal_nll(z: Array) -> Array:
    """Negative log density of the standard normal, in nats."""
    return 0.5 * z * z + LOG_SQRT_2PI


def log_tail(z: ArrayLike) -> Array:
    """``log Φ(z)``."""
    return np.asarray(log_ndtr(z))
