"""Sequences of words that a lexicon can pronounce, rated by a language model of words.

A word is rated when the next one begins, or the text ends: until then words that sound alike are
one state, and so are the pronunciations of a word from there on. Nothing is thus followed twice,
and a search adds up all ways in which a text may be pronounced. Within a word, the state's score
looks ahead to the best word that may come of it, so that a beam is not full of unlikely ones.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.search.grammar import Reading, State
from loopwise.codec.search.scorer import Scored, Scorer
from loopwise.codec.search.trie import Trie, TrieNode
from loopwise.errors import ConfigError, DataError


class History:
    """The words that were spoken.

    Attributes:
        parent: the history without its last word.
        word: number of the last word, -1 at the start.
        depth: how many words.
        score: what the language adds for them.
        after: what the scorer says of what follows.
        ahead: the best score of the words that may come of each node, by its index.
        longer: the histories with one word more, by its number.
        states: the states with this history, by where they are in the next word.
    """

    __slots__ = ("after", "ahead", "depth", "longer", "parent", "score", "states", "word")

    def __init__(
        self,
        parent: "History | None",
        word: int,
        score: float,
        after: Scored,
        ahead: NDArray[Any],
    ):
        self.parent, self.word, self.score = parent, word, score
        self.after, self.ahead = after, ahead
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.longer: dict[int, History] = {}
        self.states: dict[TrieNode, LexiconState] = {}

    def state(self, node: TrieNode) -> "LexiconState":
        """The state at this node."""
        found = self.states.get(node)
        if found is None:
            found = self.states[node] = LexiconState(self, node)
        return found


class LexiconState(State):
    """Words, and where in the pronunciation of the next one."""

    __slots__ = ("history", "node")

    def __init__(self, history: History, node: TrieNode):
        super().__init__(node.unit, history.score + float(history.ahead[node.index]))
        self.history, self.node = history, node


class LexiconGrammar:
    """Every sequence of the lexicon's words; see `loopwise.codec.search.grammar.Grammar`.

    A text's score is the scorer's sum over its words and its end.

    Args:
        pronunciations: of each word, one or several, as ids of units.
        size: of the vocabulary, the blank among it.
        scorer: of the words, by their numbers in the mapping; None for none.
        separator: the unit that stands between words, such as the space among characters; None
            where words follow each other directly.

    Raises:
        DataError: see `loopwise.codec.search.trie.Trie`; and if a word has the separator in it.
        ConfigError: if the separator is not in ``[1, size)``.
    """

    def __init__(
        self,
        pronunciations: Mapping[str, Sequence[Sequence[int]]],
        size: int,
        scorer: Scorer | None = None,
        *,
        separator: int | None = None,
    ):
        self.size = size
        self.words = tuple(pronunciations)
        self._trie = Trie(pronunciations, size)
        self._root = self._between = self._trie.root
        self._separator = separator
        if separator is not None:
            _require_separator(pronunciations, separator, size)
            self._between = TrieNode(separator)
            self._between.children = self._root.children
        self._scorer: Scorer = _Indifferent(len(self.words)) if scorer is None else scorer

    def start(self) -> LexiconState:
        """No words."""
        return self._history(None, -1, 0.0, self._scorer.start()).state(self._root)

    def _history(self, parent: History | None, word: int, score: float, after: Scored) -> History:
        return History(parent, word, score, after, self._trie.best(after.scores[:-1]))

    def expand(self, pairs: Sequence[tuple[LexiconState, int]]) -> None:
        """See `Grammar.expand`."""
        self._lengthen([state for state, unit in pairs if self._beginning(unit)])
        for state, unit in pairs:
            history, node = state.history, state.node
            child, beginning = node.children.get(unit), self._beginning(unit)
            moves = [] if child is None else [history.state(child)]
            if beginning is not None:
                moves += [history.longer[word].state(beginning) for word in node.words]
            state.moves[unit] = tuple(moves)

    def _beginning(self, unit: int) -> TrieNode | None:
        """Where the unit leads to if it is the first one behind a word."""
        if self._separator is None:
            return self._root.children.get(unit)
        return self._between if unit == self._separator else None

    def _lengthen(self, states: Sequence[LexiconState]) -> None:
        """See that there are histories with the words that end in the states."""
        missing = list(
            {
                (state.history, word): None
                for state in states
                for word in state.node.words
                if word not in state.history.longer
            }
        )
        if not missing:
            return
        found = self._scorer.advance(
            [history.after.state for history, _ in missing], [word for _, word in missing]
        )
        for (history, word), after in zip(missing, found, strict=True):
            score = history.score + float(history.after.scores[word])
            history.longer[word] = self._history(history, word, score, after)

    def read(self, states: Sequence[LexiconState], *, final: bool) -> list[list[Reading]]:
        """See `Grammar.read`; before the text's end, a word that is not whole is left out."""
        self._lengthen(states)
        return [self._readings(state, final=final) for state in states]

    def _readings(self, state: LexiconState, *, final: bool) -> list[Reading]:
        history, node = state.history, state.node
        if node.words:
            whole = [history.longer[word] for word in node.words]
        elif not final:
            return [Reading(history, state.score, self._spelled(history))]
        else:
            whole = [history] if node in (self._root, self._between) else []
        return [
            Reading(h, h.score + (float(h.after.scores[-1]) if final else 0.0), self._spelled(h))
            for h in whole
        ]

    def _spelled(self, history: History) -> tuple[str, ...]:
        words: list[str] = []
        while history.parent is not None:
            words.append(self.words[history.word])
            history = history.parent
        return tuple(reversed(words))

    def word(self, state: LexiconState) -> int:
        """See `Grammar.word`; the separator belongs to none."""
        return -1 if state.node is self._between else state.history.depth

    def forget(self, live: Iterable[LexiconState]) -> None:
        """See `Grammar.forget`; what leads to a live state stays."""
        states: dict[History, dict[TrieNode, LexiconState]] = {}
        for state in live:
            state.moves = {}
            history: History | None = state.history
            states.setdefault(state.history, {})[state.node] = state
            while (history := history.parent) is not None and history not in states:
                states[history] = {}
        for history, kept in states.items():
            history.states = kept
            history.longer = {w: longer for w, longer in history.longer.items() if longer in states}


def _require_separator(
    pronunciations: Mapping[str, Sequence[Sequence[int]]], separator: int, size: int
) -> None:
    if not 0 < separator < size:
        raise ConfigError(f"separator={separator}: must be a unit, from 1 to {size - 1}")
    for word, variants in pronunciations.items():
        if any(separator in units for units in variants):
            raise DataError(f"lexicon: {word!r} has the separator, unit {separator}, in it")


class _Indifferent:
    """Adds nothing."""

    def __init__(self, words: int):
        self._scored = Scored(None, np.zeros(words + 1))

    def start(self) -> Scored:
        return self._scored

    def advance(self, states: Sequence[Any], units: Sequence[int]) -> list[Scored]:
        return [self._scored] * len(units)
