"""What a search needs from a transducer."""

from collections.abc import Sequence
from typing import Any, Protocol

from numpy.typing import NDArray


class TransducerPredictor(Protocol):
    """A transducer without its encoder: prediction network and joiner.

    States are the predictor's own, opaque and never altered: several texts may go on from one.

    Attributes:
        size: of the vocabulary, V; 0 is the blank.
    """

    size: int

    def start(self) -> Any:
        """The state before the first unit."""
        ...

    def advance(self, states: Sequence[Any], units: Sequence[int]) -> list[Any]:
        """The states after one unit more; of N states, which may repeat, with a unit for each."""
        ...

    def join(self, frame: NDArray[Any], states: Sequence[Any]) -> NDArray[Any]:
        """Natural logarithms of the probabilities ``[N, V]`` in a frame after N texts.

        Args:
            frame: ``[E]``, of the encoder.
            states: of the texts.
        """
        ...
