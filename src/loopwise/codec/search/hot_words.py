"""Phrases that a user expects to hear."""

import math
from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.search.scorer import Scored
from loopwise.errors import DataError


class HotWords:
    """Adds a bonus for each time that one of some phrases is said.

    A scorer, though what it adds is no probability (see `loopwise.codec.search.scorer.Scorer`). The
    bonus is granted in advance, with each unit of a phrase its share, so that a beam does not lose
    it on the way, and taken back where the phrase is not completed. The phrases are found by the
    automaton of Aho and Corasick (1975).

    Args:
        phrases: as units, each with its bonus.
        size: how many units there are.

    Raises:
        DataError: if a phrase is empty or has a unit that is not in ``[0, size)``, or if a bonus is
            not finite.
    """

    def __init__(self, phrases: Mapping[tuple[int, ...], float], size: int):
        self.size = size
        self._root = _Node(0.0)
        for units, bonus in phrases.items():
            self._add(units, bonus)
        self._link()

    def start(self) -> Scored:
        """See `Scorer.start`."""
        return self._scored(self._root)

    def advance(self, states: "Sequence[_Node]", units: Sequence[int]) -> list[Scored]:
        """See `Scorer.advance`."""
        return [
            self._scored(self._after(node, unit)) for node, unit in zip(states, units, strict=True)
        ]

    def _add(self, units: tuple[int, ...], bonus: float) -> None:
        if not units or not all(0 <= unit < self.size for unit in units):
            raise DataError(
                f"hot words: a phrase is {list(units)}; must be units of 0 to {self.size - 1}"
            )
        if not math.isfinite(bonus):
            raise DataError(f"hot words: the bonus of {list(units)} is {bonus}; must be finite")
        node = self._root
        for count, unit in enumerate(units, 1):
            node = node.children.setdefault(unit, _Node(0.0))
            if count < len(units):
                node.ahead = max(node.ahead, bonus * count / len(units))
        node.bonus += bonus

    def _link(self) -> None:
        """Find for each node the longest other phrase's beginning that its units end with."""
        queue = deque([self._root])
        while queue:
            node = queue.popleft()
            for unit, child in node.children.items():
                child.shorter = (
                    self._root if node is self._root else self._after(node.shorter, unit)
                )
                child.bonus += child.shorter.bonus
                child.ahead = max(child.ahead, child.shorter.ahead)
                queue.append(child)

    def _after(self, node: "_Node | None", unit: int) -> "_Node":
        while node is not None:
            if unit in node.children:
                return node.children[unit]
            node = node.shorter
        return self._root

    def _scored(self, node: "_Node") -> Scored:
        if node.scores is None:
            node.scores = np.full(self.size + 1, -node.ahead)
            shorter: _Node | None = node
            units: set[int] = set()
            while shorter is not None:
                units |= shorter.children.keys()
                shorter = shorter.shorter
            for unit in units:
                after = self._after(node, unit)
                node.scores[unit] += after.ahead + after.bonus
        return Scored(node, node.scores)


class _Node:
    """A beginning of a phrase.

    Attributes:
        bonus: of all phrases that end with it.
        ahead: what has been granted for phrases that may follow.
        shorter: the longest beginning of a phrase that this one ends with; None of the root.
        scores: see `Scored`; None until they are asked for.
    """

    __slots__ = ("ahead", "bonus", "children", "scores", "shorter")

    def __init__(self, bonus: float):
        self.bonus = bonus
        self.ahead = 0.0
        self.children: dict[int, _Node] = {}
        self.shorter: _Node | None = None
        self.scores: NDArray[np.float64] | None = None
