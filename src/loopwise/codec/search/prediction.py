"""What a search needs from a model, and several models as one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from loopwise.errors import ConfigError, ShapeError


@dataclass(frozen=True, eq=False)
class Prediction:
    """What may come next in each of N rows.

    Attributes:
        log_probs: float32 ``[N, V]``, at most 0; -inf excludes a token. The search writes into it.
        attention: float32 ``[N, S]``, weights of the source's positions, 0 where it has none; None
            from a model without. S may fall as sentences with a long source leave.
    """

    log_probs: NDArray[Any]
    attention: NDArray[Any] | None = None

    def repeat(self, times: int) -> "Prediction":
        """Each row so many times."""
        if times == 1:
            return self
        attention = None if self.attention is None else self.attention.repeat(times, axis=0)
        return Prediction(self.log_probs.repeat(times, axis=0), attention)


class Predictor(Protocol):
    """A model of sequences that is asked for one token after another, for many at a time."""

    def start(self) -> Prediction:
        """What the first token of each of B sentences may be: B rows."""
        ...

    def step(self, parents: NDArray[np.int32], tokens: NDArray[np.int32]) -> Prediction:
        """Row i of N, at least one, goes on with ``tokens[i]`` from row ``parents[i]``.

        Args:
            parents: ``[N]``, rows of the call before, which are then gone. They may repeat, and
                rows that they do not name will not be asked for again.
            tokens: ``[N]``, ids.
        """
        ...


class Ensemble:
    """Models of the same vocabulary as one: probabilities and attention are averaged.

    Args:
        predictors: at least one. Attention is that of those that have it.

    Raises:
        ConfigError: if there is none.
    """

    def __init__(self, predictors: Sequence[Predictor]):
        if not predictors:
            raise ConfigError("an ensemble needs at least one model, none was given")
        self._predictors = list(predictors)

    def start(self) -> Prediction:
        """See `Predictor.start`; raises ShapeError if vocabularies differ."""
        return _mean([predictor.start() for predictor in self._predictors])

    def step(self, parents: NDArray[np.int32], tokens: NDArray[np.int32]) -> Prediction:
        """See `Predictor.step`."""
        return _mean([predictor.step(parents, tokens) for predictor in self._predictors])


def _mean(predictions: Sequence[Prediction]) -> Prediction:
    if len(predictions) == 1:
        return predictions[0]
    shapes = [prediction.log_probs.shape for prediction in predictions]
    if len(set(shapes)) > 1:
        raise ShapeError(
            "models of an ensemble must have the same vocabulary; their predictions are "
            + ", ".join(str(list(shape)) for shape in shapes)
        )
    attentions = [p.attention for p in predictions if p.attention is not None]
    return Prediction(
        _log_mean_exp([prediction.log_probs for prediction in predictions]),
        sum(attentions[1:], attentions[0]) / len(attentions) if attentions else None,
    )


def _log_mean_exp(log_probs: Sequence[NDArray[Any]]) -> NDArray[Any]:
    peak = np.maximum.reduce(log_probs)
    peak[peak == -np.inf] = 0  # else -inf minus itself
    total = np.zeros_like(peak)
    for each in log_probs:
        total += np.exp(each - peak)
    with np.errstate(divide="ignore"):
        return np.log(total / len(log_probs), out=total) + peak
