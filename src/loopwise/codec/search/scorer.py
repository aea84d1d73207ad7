"""What a search needs from a language model."""

from collections.abc import Sequence
from typing import Any, Protocol


class Scorer(Protocol):
    """Says how likely units are after those before them; of many texts at a time.

    Units are what the search counts in: ids of the recogniser's units, or numbers of words in its
    lexicon. A state is opaque, and never altered once it was returned: others may go on from it.

    A search asks for far more continuations than it follows. A model whose steps are costly makes
    them for `states` when they come back, not for the states that it returns.
    """

    def start(self) -> Any:
        """The state before the first unit of a text."""
        ...

    def advance(self, states: Sequence[Any], units: Sequence[int]) -> tuple[list[Any], list[float]]:
        """Go on from each of N states with one unit.

        Returns:
            The N states after it, and natural logarithms of the units' probabilities.
        """
        ...

    def end(self, states: Sequence[Any]) -> list[float]:
        """Natural logarithms of the probabilities that the text ends in each of N states."""
        ...
