"""What a search needs from a language model, and several of them as one."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class Scored(NamedTuple):
    """A text, and how likely what follows is.

    Attributes:
        state: the scorer's own, never altered.
        scores: ``[U + 1]``, natural logarithms of the probabilities of the U units, and last of
            the text's end. Not to be written into.
    """

    state: Any
    scores: NDArray[Any]


class Scorer(Protocol):
    """Says how likely units are after those before them, of many texts at a time.

    Units are what the search counts in: ids of the recogniser's units, of which 0, the blank, is
    never asked for, or numbers of the words in its lexicon.
    """

    def start(self) -> Scored:
        """Before the first unit of a text."""
        ...

    def advance(self, states: Sequence[Any], units: Sequence[int]) -> list[Scored]:
        """After one unit more; of N states, which may repeat, with a unit for each."""
        ...


class Blend:
    """The weighted sum of some scorers, and a bonus for each unit.

    Args:
        scorers: at least one, with weights.
        bonus: for each unit, not for the text's end.
    """

    def __init__(self, scorers: Sequence[tuple[Scorer, float]], *, bonus: float = 0.0):
        self._scorers = [scorer for scorer, _ in scorers]
        self._weights = [weight for _, weight in scorers]
        self._bonus = bonus

    def start(self) -> Scored:
        """See `Scorer.start`."""
        return self._sum([scorer.start() for scorer in self._scorers])

    def advance(self, states: Sequence[Any], units: Sequence[int]) -> list[Scored]:
        """See `Scorer.advance`."""
        several = [
            scorer.advance([state[i] for state in states], units)
            for i, scorer in enumerate(self._scorers)
        ]
        return [self._sum(each) for each in zip(*several, strict=True)]

    def _sum(self, scored: Sequence[Scored]) -> Scored:
        total = np.multiply(scored[0].scores, self._weights[0], dtype=np.float64)
        for each, weight in zip(scored[1:], self._weights[1:], strict=True):
            total += weight * each.scores
        total[:-1] += self._bonus
        return Scored(tuple(each.state for each in scored), total)
