"""How tokens are drawn and sequences sought. No NumPy here: the command line shows it without."""

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


class SearchOptions(TypedDict, total=False):
    """The options of `Search` as keywords; see there."""

    beam_size: int
    n_best: int
    length_penalty: float
    coverage_penalty: float
    block_ngram: int
    min_length: int
    max_length: int
    sampling: Sampling | None


@dataclass(frozen=True)
class Search:
    """How the most likely sequences are sought. Lengths are tokens without the end token.

    The defaults always take the most likely token. Hypotheses are ranked by equation 14 of Wu et
    al. (2016), where P is the sequence's probability, n the number of its tokens and the end token,
    and a_ti the attention at token t, the end token left out, to position i of the source::

        log P / ((5 + n) / 6)^length_penalty + coverage_penalty * sum_i log min(sum_t a_ti, 1)

    Attributes:
        beam_size: hypotheses that are followed at a time, at least 1; 1 is greedy.
        n_best: hypotheses that are returned, from 1 to `beam_size`; or samples, independent ones.
        length_penalty: at least 0: the larger, the longer are results; 0 for none.
        coverage_penalty: at least 0: the larger, the less of a source is left out; 0 for none.
        block_ngram: no sequence of so many tokens comes twice; 0 to allow all.
        min_length: at least 0. A limit below it prevails.
        max_length: at least `min_length`; or 0 for a limit that the caller has for each sentence.
        sampling: draws tokens; then `beam_size` must be 1. None to follow the most likely ones.

    Raises:
        ConfigError: if a value is not allowed.
    """

    beam_size: int = 1
    n_best: int = 1
    length_penalty: float = 0.0
    coverage_penalty: float = 0.0
    block_ngram: int = 0
    min_length: int = 0
    max_length: int = 0
    sampling: Sampling | None = None

    def __post_init__(self):
        for name, least in (
            ("beam_size", 1),
            ("n_best", 1),
            ("block_ngram", 0),
            ("min_length", 0),
            ("max_length", 0),
        ):
            value = getattr(self, name)
            if not (is_integer(value) and value >= least):
                raise ConfigError(f"{name}={value!r}: must be at least {least} and whole")
        for name in ("length_penalty", "coverage_penalty"):
            value = getattr(self, name)
            if not (is_number(value) and value >= 0):
                raise ConfigError(f"{name}={value!r}: must be finite and at least 0")
        if 0 < self.max_length < self.min_length:
            raise ConfigError(
                f"max_length={self.max_length}: must be at least min_length={self.min_length}, "
                "or 0 for a limit of each sentence's own"
            )
        if self.sampling is None:
            if self.n_best > self.beam_size:
                raise ConfigError(
                    f"n_best={self.n_best}: must be at most beam_size={self.beam_size}"
                )
        elif not isinstance(self.sampling, Sampling):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"sampling={self.sampling!r}: must be a Sampling or None")
        elif self.beam_size != 1:
            raise ConfigError(f"beam_size={self.beam_size}: must be 1 where tokens are drawn")
