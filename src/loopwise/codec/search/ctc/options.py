"""How speech is sought. No NumPy here: the command line shows it without."""

import math
from dataclasses import dataclass

from loopwise.codec.numbers import is_integer, is_number
from loopwise.errors import ConfigError


@dataclass(frozen=True)
class CtcOptions:
    """How far a beam search looks.

    Attributes:
        beam_size: texts that are followed at a time, at least 1.
        max_units: the likeliest units that are looked at in a frame, at least 1.
        min_log_prob: units that are less likely in a frame begin nothing there; at most 0, or -inf
            to look at all.
        max_distance: texts that are further behind the best, in nats, are dropped; above 0, or inf
            to keep as many as there may be.
        sure_blank: in a frame whose blank is at least as likely, nothing but the blank is looked
            at; above 0, 1 to look at all frames. The probability of a text, as it is computed,
            falls by at most the sum of what the blanks of such frames lack to 1.

    Raises:
        ConfigError: if a value is not allowed.
    """

    beam_size: int = 16
    max_units: int = 40
    min_log_prob: float = -9.0
    max_distance: float = 20.0
    sure_blank: float = 0.999

    def __post_init__(self):
        for name in ("beam_size", "max_units"):
            value = getattr(self, name)
            if not (is_integer(value) and value >= 1):
                raise ConfigError(f"{name}={value!r}: must be at least 1 and whole")
        least = self.min_log_prob
        if least != -math.inf and not (is_number(least) and least <= 0):
            raise ConfigError(f"min_log_prob={least!r}: must be at most 0, or -inf for all units")
        most = self.max_distance
        if most != math.inf and not (is_number(most) and most > 0):
            raise ConfigError(f"max_distance={most!r}: must be above 0, or inf for no limit")
        if not (is_number(self.sure_blank) and 0 < self.sure_blank <= 1):
            raise ConfigError(f"sure_blank={self.sure_blank!r}: must be above 0 and at most 1")
