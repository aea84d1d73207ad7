"""An n-gram model for a search."""

from collections.abc import Sequence

from loopwise.codec.ngram.model import Gram, NGram


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

    def start(self) -> Gram:
        """See `Scorer.start`."""
        return self.model.start()

    def advance(
        self, states: Sequence[Gram], units: Sequence[int]
    ) -> tuple[list[Gram], list[float]]:
        """See `Scorer.advance`."""
        words = [self._numbers[unit] for unit in units]
        pairs = list(zip(states, words, strict=True))
        return (
            [self.model.follow(state, word) for state, word in pairs],
            [self.model.log(state, word) for state, word in pairs],
        )

    def end(self, states: Sequence[Gram]) -> list[float]:
        """See `Scorer.end`."""
        return [self.model.end(state) for state in states]
