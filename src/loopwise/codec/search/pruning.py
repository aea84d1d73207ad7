"""How far a beam search for speech looks. No NumPy here: the command line shows it without."""

import math
from dataclasses import dataclass

from loopwise.codec.numbers import is_integer, is_number
from loopwise.errors import ConfigError


@dataclass(frozen=True)
class Pruning:
    """What a beam search looks at.

    Attributes:
        beam_size: texts that are followed at a time, at least 1.
        max_units: the likeliest units that are looked at in a frame, at least 1.
        min_log_prob: units that are less likely in a frame begin nothing there; at most 0, or -inf
            to look at all.
        max_distance: texts that are further behind the best, in nats, are dropped; above 0, or inf
            to keep as many as there may be.

    Raises:
        ConfigError: if a value is not allowed.
    """

    beam_size: int = 16
    max_units: int = 40
    min_log_prob: float = -9.0
    max_distance: float = 20.0

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
