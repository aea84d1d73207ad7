"""Time-synchronous beam search (Saon et al., 2020): the likeliest texts, each over all of its ways.

All texts of the beam are at the same frame. In it each may say blank, or units and then blank; ways
that lead to the same text are added up.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from numpy.typing import ArrayLike, NDArray

from loopwise.codec.search.frames import BLANK, checked_frames, checked_log_probs
from loopwise.codec.search.grammar import Grammar, State
from loopwise.codec.search.likely import kept, likely_units
from loopwise.codec.search.ranked import Followed, Link, log_add, ranked
from loopwise.codec.search.spoken import Spoken
from loopwise.codec.search.transducer.options import TransducerOptions
from loopwise.codec.search.transducer.predictor import TransducerPredictor
from loopwise.errors import ConfigError, DataError

SWEEP = 64
"""Frames after which what is no longer followed is let go of."""


class TransducerSearch:
    """Seeks the texts of a grammar in an utterance.

    Where a grammar's text may be said in several ways, as by a lexicon, the predictor hears that of
    the way that came first.

    Args:
        predictor: the transducer.
        grammar: which texts there are, and what they are worth.
        options: how far to look; None for the defaults.

    Attributes:
        frames: how many were taken.

    Raises:
        ConfigError: if grammar and predictor have vocabularies of different sizes.
    """

    def __init__(
        self,
        predictor: TransducerPredictor,
        grammar: Grammar,
        options: TransducerOptions | None = None,
    ):
        if predictor.size != grammar.size:
            raise ConfigError(
                f"the transducer has {predictor.size} symbols and the grammar {grammar.size}"
            )
        self.predictor, self.grammar = predictor, grammar
        self.options = TransducerOptions() if options is None else options
        self.reset()

    def reset(self) -> None:
        """Begin a new utterance."""
        self.frames = 0
        start = _Way(self.grammar.start(), None)
        start.memory = self.predictor.start()
        start.total = start.best = 0.0
        self._live = [start]

    def push(self, encoded: ArrayLike) -> None:
        """Take frames; cuts between calls make no difference.

        Args:
            encoded: ``[n, E]``, the encoder's.

        Raises:
            ShapeError: if they are not ``[n, E]``, or the predictor's answer is not ``[N, V]``.
            DataError: if a log probability is NaN or +inf, or if a frame excludes every text.
        """
        for frame in checked_frames(encoded):
            self._live = self._following(frame)
            self.frames += 1
            if self.frames % SWEEP == 0:
                self.grammar.forget([way.state for way in self._live])

    def best(self) -> Spoken:
        """The likeliest text so far."""
        return self.n_best(1)[0]

    def n_best(self, count: int) -> list[Spoken]:
        """The likeliest texts so far, the best first, at most `count`."""
        return self._ranked(count, final=False)

    def finish(self, count: int = 1) -> list[Spoken]:
        """The likeliest texts of the utterance that ends here, at most `count`; then `reset`."""
        found = self._ranked(count, final=True)
        self.reset()
        return found

    def _ranked(self, count: int, *, final: bool) -> list[Spoken]:
        followed = [Followed(way.state, way.total, way.link) for way in self._live]
        return ranked(self.grammar, followed, count, final=final)

    def _following(self, frame: NDArray[Any]) -> "list[_Way]":
        """What is followed after one frame more."""
        options, through = self.options, _Ways()
        saying = self._live
        for _ in range(1 if options.one_a_frame else options.max_symbols):
            rows = self._joined(frame, saying)
            through.rest(saying, rows)
            longer = self._longer(saying, rows)
            if options.one_a_frame:
                through.merge(longer)
                saying = []
            else:  # what is far behind those that left the frame will not come back
                saying = kept(longer, options, least=through.peak() - options.max_distance)
            if not saying:
                break
        if saying:
            through.rest(saying, self._joined(frame, saying))
        following = kept(through.all(), options)
        if not following:
            raise DataError(f"frame {self.frames}: its log probabilities exclude every text")
        return following

    def _joined(self, frame: NDArray[Any], ways: "Sequence[_Way]") -> list[list[float]]:
        """The log probabilities in a frame after each text."""
        new = [way for way in ways if way.before is not None and way.memory is None]
        if new:
            memories = self.predictor.advance(
                [way.before for way in new], [way.state.unit for way in new]
            )
            for way, memory in zip(new, memories, strict=True):
                way.memory = memory
        answer = self.predictor.join(frame, [way.memory for way in ways])
        size = self.predictor.size
        return checked_log_probs(answer, size, self.frames, rows=len(ways)).tolist()

    def _longer(self, ways: "Sequence[_Way]", rows: Sequence[list[float]]) -> "list[_Way]":
        """The texts with a unit more."""
        units = [likely_units(row, self.options) for row in rows]
        missing = [
            (way.state, unit)
            for way, several in zip(ways, units, strict=True)
            for unit in several
            if unit not in way.state.moves
        ]
        if missing:
            self.grammar.expand(missing)
        found = _Ways()
        for way, several, row in zip(ways, units, rows, strict=True):
            for unit in several:
                log = row[unit]
                for state in way.state.moves[unit]:
                    link = Link(way.link, state, self.frames, self.frames + 1, log)
                    found.add(state, way.total + log, way.best + log, link, before=way.memory)
        return found.all()


class _Way:
    """A text, and the ways to say it that were followed.

    Attributes:
        state: the text.
        total: the log probability of all ways.
        best: of the best one.
        link: the last unit of that.
        memory: the predictor's state; None until it is needed.
        before: the predictor's state before the last unit.
    """

    __slots__ = ("before", "best", "link", "memory", "state", "total")

    def __init__(self, state: State, before: Any):
        self.state, self.before = state, before
        self.total = self.best = -math.inf
        self.link: Link | None = None
        self.memory: Any = None

    @property
    def score(self) -> float:
        """What texts are ranked by."""
        return self.total + self.state.score


class _Ways:
    """Texts, with the ways to each added up."""

    def __init__(self):
        self._found: dict[State, _Way] = {}

    def all(self) -> list[_Way]:
        return list(self._found.values())

    def peak(self) -> float:
        return max(way.score for way in self._found.values())

    def add(
        self,
        state: State,
        total: float,
        best: float,
        link: Link | None,
        *,
        before: Any = None,
        memory: Any = None,
    ) -> None:
        way = self._found.get(state)
        if way is None:
            way = self._found[state] = _Way(state, before)
        way.total = log_add(way.total, total)
        if best > way.best:
            way.best, way.link = best, link
        if way.memory is None:
            way.memory = memory

    def rest(self, ways: Sequence[_Way], rows: Sequence[list[float]]) -> None:
        """Add texts with a blank after them."""
        for way, row in zip(ways, rows, strict=True):
            log = row[BLANK]
            total, best = way.total + log, way.best + log
            self.add(way.state, total, best, way.link, before=way.before, memory=way.memory)

    def merge(self, ways: Iterable[_Way]) -> None:
        """Add texts as they are."""
        for way in ways:
            self.add(way.state, way.total, way.best, way.link, before=way.before, memory=way.memory)
