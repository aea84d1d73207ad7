"""How tokens are drawn, as options. No NumPy here: the command line shows them without it."""

from dataclasses import dataclass
from typing import TypedDict

from loopwise.codec.numbers import is_integer, is_number
from loopwise.errors import ConfigError

LENGTH = 200
"""Tokens that are drawn where nobody says how many."""


class SamplingOptions(TypedDict, total=False):
    """The options of `Sampling` as keywords; see there."""

    temperature: float
    top_k: int
    top_p: float
    seed: int | None


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn: temperature first, then `top_k`, then `top_p`.

    The defaults draw from the model's own distribution.

    Attributes:
        temperature: divides the logits, at least 0; 0 always takes the most likely token, so that
            the other options change nothing.
        top_k: draw among the k most likely tokens only; 0 for all (Fan et al., 2018).
        top_p: draw among the fewest most likely tokens whose probabilities sum to at least this,
            in (0, 1]; 1 for all (nucleus sampling, Holtzman et al., 2020).
        seed: of a text's random numbers, at least 0: equal seeds give equal texts. None for a text
            of its own each time. A single `sample` takes its random number from the caller.

    Raises:
        ConfigError: if a value is not allowed.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int | None = None

    def __post_init__(self):
        if not (is_number(self.temperature) and self.temperature >= 0):
            raise ConfigError(f"temperature={self.temperature!r}: must be finite and at least 0")
        if not (is_integer(self.top_k) and self.top_k >= 0):
            raise ConfigError(f"top_k={self.top_k!r}: must be at least 1 and whole, or 0 for all")
        if not (is_number(self.top_p) and 0 < self.top_p <= 1):
            raise ConfigError(f"top_p={self.top_p!r}: must be above 0 and at most 1")
        if self.seed is not None and not (is_integer(self.seed) and self.seed >= 0):
            raise ConfigError(f"seed={self.seed!r}: must be at least 0 and whole, or None")
