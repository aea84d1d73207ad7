"""How hypotheses are ranked (Wu et al., 2016, equation 14)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.search.live import Live
from loopwise.codec.search.options import Search
from loopwise.codec.search.prediction import Prediction
from loopwise.errors import ConfigError, ShapeError


def length_penalty(length: Any, alpha: float) -> Any:
    """What the log probability of `length` tokens, the end token among them, is divided by."""
    return ((5 + length) / 6) ** alpha


def coverage_penalty(coverage: NDArray[Any]) -> NDArray[Any]:
    """How much of a source was left out, at most 0.

    Args:
        coverage: ``[..., S]``, the attention that each position got in all. Less than the least
            normal float32 counts as that, or one position would outweigh everything.
    """
    return np.log(np.clip(coverage, np.finfo(np.float32).tiny, 1)).sum(axis=-1)


@dataclass(frozen=True, eq=False)
class Ranking:
    """The scores of hypotheses.

    Attributes:
        options: the penalties.
        limits: ``[lanes]``, the greatest lengths.
        positions: ``[lanes]``, how many positions of the source are a lane's own; None for all.
    """

    options: Search
    limits: NDArray[np.intp]
    positions: NDArray[np.intp] | None

    def require(self, first: Prediction) -> None:
        """Raise ConfigError or ShapeError if such predictions cannot be ranked."""
        lanes = len(self.limits)
        if len(first.log_probs) != lanes:
            raise ShapeError(f"predictions of {len(first.log_probs)} sequences, limits of {lanes}")
        if first.attention is None:
            if self.options.coverage_penalty:
                raise ConfigError(
                    f"coverage_penalty={self.options.coverage_penalty}: must be 0 for a model "
                    "without attention"
                )
        elif self.positions is not None and self.positions.max() > first.attention.shape[1]:
            raise ShapeError(
                f"source_lengths: must be at most {first.attention.shape[1]}, the positions of "
                f"attention, not {self.positions.max()}"
            )

    def scores(self, live: Live, rows: NDArray[np.intp], ends: NDArray[Any]) -> NDArray[Any]:
        """The scores [F] of hypotheses `rows` [F] that end with log probabilities `ends` [F]."""
        penalty = length_penalty(live.length + 1, self.options.length_penalty)
        scores = (live.totals[rows] + ends) / penalty
        if not self.options.coverage_penalty:
            return scores
        coverage = live.coverage[rows]
        if self.positions is not None:
            own = self.positions[live.lanes[rows]]
            coverage[np.arange(coverage.shape[1]) >= own[:, np.newaxis]] = 1  # log 1 = 0
        return scores + self.options.coverage_penalty * coverage_penalty(coverage)

    def bounds(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """What no hypothesis that continues one of `totals` [lanes] can exceed.

        Its log probability cannot rise, its length may reach the limit, and it may cover all.
        """
        return totals / length_penalty(self.limits + 1, self.options.length_penalty)
