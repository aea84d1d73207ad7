"""How texts are sought with a transducer. No NumPy here: the command line shows it without."""

from dataclasses import dataclass

from loopwise.codec.numbers import is_integer
from loopwise.codec.search.pruning import Pruning
from loopwise.errors import ConfigError


@dataclass(frozen=True)
class TransducerOptions(Pruning):
    """How far a beam search looks; see also `Pruning`.

    Attributes:
        max_symbols: units that may be said in a frame, at least 1.
        one_a_frame: whether a unit ends its frame as the blank does, so that a frame has one of
            either; `max_symbols` is then not looked at. Faster, and meant for models that were
            trained so; others lose little where frames are many.

    Raises:
        ConfigError: if a value is not allowed.
    """

    beam_size: int = 8
    max_symbols: int = 4
    one_a_frame: bool = False

    def __post_init__(self):
        super().__post_init__()
        if not (is_integer(self.max_symbols) and self.max_symbols >= 1):
            raise ConfigError(f"max_symbols={self.max_symbols!r}: must be at least 1 and whole")
