"""What a search finds."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """A sequence of T tokens.

    Attributes:
        ids: int32 ``[T]``, without the end token.
        log_probability: natural logarithm of its probability, the end token included.
        score: what hypotheses are ranked by, see `loopwise.codec.search.options.Search`.
        log_probs: float32 ``[T + 1]``, of each token and of the end token; `log_probability` is
            their sum.
        attention: float32 ``[T, S]``, weights of the source's positions at each token; None from a
            model without.
        cut: whether it was made to end: at its greatest length, where another token was likelier
            than the end, or where no token was left that may come next.
    """

    ids: NDArray[np.int32]
    log_probability: float
    score: float
    log_probs: NDArray[np.float32]
    attention: NDArray[np.float32] | None
    cut: bool
