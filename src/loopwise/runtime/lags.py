"""Which past points a target of a forecast is shown: those at its phase in the last cycles."""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from loopwise.runtime.description import ForecasterDescription

Index = NDArray[np.int64]


class Lags(NamedTuple):
    """Places in a window, for each of K origins and h targets; L + N of them a target."""

    places: Index
    """[K, h, L + N], within the window"""
    inside: NDArray[np.bool_]
    """[K, h, L + N], whether there is such a point; `places` is 0 where there is not"""
    targets: Index
    """[K, h], the targets' own places, which lie beyond the window for the last origin"""

    def of(self, chosen: Index | None) -> "Lags":
        """Of some of the targets; None for all."""
        if chosen is None:
            return self
        return Lags(self.places[:, chosen], self.inside[:, chosen], self.targets[:, chosen])


@lru_cache(maxsize=64)
def lags_of(description: ForecasterDescription, length: int, origins: int) -> Lags:
    """The places that the decoder of `description` sees in windows of `length` points.

    Of each season of m points, the n-th cycle back: of the points at the target's phase the n-th
    last that is not after the origin. And of the last cycle those up to `neighbours` phases before
    and after it, or a cycle earlier where such a point is after the origin.
    """
    d = description
    ends, targets = _origins(d, length, origins)
    places = [
        _back(targets, ends, season) - season * n
        for season, cycles in zip(d.seasons, d.cycles, strict=True)
        for n in range(cycles)
    ]
    for season in d.seasons:
        for shift in range(1, d.neighbours + 1):
            for near in (targets - shift, targets + shift):
                places.append(_back(near, ends, season))
    stacked = np.stack(places, -1)
    inside = stacked >= 0
    index = np.where(inside, stacked, 0)
    return Lags(index, inside, targets)


def candidates_of(description: ForecasterDescription) -> list[str]:
    """What the values are that a target's base is a mixture of, in their order.

    Of each season, the last values at the target's phase, ``"1 × 24 back"`` and so on; and the
    linear map of the window and of the mean so far.
    """
    d = description
    names = [
        f"{n + 1} × {season} back" if season > 1 else f"{n + 1} back"
        for season, cycles in zip(d.seasons, d.cycles, strict=True)
        for n in range(cycles)
    ]
    return [*names, "linear map"] if d.linear else names


@lru_cache(maxsize=64)
def seasonal_index(
    description: ForecasterDescription, length: int, origins: int
) -> tuple[Index, Index]:
    """The phase within the shortest season of each point [W] and of each target [K, h]."""
    d = description
    _, targets = _origins(d, length, origins)
    return np.arange(length) % d.season, targets % d.season


def _origins(d: ForecasterDescription, length: int, origins: int) -> tuple[Index, Index]:
    """The places of the origins [K] and of their targets [K, h]."""
    ends = length - 1 - d.patch * np.arange(origins - 1, -1, -1)
    return ends, ends[:, None] + np.arange(1, d.horizon + 1)


def _back(targets: NDArray[Any], ends: NDArray[Any], season: int) -> NDArray[Any]:
    """The last points at the phase of `targets` [K, h] that are not after `ends` [K]."""
    ahead = np.maximum(targets - ends[:, None], 0)
    return targets - season * -(-ahead // season)
