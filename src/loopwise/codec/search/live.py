"""The hypotheses that a search follows."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.search.prediction import Prediction
from loopwise.errors import ShapeError


class Live:
    """N hypotheses of t tokens each, ordered by lane; those of one lane compete.

    Attributes:
        lanes: ``[N]``.
        totals: float64 ``[N]``, their log probabilities.
        ids: int32 ``[N, t]``.
        log_probs: float32 ``[N, t]``, of each token.
        origins: int32 ``[N, t]``, the rows of the predictions that the tokens were taken from.
        prediction: of what comes next, a row for each.
        attention: of this and all earlier predictions; empty from a model without.
        coverage: ``[N, S]``, the sum of the tokens' attention.

    Args:
        first: what the first token may be; an empty hypothesis in a lane for each row.
    """

    def __init__(self, first: Prediction):
        rows = len(first.log_probs)
        self.lanes = np.arange(rows)
        self.totals = np.zeros(rows)
        self.ids = np.zeros((rows, 0), np.int32)
        self.log_probs = np.zeros((rows, 0), np.float32)
        self.origins = np.zeros((rows, 0), np.int32)
        self.attention: list[NDArray[Any]] = []
        self.coverage = np.zeros((rows, 0) if first.attention is None else first.attention.shape)
        self.see(first)

    @property
    def length(self) -> int:
        """Tokens of each, t."""
        return self.ids.shape[1]

    def extend(self, parents: NDArray[np.intp], tokens: NDArray[np.intp]) -> None:
        """Go on with some hypotheses and drop the others; then `see` what comes next.

        Args:
            parents: ``[N']``, which ones, ordered by lane; they may repeat.
            tokens: ``[N']``, with what they go on.
        """
        log_probs = self.prediction.log_probs[parents, tokens]
        if (attention := self.prediction.attention) is not None:
            self.coverage = (self.coverage[:, : attention.shape[1]] + attention)[parents]
        self.lanes = self.lanes[parents]
        self.totals = self.totals[parents] + log_probs
        self.ids = _append(self.ids, parents, tokens)
        self.log_probs = _append(self.log_probs, parents, log_probs)
        self.origins = _append(self.origins, parents, parents)

    def see(self, prediction: Prediction) -> None:
        """Take the prediction for the hypotheses as they are now; raises ShapeError if unfit."""
        rows = len(self.lanes)
        shape, attention = prediction.log_probs.shape, prediction.attention
        if len(shape) != 2 or shape[0] != rows or shape[1] < 1:
            raise ShapeError(f"log_probs: must be [{rows}, V], not {list(shape)}")
        if attention is not None:
            if attention.ndim != 2 or len(attention) != rows:
                raise ShapeError(f"attention: must be [{rows}, S], not {list(attention.shape)}")
            self.attention.append(attention)
        self.prediction = prediction


def _append(rows: NDArray[Any], parents: NDArray[np.intp], last: NDArray[Any]) -> NDArray[Any]:
    """Rows `parents` of `rows` [N, t] and one column more: [N', t + 1]."""
    longer = np.empty((len(parents), rows.shape[1] + 1), rows.dtype)
    longer[:, :-1] = rows[parents]
    longer[:, -1] = last
    return longer
