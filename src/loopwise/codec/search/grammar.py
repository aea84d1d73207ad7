"""What may be said: the texts among which a search for speech looks, and what they are worth.

A search follows *states*, texts as far as they were spoken. From each a unit leads to others, none
if no text goes on with it, several if words that sound alike end there. `units.UnitGrammar` has any
sequence of units, `lexicon.LexiconGrammar` has words.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


class State:
    """A text as far as it was spoken. Equal texts are one state, so that it can be a key.

    Attributes:
        unit: the last one spoken, -1 at the start.
        score: what the language adds to the log probability of the audio.
        moves: the states to which units lead, as far as the search has asked for them.
    """

    __slots__ = ("moves", "score", "unit")

    def __init__(self, unit: int, score: float):
        self.unit, self.score = unit, score
        self.moves: dict[int, tuple[Any, ...]] = {}


@dataclass(frozen=True)
class Reading:
    """A text that a state stands for.

    Attributes:
        text: a key: equal ones of several states are one text, said in several ways.
        score: what the language adds to the log probability of the audio.
        words: the text's; None where units are all there is.
    """

    text: Any
    score: float
    words: tuple[str, ...] | None


class Grammar(Protocol):
    """The texts; see the module.

    Attributes:
        size: of the vocabulary, the blank among it: units are from 1 to ``size - 1``.
    """

    size: int

    def start(self) -> Any:
        """The state before a text; a new root, which shares nothing with others."""
        ...

    def expand(self, pairs: Sequence[tuple[Any, int]]) -> None:
        """Fill ``state.moves[unit]`` of each (state, unit)."""
        ...

    def read(self, states: Sequence[Any], *, final: bool) -> list[list[Reading]]:
        """What each state stands for: several texts where words sound alike.

        Args:
            states: any.
            final: whether the text ends there: scores then have the end's share, and a state where
                no text may end stands for none.
        """
        ...

    def word(self, state: Any) -> int:
        """The number of the word, from 0, to which the state's unit belongs; -1 for none."""
        ...

    def forget(self, live: Iterable[Any]) -> None:
        """Let go of what only states lead to that are not `live`."""
        ...
