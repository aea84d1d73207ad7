"""What a beam search looks at, and what it keeps."""

import heapq
import math
from collections.abc import Iterable
from typing import Protocol, TypeVar

from loopwise.codec.search.frames import BLANK
from loopwise.codec.search.pruning import Pruning


def likely_units(logs: list[float], pruning: Pruning) -> list[int]:
    """The units that may begin in a frame, given the log probabilities of its symbols."""
    least = max(pruning.min_log_prob, -1e300)  # -inf excludes a unit
    units = [unit for unit, log in enumerate(logs) if log >= least and unit != BLANK]
    if len(units) > pruning.max_units:
        units = heapq.nlargest(pruning.max_units, units, key=logs.__getitem__)
    return units


class Rated(Protocol):
    """What has a score."""

    @property
    def score(self) -> float:
        """What it is ranked by."""
        ...


Anything = TypeVar("Anything", bound=Rated)


def kept(
    found: Iterable[Anything], pruning: Pruning, *, least: float = -math.inf
) -> list[Anything]:
    """The best, of equal ones the first, that are not far behind; none whose score is -inf."""
    ranked = sorted(((each.score, each) for each in found), key=lambda pair: pair[0], reverse=True)
    if not ranked or ranked[0][0] == -math.inf:
        return []
    least = max(least, ranked[0][0] - pruning.max_distance, -1e300)
    return [each for score, each in ranked[: pruning.beam_size] if score >= least]
