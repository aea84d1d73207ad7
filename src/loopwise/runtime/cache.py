"""The continuous neural cache: a word becomes likely where the state is as it was before it.

Grave et al. 2017, arXiv:1612.04426, equations 2 to 4.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.numbers import is_integer, is_number
from loopwise.errors import ConfigError
from loopwise.runtime.cells import Array
from loopwise.runtime.modules import Ids


@dataclass(frozen=True)
class NeuralCache:
    """Options of the cache: ``p = (1 - interpolation) p_model + interpolation p_cache``.

    Attributes:
        size: number of past tokens it looks back on, at least 1.
        theta: flatness of its distribution, at least 0; 0 counts words as a unigram cache does.
        interpolation: its share of the mixture, at least 0 and below 1.

    Raises:
        ConfigError: if a value is not allowed.
    """

    size: int = 2000
    theta: float = 0.3
    interpolation: float = 0.1

    def __post_init__(self):
        if not (is_integer(self.size) and self.size >= 1):
            raise ConfigError(f"cache size {self.size!r}: must be at least 1 and whole")
        if not (is_number(self.theta) and self.theta >= 0):
            raise ConfigError(f"cache theta {self.theta!r}: must be finite and at least 0")
        if not (is_number(self.interpolation) and 0 <= self.interpolation < 1):
            raise ConfigError(f"cache interpolation {self.interpolation!r}: must be in [0, 1)")


class CacheMemory:
    """The pairs (h_i, x_{i+1}) of one text, and the probabilities that follow from them."""

    def __init__(self, options: NeuralCache):
        self._options = options
        self._keys: Array | None = None
        self._words: Ids = np.zeros(0, np.int64)

    def mix(self, nats: Array, hidden: Array, targets: Ids) -> Array:
        """Mix the cache into a model's surprisal, and take in a chunk of the text.

        Before the first pair the model stands alone.

        Args:
            nats: surprisal of the targets to the model, [n].
            hidden: h_t, the last layer's outputs that predict the targets, [n, S].
            targets: x_{t+1}, [n].

        Returns:
            Surprisal to the mixture, [n] in float64.
        """
        keys = hidden if self._keys is None else np.concatenate([self._keys, hidden])
        words = np.concatenate([self._words, targets])
        weights = self._weights(hidden, keys)
        total = weights.sum(axis=1, dtype=np.float64)
        weights *= words == targets[:, np.newaxis]
        hits = weights.sum(axis=1, dtype=np.float64)
        self._keys, self._words = keys[-self._options.size :], words[-self._options.size :]
        return self._mixture(nats, hits, total)

    def _weights(self, hidden: Array, keys: Array) -> Array:
        """``exp(theta h_t . h_i)`` up to a factor per row, 0 outside the window, [n, past + n]."""
        n, size = len(hidden), self._options.size
        scores = hidden @ keys.T
        scores *= self._options.theta
        now = np.arange(len(keys) - n, len(keys))[:, np.newaxis]
        past = np.arange(len(keys))
        scores[(past >= now) | (past < now - size)] = -np.inf
        top = scores.max(axis=1, keepdims=True, initial=-np.inf)
        scores -= np.where(np.isfinite(top), top, 0)  # the first row of a text has no past
        return np.exp(scores, out=scores)

    def _mixture(self, nats: Array, hits: NDArray[Any], total: NDArray[Any]) -> Array:
        share = self._options.interpolation
        with np.errstate(divide="ignore"):  # log 0 = -inf is what a word not in the window gets
            cache = np.log(share * hits) - np.log(np.where(total > 0, total, 1))
        mixed = -np.logaddexp(math.log1p(-share) - nats, cache)
        return np.where(total > 0, mixed, nats)
