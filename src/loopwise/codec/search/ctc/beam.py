"""Prefix beam search (Hannun et al., 2014): the likeliest texts, each over all of its paths."""

import math
from typing import Any

from numpy.typing import ArrayLike, NDArray

from loopwise.codec.search.ctc.options import CtcOptions
from loopwise.codec.search.ctc.paths import Paths
from loopwise.codec.search.frames import BLANK, checked_log_probs
from loopwise.codec.search.grammar import Grammar, State
from loopwise.codec.search.likely import kept, likely_units
from loopwise.codec.search.ranked import Followed, Link, log_add, ranked
from loopwise.codec.search.spoken import Spoken
from loopwise.errors import DataError

SWEEP = 64
"""Frames after which what is no longer followed is let go of."""


class CtcSearch:
    """Seeks the texts of a grammar in an utterance.

    Args:
        grammar: which texts there are, and what they are worth.
        options: how far to look; None for the defaults.

    Attributes:
        frames: how many were taken.
    """

    def __init__(self, grammar: Grammar, options: CtcOptions | None = None):
        self.grammar = grammar
        self.options = CtcOptions() if options is None else options
        self._sure_blank = math.log(self.options.sure_blank)
        self.reset()

    def reset(self) -> None:
        """Begin a new utterance."""
        self.frames = 0
        self._live: dict[State, Paths] = {}
        start = self.grammar.start()
        self._live[start] = Paths.empty(start)

    def push(self, log_probs: ArrayLike) -> None:
        """Take frames; cuts between calls make no difference.

        Args:
            log_probs: ``[n, V]``, natural logarithms, of each symbol; the blank is symbol 0.

        Raises:
            ShapeError: if they are not ``[n, grammar.size]``.
            DataError: if one is NaN or +inf, or if a frame excludes every text.
        """
        for row in checked_log_probs(log_probs, self.grammar.size, self.frames):
            self._live = self._following(row)
            self.frames += 1
            if self.frames % SWEEP == 0:
                self.grammar.forget(self._live)

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
        followed = [Followed(state, paths.total, paths.link) for state, paths in self._live.items()]
        return ranked(self.grammar, followed, count, final=final)

    def _following(self, row: NDArray[Any]) -> dict[State, Paths]:
        """What is followed after one frame more."""
        logs: list[float] = row.tolist()
        if logs[BLANK] >= self._sure_blank:
            return self._rested(logs[BLANK])
        units = likely_units(logs, self.options)
        missing = [(s, unit) for s in self._live for unit in units if unit not in s.moves]
        if missing:
            self.grammar.expand(missing)
        following = self._extended(logs, units)
        for paths in following.values():
            paths.total = log_add(paths.blank, paths.unit)
        live = kept(following.values(), self.options)
        if not live:
            raise DataError(f"frame {self.frames}: its log probabilities exclude every text")
        return {paths.state: paths for paths in live}

    def _rested(self, blank: float) -> dict[State, Paths]:
        """All with a blank, and with nothing else."""
        following: dict[State, Paths] = {}
        for state, paths in self._live.items():
            following[state] = rested = Paths(state)
            rested.rest(paths, blank)
            rested.total = rested.blank
        return following

    def _extended(self, logs: list[float], units: list[int]) -> dict[State, Paths]:
        """The texts of the beam, and all that go on from them with a unit in this frame."""
        frame, blank = self.frames, logs[BLANK]
        following: dict[State, Paths] = {}
        for state, paths in self._live.items():
            last = state.unit
            mine = following.get(state)
            if mine is None:
                mine = following[state] = Paths(state)
            mine.rest(paths, blank)
            if paths.unit > -math.inf:
                mine.hold(paths, logs[last], frame)
            best, link = paths.best_unit, paths.unit_link
            if paths.best_blank >= best:
                best, link = paths.best_blank, paths.blank_link
            for unit in units:
                log = logs[unit]
                if unit == last:  # only behind a blank is it another one
                    mass, top, before = paths.blank, paths.best_blank, paths.blank_link
                    if mass == -math.inf:
                        continue
                else:
                    mass, top, before = paths.total, best, link
                for longer in state.moves[unit]:
                    theirs = following.get(longer)
                    if theirs is None:
                        theirs = following[longer] = Paths(longer)
                    theirs.unit = log_add(theirs.unit, mass + log)
                    if top + log > theirs.best_unit:
                        theirs.best_unit = top + log
                        theirs.unit_link = Link(before, longer, frame, frame + 1, log)
        return following
