"""Tokens drawn from logits."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.search.largest import largest, require_below_infinity
from loopwise.codec.search.options import Sampling
from loopwise.errors import DataError, ShapeError

__all__ = ["Draws", "Sampling", "generators", "sample"]


def sample(logits: NDArray[Any], options: Sampling, rng: np.random.Generator) -> int:
    """Draw one token; equal probabilities count as ordered by id.

    Args:
        logits: ``[V]``, unnormalised log probabilities; -inf excludes a token.
        options: how to draw.
        rng: one number is taken from it, none at temperature 0.

    Returns:
        An id in ``[0, V)``.

    Raises:
        ShapeError: if `logits` is no vector or is empty.
        DataError: if it holds NaN or +inf, or nothing but -inf.
    """
    scores = _checked(logits)[np.newaxis]
    if options.temperature == 0:
        return int(scores.argmax())
    return int(_draw(scores, options, np.array([rng.random()]))[0])


class Draws:
    """Draws one continuation of each lane's only hypothesis.

    Args:
        sampling: how.
        generators: of the random numbers, one for each lane.
    """

    size = 1

    def __init__(self, sampling: Sampling, generators: Sequence[np.random.Generator]):
        self._sampling, self._generators = sampling, generators

    def choose(
        self, log_probs: NDArray[Any], totals: NDArray[np.float64], lanes: NDArray[np.intp]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """See `loopwise.codec.search.beam.Beam.choose`."""
        likeliest = log_probs.max(axis=1)
        require_below_infinity(log_probs, likeliest)
        rows = np.flatnonzero((totals > -np.inf) & (likeliest > -np.inf))
        scores = log_probs[rows].astype(np.float64)
        if self._sampling.temperature == 0 or not len(rows):
            return rows, scores.argmax(axis=1)
        points = np.array([self._generators[lane].random() for lane in lanes[rows]])
        return rows, _draw(scores, self._sampling, points)


def generators(sampling: Sampling, numbers: Sequence[int], draws: int) -> list[np.random.Generator]:
    """Of the random numbers of `draws` samples for each sentence, by the sentences' `numbers`."""
    seed = np.random.SeedSequence(sampling.seed).entropy
    return [
        np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number, draw)))
        for number in numbers
        for draw in range(draws)
    ]


def _checked(logits: NDArray[Any]) -> NDArray[np.float64]:
    scores = np.asarray(logits, np.float64)
    if scores.ndim != 1 or not scores.size:
        raise ShapeError(f"logits must be a vector [V] with V >= 1, not {list(scores.shape)}")
    if not scores.max() < np.inf:  # false for NaN too
        position = int(np.flatnonzero(~(scores < np.inf))[0])
        raise DataError(f"logits[{position}] is {scores[position]}; must be finite or -inf")
    if scores.max() == -np.inf:
        raise DataError(f"all {scores.size} logits are -inf: no token is allowed")
    return scores


def _draw(
    scores: NDArray[np.float64], options: Sampling, points: NDArray[np.float64]
) -> NDArray[np.intp]:
    """A token for each row of `scores` [N, V], where the point [N] from 0 to 1 falls."""
    with np.errstate(over="ignore"):  # a tiny temperature may give -inf, which is right
        # 1 for the most likely token
        weights = np.exp((scores - scores.max(axis=1, keepdims=True)) / options.temperature)
    cumulative = _restrict(weights, scores, options).cumsum(axis=1)
    # The sum stays strictly above the drawn point, so a token of weight 0 is never found.
    return (cumulative <= points[:, np.newaxis] * cumulative[:, -1:]).sum(axis=1)


def _restrict(
    weights: NDArray[np.float64], scores: NDArray[np.float64], options: Sampling
) -> NDArray[np.float64]:
    """The weights with 0 for the tokens that `top_k` and `top_p` exclude."""
    if not options.top_k and options.top_p == 1:
        return weights
    # By score, as different scores may have equal weights; then top_k=1 is greedy to the last bit.
    vocabulary = scores.shape[1]
    order = largest(scores, min(options.top_k or vocabulary, vocabulary))
    rows = np.arange(len(scores))[:, np.newaxis]
    kept = weights[rows, order]
    if options.top_p < 1:
        cumulative = kept.cumsum(axis=1)
        kept[:, 1:][cumulative[:, :-1] >= options.top_p * cumulative[:, -1:]] = 0
    restricted = np.zeros_like(weights)
    restricted[rows, order] = kept
    return restricted
