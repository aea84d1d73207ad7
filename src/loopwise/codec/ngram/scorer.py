"""An n-gram model for a search."""

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.ngram.model import END, Gram, NGram
from loopwise.codec.search.scorer import Scored

KEPT = 1 << 23
"""Numbers that are kept for contexts that come again; 64 MiB."""


class NGramScorer:
    """See `loopwise.codec.search.scorer.Scorer`.

    Args:
        model: what says how likely words are.
        names: of the units that the search counts in, by their numbers. Where they are a
            vocabulary with a blank, any name stands for that.
    """

    def __init__(self, model: NGram, names: Sequence[str]):
        self.model = model
        self._numbers = [model.number(name) for name in names]
        self._columns = np.array([*self._numbers, model.number(END)])
        self._rows: OrderedDict[Gram, NDArray[np.float64]] = OrderedDict()
        self._most = max(16, KEPT // len(model.words))

    def start(self) -> Scored:
        """See `Scorer.start`."""
        return self._scored(self.model.start())

    def advance(self, states: Sequence[Gram], units: Sequence[int]) -> list[Scored]:
        """See `Scorer.advance`."""
        return [
            self._scored(self.model.follow(state, self._numbers[unit]))
            for state, unit in zip(states, units, strict=True)
        ]

    def _scored(self, context: Gram) -> Scored:
        row = self._rows.get(context)
        if row is None:
            row = self._rows[context] = self.model.logs(context)[self._columns]
            if len(self._rows) > self._most:
                self._rows.popitem(last=False)
        return Scored(context, row)
