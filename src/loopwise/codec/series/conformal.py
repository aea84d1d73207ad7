"""Forecasts made right by how earlier ones turned out, on held-out windows or along a stream.

One table serves all: the normal scores of the actuals under their forecasts, M windows by h steps
(see `loopwise.codec.series.base`). If forecasts are right, each column is a sample of a standard
normal. If not, the table says how far off they are, and that puts later forecasts right:

- quantiles: a rising map from level to score at each step ahead, so calibrated quantiles of all
  levels are there and cannot cross. This is distributional conformal prediction (Chernozhukov,
  Wüthrich and Zhu, 2021), conformalised quantile regression (Romano et al., 2019) with the score
  for the measure of distance, or split conformal prediction if the forecast is a bare point;
- paths: ranks of whole rows carry over how errors go together from step to step (the Schaake
  shuffle, Clark et al., 2004, with errors in place of the climate);
- p-values of new observations: their rank among the scores.

What it needs is that calibration windows and new ones could change places. Windows of one series
that overlap or lie long ago are less than that; `Adaptive` follows a stream that drifts.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from loopwise.codec.numbers import is_number
from loopwise.codec.series.base import FLOOR, Array, Distribution
from loopwise.errors import ConfigError, DataError, ShapeError

PRIOR = 10.0
"""How many windows the network's own word is worth where nobody says otherwise."""

_GRID = np.linspace(-4, 4, 33)
_SHARE = 0.8
_AT_SHARE = float(ndtri((1 + _SHARE) / 2))  # so much of a normal is nearer to 0 than this


def held_out_scores(
    forecast: Distribution, actual: ArrayLike, rng: np.random.Generator | None = None
) -> Array:
    """The scores of actuals under their forecasts, for a `Calibration`.

    Args:
        forecast: of M windows, [M, h].
        actual: what came, [M, h] in the space of the forecast, NaN where unknown.
        rng: where counts stand within the jumps of their distribution; without one in the middle,
            which makes the scores of small counts less spread than normal.

    Returns:
        [M, h], NaN where the actual is unknown.
    """
    within = 0.5 if rng is None else rng.random(np.shape(actual))
    return forecast.score(actual, within)


