"""The paths through a text, added up."""

import math

from loopwise.codec.search.grammar import State
from loopwise.codec.search.ranked import Link, log_add


class Paths:
    """The paths of a text up to a frame: those that end in a blank, and those in its last unit.

    Attributes:
        state: the text.
        blank, unit: the log probability of all of either kind.
        total: of both.
        best_blank, best_unit: the log probability of the best of either kind.
        blank_link, unit_link: the last unit of that path.
    """

    __slots__ = (
        "best_blank", "best_unit", "blank", "blank_link", "state", "total", "unit", "unit_link",
    )  # fmt: skip

    def __init__(self, state: State):
        self.state = state
        self.blank = self.unit = self.total = -math.inf
        self.best_blank = self.best_unit = -math.inf
        self.blank_link: Link | None = None
        self.unit_link: Link | None = None

    @classmethod
    def empty(cls, state: State) -> "Paths":
        """Before the first frame."""
        paths = cls(state)
        paths.blank = paths.total = paths.best_blank = 0.0
        return paths

    @property
    def score(self) -> float:
        """What texts are ranked by."""
        return self.total + self.state.score

    @property
    def link(self) -> Link | None:
        """The last unit of the best path."""
        return self.blank_link if self.best_blank >= self.best_unit else self.unit_link

    def rest(self, before: "Paths", blank: float) -> None:
        """Take the paths `before` with a blank after them, of this log probability."""
        self.blank = before.total + blank
        if before.best_blank >= before.best_unit:
            self.best_blank, self.blank_link = before.best_blank + blank, before.blank_link
        else:
            self.best_blank, self.blank_link = before.best_unit + blank, before.unit_link

    def hold(self, before: "Paths", log: float, frame: int) -> None:
        """Take the paths `before` that end in the unit, with the unit once more."""
        self.unit = log_add(self.unit, before.unit + log)
        best = before.best_unit + log
        link = before.unit_link
        if best > self.best_unit and link is not None:
            self.best_unit = best
            self.unit_link = Link(link[0], link[1], link[2], frame + 1, max(link[4], log))
