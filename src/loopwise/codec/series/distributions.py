"""What a network puts out for one target value, by name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from numpy.typing import ArrayLike

from loopwise.codec.numbers import is_integer
from loopwise.codec.series.base import FLOOR, Distribution, positive
from loopwise.codec.series.continuous import Mixture, Normal, Point, StudentT
from loopwise.codec.series.counts import Bernoulli, NegativeBinomial, Poisson
from loopwise.codec.series.quantiles import Quantiles, check_levels, middle
from loopwise.config import nearest
from loopwise.errors import ConfigError

__all__ = [
    "COUNTS",
    "FLOOR",
    "LEVELS",
    "OUTPUTS",
    "Bernoulli",
    "Distribution",
    "Mixture",
    "NegativeBinomial",
    "Normal",
    "Output",
    "OutputName",
    "Point",
    "Poisson",
    "Quantiles",
    "StudentT",
    "make_output",
    "middle",
    "positive",
]

OutputName = Literal[
    "quantiles", "normal", "student-t", "mixture", "negative-binomial", "poisson", "bernoulli",
    "point",
]  # fmt: skip

OUTPUTS: tuple[OutputName, ...] = get_args(OutputName)

COUNTS = frozenset({"negative-binomial", "poisson", "bernoulli"})
"""Outputs for whole numbers from 0, which are not scaled."""

LEVELS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
"""Levels of a quantile head where nobody names others."""

_SIZES = {"normal": 2, "student-t": 3, "negative-binomial": 2}


@dataclass(frozen=True)
class Output:
    """What a network puts out for one target value.

    Attributes:
        name: one of `OUTPUTS`.
        levels: of ``"quantiles"``, else empty.
        components: of ``"mixture"``, else 1.
    """

    name: OutputName
    levels: tuple[float, ...] = ()
    components: int = 1

    @property
    def size(self) -> int:
        """Raw numbers for one target value, P."""
        if self.name == "quantiles":
            return len(self.levels)
        if self.name == "mixture":
            return 3 * self.components
        return _SIZES.get(self.name, 1)

    @property
    def counts(self) -> bool:
        """Whether targets are whole numbers from 0, which are not scaled."""
        return self.name in COUNTS

    def distribution(self, raw: ArrayLike, scale: ArrayLike | None = None) -> Distribution:
        """The forecasts that raw numbers mean, in the space that the network was trained in.

        Args:
            raw: what the network put out, [*S, P], any numbers.
            scale: only for counts: what their mean is multiplied by, above 0, broadcasts with S. A
                yes or no has no use for it.

        Raises:
            ConfigError: `scale` is given, and the output is not one of counts.
            ShapeError: the last axis of `raw` is not P.
        """
        if scale is not None and not self.counts:
            raise ConfigError(f"scale given for the output {self.name!r}: only counts take one")
        by = 1.0 if scale is None else scale
        match self.name:
            case "quantiles":
                return Quantiles(raw, self.levels)
            case "mixture":
                return Mixture(raw, self.components)
            case "normal":
                return Normal(raw)
            case "student-t":
                return StudentT(raw)
            case "negative-binomial":
                return NegativeBinomial(raw, by)
            case "poisson":
                return Poisson(raw, by)
            case "bernoulli":
                return Bernoulli(raw)
            case "point":
                return Point(raw)


def make_output(
    name: str, *, levels: Sequence[float] | None = None, components: int | None = None
) -> Output:
    """The output of this name.

    Args:
        name: one of `OUTPUTS`.
        levels: of ``"quantiles"`` only: at least 2, rising, above 0 and below 1. None for `LEVELS`.
        components: of ``"mixture"`` only: at least 1. None for 3.

    Raises:
        ConfigError: a name that is not there, or a value that is not allowed.
    """
    known: OutputName | None = next((each for each in OUTPUTS if each == name), None)
    if known is None:
        raise ConfigError(
            f"output={name!r}: must be one of {', '.join(OUTPUTS)}{nearest(name, list(OUTPUTS))}"
        )
    if levels is not None and name != "quantiles":
        raise ConfigError(f"levels given for the output {name!r}: only 'quantiles' has them")
    if components is not None and name != "mixture":
        raise ConfigError(f"components given for the output {name!r}: only 'mixture' has them")
    if components is not None and not (is_integer(components) and components >= 1):
        raise ConfigError(f"components={components!r}: must be at least 1 and whole")
    if known == "quantiles":
        chosen = check_levels(LEVELS if levels is None else levels)
        return Output(known, levels=tuple(chosen.tolist()))
    if known == "mixture":
        return Output(known, components=3 if components is None else int(components))
    return Output(known)
