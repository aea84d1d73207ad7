"""Choosing the next token from logits."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.sampling import Sampling
from loopwise.errors import DataError, ShapeError

__all__ = ["Sampling", "sample"]


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
    scores = _checked(logits)
    if options.temperature == 0:
        return int(scores.argmax())
    weights = _restrict(_weights(scores, options.temperature), scores, options)
    # The sum stays strictly above the drawn point, so a token of weight 0 is never found.
    cumulative = weights.cumsum()
    return int(cumulative.searchsorted(rng.random() * cumulative[-1], side="right"))


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


def _weights(scores: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """What is proportional to the probabilities, 1 for the most likely token."""
    with np.errstate(over="ignore"):  # a tiny temperature may give -inf, which is right
        return np.exp((scores - scores.max()) / temperature)


def _restrict(
    weights: NDArray[np.float64], scores: NDArray[np.float64], options: Sampling
) -> NDArray[np.float64]:
    """The weights with 0 for the tokens that `top_k` and `top_p` exclude."""
    if not options.top_k and options.top_p == 1:
        return weights
    # By score, as different scores may have equal weights; then top_k=1 is greedy to the last bit.
    order = np.argsort(-scores, kind="stable")
    if options.top_k:
        order = order[: options.top_k]
    if options.top_p < 1:
        cumulative = weights[order].cumsum()
        order = order[: cumulative.searchsorted(options.top_p * cumulative[-1]) + 1]
    kept = np.zeros_like(weights)
    kept[order] = weights[order]
    return kept