@dataclass(frozen=True)
class Calibration:
    """What held-out windows say about forecasts of h steps.

    For each step, first the scores are divided by their spread ``s``, so that the tails of
    forecasts too sure or too unsure come right as well: ``s = (q / 1.28)^(M / (M + prior))`` with
    q the 80 % quantile of ``|z|``, 1.28 that of a normal.
    Then probabilities ``u = Φ(z/s)`` are mapped: the k-th smallest of the M becomes
    ``(k + prior u) / (M + 1 + prior)``, linear between, 0 and 1 stay. With ``prior`` 0 that is
    the conformal correction: a new score is at most the k-th smallest with probability
    ``k / (M + 1)``, whatever the forecaster. With ``prior`` c it is as if c more windows had been
    seen under which the network was right: with no windows nothing changes, with few little, and
    the true coverage of any level is at most ``c / (M + 1 + c)`` from the conformal one. Beyond the
    outermost score and four spreads the tail has the shape of the network's own.

    Attributes:
        scores: from `held_out_scores`, [M, h]; rows with NaN serve the steps they know.
        prior: windows that the network's own word is worth, at least 0.
        has_spread: False for scores of a bare `Point`: ``s`` is then of the scores alone.

    Raises:
        ConfigError: a prior that is not allowed.
        ShapeError: `scores` is not [M, h].
        DataError: infinite scores; or a step without any, where the forecast has no spread.
    """

    scores: Array
    prior: float = PRIOR
    has_spread: bool = True

    def __post_init__(self):
        if not (is_number(self.prior) and self.prior >= 0):
            raise ConfigError(f"prior={self.prior!r}: must be finite and at least 0")
        if np.ndim(self.scores) != 2:
            raise ShapeError(f"scores of shape {list(np.shape(self.scores))}: must be [M, h]")
        object.__setattr__(self, "scores", np.asarray(self.scores, np.float64))
        if np.isinf(self.scores).any():
            raise DataError("held-out scores are infinite: so are forecasts or actuals")
        if not self.has_spread and not (~np.isnan(self.scores)).any(0).all():
            step = int(np.argmin((~np.isnan(self.scores)).any(0))) + 1
            raise DataError(f"no error is known {step} steps ahead: a point forecast needs some")

    @property
    def horizon(self) -> int:
        """Steps ahead, h."""
        return self.scores.shape[1]

    def first(self, horizon: int) -> "Calibration":
        """The same for the first steps only, as a stream asks that looks one step ahead."""
        return Calibration(self.scores[:, :horizon], self.prior, self.has_spread)

    def calibrate(self, forecast: Distribution) -> "Calibrated":
        """New forecasts [..., h] put right; raises ShapeError for another h."""
        self._check(forecast)
        return Calibrated(forecast, self)

    def levels(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Probabilities of paths whose steps go together as errors did.

        A path takes a row of the table and has its ranks, spread evenly within each rank by one
        random number for the whole path. At these probabilities `calibrate` has its values. The n
        paths of a forecast share the rows evenly (Latin hypercube sampling, McKay et al. 1979),
        which makes what is told by few of them the more exact.

        Args:
            rng: random numbers.
            shape: n, and how many forecasts are drawn for, each for itself.

        Returns:
            [*shape, h], from 0 to below 1, evenly at each step.

        Raises:
            DataError: no row of the table is known at all steps.
        """
        ranks = self._ranks
        if not len(ranks):
            raise DataError("no held-out window is known at all steps: there are no paths")
        place = len(ranks) * evenly(rng, shape)
        row = np.minimum(place.astype(np.int64), len(ranks) - 1)
        return (ranks[row] + (place - row)[..., None]) / len(ranks)

    def p_values(self, forecast: Distribution, y: ArrayLike) -> Array:
        """How unusual observations are among the held-out ones: small for anomalies.

        ``2 min(1 + #{scores <= z}, 1 + #{scores >= z}) / (M + 1)``, at most 1, for the score z of
        the observation. At most p with a probability of at most p, whatever the forecaster, as
        long as nothing is unusual; the least there can be is ``2 / (M + 1)``. `prior` has no part
        in it.

        Args:
            forecast: new forecasts, [..., h].
            y: what came, broadcasts with it; NaN gives NaN.
        """
        self._check(forecast)
        z = forecast.score(y)
        p = np.full(z.shape, np.nan)
        for step in range(self.horizon):
            known = np.sort(_known(self.scores[:, step]))
            at = z[..., step]
            least = np.minimum(
                np.searchsorted(known, at, "right"),
                len(known) - np.searchsorted(known, at, "left"),
            )
            p[..., step] = np.minimum(2 * (1 + least) / (len(known) + 1), 1.0)
        return np.where(np.isnan(z), np.nan, p)

    def to_network(self, z: Array) -> Array:
        """Calibrated scores [..., h] as scores under the network's own forecast, rising."""
        return self._map(z, inverse=False)

    def from_network(self, z: Array) -> Array:
        """The inverse of `to_network`."""
        return self._map(z, inverse=True)

    @cached_property
    def _ranks(self) -> NDArray[np.int64]:
        """Of the rows known at all steps, their ranks from 0 at each; equal scores in any order.

        Low rows come first.
        """
        rows = self.scores[~np.isnan(self.scores).any(1)]
        ties = np.random.default_rng(0).random(rows.shape)
        ranks = np.argsort(np.lexsort((ties, rows), axis=0), axis=0)
        return ranks[np.argsort(ranks.sum(1), kind="stable")]

    @cached_property
    def _knots(self) -> list[tuple[Array, Array, float]]:
        """For each step: calibrated scores and the network's by its spread, rising; the spread."""
        return [self._knots_of(_known(column)) for column in self.scores.T]

    def _knots_of(self, scores: Array) -> tuple[Array, Array, float]:
        prior = self.prior if self.has_spread else 0.0
        spread = 1.0
        if len(scores):
            found = max(float(np.quantile(np.abs(scores), _SHARE)) / _AT_SHARE, FLOOR)
            spread = found ** (len(scores) / (len(scores) + prior))
        z = np.sort(scores) / spread
        u, on_grid = ndtr(z), ndtr(_GRID)
        rank = np.arange(1, len(z) + 1)
        grid_rank = np.interp(on_grid, np.r_[0.0, u, 1.0], np.arange(len(z) + 2))
        level = np.r_[rank + self.prior * u, grid_rank + self.prior * on_grid]
        calibrated = ndtri(np.sort(level) / (len(z) + 1 + self.prior))
        return calibrated, np.sort(np.r_[z, _GRID]), spread

    def _map(self, z: Array, inverse: bool) -> Array:
        mapped = np.empty(z.shape)
        for step, (calibrated, network, spread) in enumerate(self._knots):
            x, at, to = z[..., step], calibrated, network
            if inverse:
                x, at, to = x / spread, network, calibrated
            inner = np.interp(x, at, to)
            y = inner + np.minimum(x - at[0], 0) + np.maximum(x - at[-1], 0)
            mapped[..., step] = y if inverse else y * spread
        return mapped

    def _check(self, forecast: Distribution) -> None:
        if not forecast.shape or forecast.shape[-1] != self.horizon:
            raise ShapeError(
                f"forecasts of shape {list(forecast.shape)}: must be [..., {self.horizon}]"
            )


class Calibrated(Distribution):
    """Forecasts as a `Calibration` puts them right; it has no likelihood.

    Args:
        forecast: the network's own, [..., h].
        calibration: for h steps.
    """

    def __init__(self, forecast: Distribution, calibration: Calibration):
        self.forecast, self.calibration = forecast, calibration
        self.shape = forecast.shape

    def score(self, y: ArrayLike, within: ArrayLike = 0.5) -> Array:
        """The network's own scores, put right."""
        return self.calibration.from_network(self.forecast.score(y, within))

    def at_score(self, z: ArrayLike) -> Array:
        """The inverse of `score`."""
        z = np.asarray(z, np.float64)
        every = np.broadcast_to(z, np.broadcast_shapes(z.shape, self.shape))
        return self.forecast.at_score(self.calibration.to_network(every))

    def mean(self) -> Array:
        """The mean of the quantiles at 200 levels, evenly spread: (i - 1/2) / 200."""
        levels = (np.arange(200) + 0.5) / 200
        return self.quantiles(levels).mean(-1)

    def nll(self, y: ArrayLike) -> Array:
        """Raises ConfigError."""
        raise ConfigError("a calibrated forecast has no likelihood; the network's own has")


@dataclass(frozen=True)
class Adaptive:
    """Adaptive conformal inference: the level to ask a stream's forecasts for, so that intervals
    miss as often as they should in the long run, whatever comes (Gibbs and Candès, 2021).

    ``now' = now + rate (missing - missed)``, so over T updates the share missed is at most
    ``(max(missing, 1 - missing) + rate) / (rate T)`` from `missing`.

    Attributes:
        missing: the share that intervals should leave out, above 0 and below 1: 0.1 for 90 %.
        rate: how fast to follow, above 0; larger follows faster and wavers more.
        now: what to ask for in place of `missing`, one number for each stream, any shape; it may
            leave 0 to 1. None begins with `missing`, for one stream or as many as `update` names.

    Raises:
        ConfigError: a value that is not allowed.
    """

    missing: float
    rate: float = 0.005
    now: Array | None = None

    def __post_init__(self):
        if not (is_number(self.missing) and 0 < self.missing < 1):
            raise ConfigError(f"missing={self.missing!r}: must be above 0 and below 1")
        if not (is_number(self.rate) and self.rate > 0):
            raise ConfigError(f"rate={self.rate!r}: must be finite and above 0")

    @property
    def levels(self) -> tuple[Array, Array]:
        """Levels of the interval's ends, to be asked of `Distribution.quantile`.

        They are 0 and 1, all there is, while too much has been missed, and both 0.5 while too
        little has.
        """
        low = np.clip(self._now, 0.0, 1.0) / 2
        return low, 1 - low

    def update(self, missed: ArrayLike) -> "Adaptive":
        """After an observation.

        Args:
            missed: whether it lay outside of the interval, for each stream; NaN where unknown,
                which changes nothing.
        """
        step = self.missing - np.asarray(missed, np.float64)
        now = self._now + self.rate * np.where(np.isnan(step), 0.0, step)
        return Adaptive(self.missing, self.rate, now)

    @property
    def _now(self) -> Array:
        return np.asarray(self.missing if self.now is None else self.now, np.float64)


def evenly(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Random numbers from 0 to below 1, one in each n-th of that along the first axis, n long."""
    n = shape[0]
    parts = np.broadcast_to(np.arange(n).reshape(-1, *(1 for _ in shape[1:])), shape)
    return (rng.permuted(parts, axis=0) + rng.random(shape)) / n


def _known(column: Array) -> NDArray[np.float64]:
    return column[~np.isnan(column)]
