"""How texts are sought with CTC. No NumPy here: the command line shows it without."""

from dataclasses import dataclass

from loopwise.codec.numbers import is_number
from loopwise.codec.search.pruning import Pruning
from loopwise.errors import ConfigError


@dataclass(frozen=True)
class CtcOptions(Pruning):
    """How far a prefix beam search looks; see also `Pruning`.

    Attributes:
        sure_blank: in a frame whose blank is at least as likely, nothing but the blank is looked
            at; above 0, 1 to look at all frames. The probability of a text, as it is computed,
            falls by at most the sum of what the blanks of such frames lack to 1.

    Raises:
        ConfigError: if a value is not allowed.
    """

    sure_blank: float = 0.999

    def __post_init__(self):
        super().__post_init__()
        if not (is_number(self.sure_blank) and 0 < self.sure_blank <= 1):
            raise ConfigError(f"sure_blank={self.sure_blank!r}: must be above 0 and at most 1")
