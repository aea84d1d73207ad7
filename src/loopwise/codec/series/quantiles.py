"""A forecast by its quantiles at trained levels, and what lies between and beyond them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from loopwise.codec.series.base import Array, Distribution, normal_nll, parameters, positive
from loopwise.errors import ConfigError


class Quantiles(Distribution):
    """Quantiles at L levels that cannot cross, each a step from its neighbour nearer the middle.

    With ``x_i = Φ⁻¹(level_i)``, and m the level nearest to 0.5, the first of two:
    ``q_m = r_m``; above, ``q_i = q_(i-1) + (x_i - x_(i-1)) positive(r_i)``; below,
    ``q_i = q_(i+1) - (x_(i+1) - x_i) positive(r_i)``. Equal raw numbers but the middle one so give
    a normal distribution.

    Between the levels the value is linear in the normal score, and beyond them it goes on as
    between the last two. So F is made of pieces of normals, which `nll` and `mean` are of.

    ``loss = (2/L) Σ_i max(level_i (y - q_i), (level_i - 1)(y - q_i))``, which training keeps low:
    twice the pinball loss; with many levels the CRPS.

    Args:
        raw: [..., L].
        levels: L at least 2, rising, above 0 and below 1.

    Raises:
        ConfigError: the levels are not so.
    """

    def __init__(self, raw: ArrayLike, levels: Sequence[float]):
        self.levels = check_levels(levels)
        raw = parameters(raw, len(self.levels))
        self.shape = raw.shape[:-1]
        self._at: Array = np.asarray(ndtri(self.levels))
        m = middle(self.levels)
        self._slopes = positive(np.delete(raw, m, axis=-1))
        steps = self._slopes * np.diff(self._at)
        up = np.cumsum(steps[..., m:], -1)
        down = np.cumsum(steps[..., :m][..., ::-1], -1)[..., ::-1]
        centre = raw[..., m : m + 1]
        self.values = np.concatenate([centre - down, centre, centre + up], -1)

    def score(self, y: ArrayLike, within: ArrayLike = 0.5) -> Array:
        """Linear in y between the levels."""
        value, x, slope = self._piece_of(y)
        return x + (np.asarray(y) - value) / slope

    def at_score(self, z: ArrayLike) -> Array:
        """The inverse of `score`."""
        z = np.asarray(z, np.float64)
        piece = np.searchsorted(self._at[1:-1], z, side="right")
        shape = np.broadcast_shapes(z.shape, self.shape)
        return self._pick(self.values, piece, shape) + (z - self._at[piece]) * self._pick(
            self._slopes, piece, shape
        )

    def mean(self) -> Array:
        """Exactly: the integral of each piece of a normal."""
        edges = np.concatenate([[-np.inf], self._at[1:-1], [np.inf]])
        density = np.exp(-normal_nll(edges))
        level = self.values[..., :-1] - self._at[:-1] * self._slopes
        return np.sum(level * np.diff(ndtr(edges)) - self._slopes * np.diff(density), -1)

    def nll(self, y: ArrayLike) -> Array:
        """``z²/2 + log slope + log(2π)/2``: minus the log density of the piece that holds y."""
        value, x, slope = self._piece_of(y)
        return normal_nll(x + (np.asarray(y) - value) / slope) + np.log(slope)

    def loss(self, y: ArrayLike) -> Array:
        """Twice the mean pinball loss over the levels."""
        error = np.asarray(y, np.float64)[..., None] - self.values
        return 2 * np.mean(np.maximum(self.levels * error, (self.levels - 1) * error), -1)

    def _piece_of(self, y: ArrayLike) -> tuple[Array, Array, Array]:
        """Of the piece that holds y: the value and the score where it begins, and its slope."""
        y = np.asarray(y, np.float64)
        piece = np.sum(self.values[..., 1:-1] <= y[..., None], -1)
        value = self._pick(self.values, piece, piece.shape)
        return value, self._at[piece], self._pick(self._slopes, piece, piece.shape)

    @staticmethod
    def _pick(table: Array, piece: ArrayLike, shape: tuple[int, ...]) -> Array:
        index = np.broadcast_to(piece, shape)[..., None]
        return np.take_along_axis(np.broadcast_to(table, (*shape, table.shape[-1])), index, -1)[
            ..., 0
        ]


def check_levels(levels: Sequence[float]) -> Array:
    """Levels of a quantile head as an array; raises ConfigError if they cannot be."""
    given = np.asarray(levels, np.float64)
    inside = np.all((given > 0) & (given < 1))
    if given.ndim != 1 or len(given) < 2 or not inside or np.any(np.diff(given) <= 0):
        raise ConfigError(
            f"levels={list(levels)!r}: must be at least 2 numbers above 0 and below 1, rising"
        )
    return given


def middle(levels: ArrayLike) -> int:
    """Which level is nearest to 0.5, the first of two."""
    return int(np.argmin(np.round(np.abs(np.asarray(levels) - 0.5), 9)))
