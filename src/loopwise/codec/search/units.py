"""Any sequence of units, rated by a language model of units if there is one."""

from collections.abc import Iterable, Sequence
from typing import Any

from loopwise.codec.search.grammar import Reading, State
from loopwise.codec.search.scorer import Scorer


class UnitState(State):
    """A sequence of units; `after` is the scorer's state."""

    __slots__ = ("after", "parent")

    def __init__(self, parent: "UnitState | None", unit: int, score: float, after: Any):
        super().__init__(unit, score)
        self.parent, self.after = parent, after


class UnitGrammar:
    """Every sequence of units; see `loopwise.codec.search.grammar.Grammar`.

    A sequence's score is ``weight`` times its log probability by the scorer, its end included, and
    ``bonus`` for each unit.

    Args:
        size: of the vocabulary, the blank among it.
        scorer: a language model of the units; None for none.
        weight: of the scorer.
        bonus: for each unit.
    """

    def __init__(
        self, size: int, scorer: Scorer | None = None, *, weight: float = 0.0, bonus: float = 0.0
    ):
        self.size = size
        self._scorer, self._weight, self._bonus = scorer, weight, bonus

    def start(self) -> UnitState:
        """The empty sequence."""
        return UnitState(None, -1, 0.0, None if self._scorer is None else self._scorer.start())

    def expand(self, pairs: Sequence[tuple[UnitState, int]]) -> None:
        """See `Grammar.expand`."""
        if self._scorer is None:
            for state, unit in pairs:
                state.moves[unit] = (UnitState(state, unit, state.score + self._bonus, None),)
            return
        afters, logs = self._scorer.advance([s.after for s, _ in pairs], [u for _, u in pairs])
        for (state, unit), after, log in zip(pairs, afters, logs, strict=True):
            score = state.score + self._weight * log + self._bonus
            state.moves[unit] = (UnitState(state, unit, score, after),)

    def read(self, states: Sequence[UnitState], *, final: bool) -> list[list[Reading]]:
        """See `Grammar.read`; each state is a text of its own."""
        ends = [0.0] * len(states)
        if final and self._scorer is not None:
            ends = [self._weight * log for log in self._scorer.end([s.after for s in states])]
        return [[Reading(s, s.score + end, None)] for s, end in zip(states, ends, strict=True)]

    def word(self, state: UnitState) -> int:
        """-1: there are no words."""
        return -1

    def forget(self, live: Iterable[UnitState]) -> None:
        """See `Grammar.forget`; what leads to a live state stays."""
        kept: set[UnitState] = set()
        for leaf in live:
            state: UnitState | None = leaf
            while state is not None and state not in kept:
                kept.add(state)
                state = state.parent
        for state in kept:
            state.moves = {u: after for u, after in state.moves.items() if after[0] in kept}
