"""Any sequence of units, rated by a language model of units if there is one."""

from collections.abc import Iterable, Sequence

from loopwise.codec.search.grammar import Reading, State
from loopwise.codec.search.scorer import Scored, Scorer


class UnitState(State):
    """A sequence of units; `after` is what the scorer says of what follows, None if not asked."""

    __slots__ = ("after", "parent")

    def __init__(self, parent: "UnitState | None", unit: int, score: float):
        super().__init__(unit, score)
        self.parent = parent
        self.after: Scored | None = None


class UnitGrammar:
    """Every sequence of units; see `loopwise.codec.search.grammar.Grammar`.

    A sequence's score is the scorer's sum over its units and its end.

    Args:
        size: of the vocabulary, the blank among it.
        scorer: of the units; None for none.
    """

    def __init__(self, size: int, scorer: Scorer | None = None):
        self.size = size
        self._scorer = scorer

    def start(self) -> UnitState:
        """The empty sequence."""
        state = UnitState(None, -1, 0.0)
        if self._scorer is not None:
            state.after = self._scorer.start()
        return state

    def expand(self, pairs: Sequence[tuple[UnitState, int]]) -> None:
        """See `Grammar.expand`."""
        self._ask([state for state, _ in pairs])
        for state, unit in pairs:
            more = 0.0 if state.after is None else float(state.after.scores[unit])
            state.moves[unit] = (UnitState(state, unit, state.score + more),)

    def _ask(self, states: Sequence[UnitState]) -> None:
        """See that the scorer has said what follows the states; few are ever asked for."""
        if self._scorer is None:
            return
        missing = [state for state in dict.fromkeys(states) if state.after is None]
        before = [s.parent.after.state for s in missing if s.parent and s.parent.after]
        if missing:
            found = self._scorer.advance(before, [state.unit for state in missing])
            for state, after in zip(missing, found, strict=True):
                state.after = after

    def read(self, states: Sequence[UnitState], *, final: bool) -> list[list[Reading]]:
        """See `Grammar.read`; each state is a text of its own."""
        if final:
            self._ask(states)
        return [[Reading(state, _score(state, final=final), None)] for state in states]

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


def _score(state: UnitState, *, final: bool) -> float:
    if not final or state.after is None:
        return state.score
    return state.score + float(state.after.scores[-1])
