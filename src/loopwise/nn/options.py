"""What a recurrent layer may be asked to do, checked once when the layer is made."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any, TypedDict, TypeGuard

from loopwise.config import nearest
from loopwise.errors import ConfigError
from loopwise.runtime.shapes import output_size, state_sizes

INITIALISATIONS = ("torch", "orthogonal")


class Extras(TypedDict, total=False):
    """The keyword options of `loopwise.RNN`, `LSTM` and `GRU` that torch lacks; see `LSTM`."""

    layer_norm: bool
    peephole: bool
    zoneout: float | tuple[float, float]
    recurrent_dropout: float
    weight_drop: float
    learn_initial_state: bool
    init: str
    forget_bias: float | None
    chrono: int | None
    checkpoint: bool


@dataclass(frozen=True)
class Options:
    """The choices of `loopwise.RNN`, `LSTM` and `GRU`; see there for their meaning."""

    cell: str
    input_size: int
    hidden_size: int
    bias: bool = True
    proj_size: int = 0
    layer_norm: bool = False
    peephole: bool = False
    zoneout: tuple[float, ...] = ()
    """one for each tensor of the state; empty for none"""
    recurrent_dropout: float = 0.0
    weight_drop: float = 0.0
    learn_initial_state: bool = False
    init: str = "torch"
    forget_bias: float | None = None
    chrono: int | None = None
    checkpoint: bool = False

    def __post_init__(self) -> None:
        for name in ("input_size", "hidden_size"):
            require_count(name, getattr(self, name), least=0 if name == "input_size" else 1)
        require_count("proj_size", self.proj_size, least=0)
        if self.proj_size >= self.hidden_size:
            raise ConfigError(
                f"proj_size={self.proj_size}: expected less than hidden_size={self.hidden_size}"
            )
        for value in self.zoneout:
            require_probability("zoneout", value)
        require_probability("recurrent_dropout", self.recurrent_dropout, below_one=True)
        require_probability("weight_drop", self.weight_drop, below_one=True)
        for name in ("bias", "layer_norm", "peephole", "learn_initial_state", "checkpoint"):
            require_flag(name, getattr(self, name))
        self._check_initialisation()

    @property
    def output_size(self) -> int:
        """Features that the layer puts out in one direction, P."""
        return output_size(self)

    @property
    def state_sizes(self) -> tuple[int, ...]:
        """The widths of the state's tensors: (h,), or (h, c) for an LSTM."""
        return state_sizes(self)

    def choices(self) -> Iterator[str]:
        """The arguments that differ from their defaults, as a call would write them."""
        if self.cell == "rnn_relu":
            yield "nonlinearity='relu'"
        for field in fields(self):
            value = getattr(self, field.name)
            if field.default is not MISSING and value != field.default:
                yield f"{field.name}={value!r}"

    def _check_initialisation(self) -> None:
        if self.init not in INITIALISATIONS:
            raise ConfigError(
                f"init={self.init!r}: expected one of {', '.join(INITIALISATIONS)}"
                f"{nearest(self.init, INITIALISATIONS)}"
            )
        gated = {"forget_bias": self.forget_bias, "chrono": self.chrono}
        given = [name for name, value in gated.items() if value is not None]
        if len(given) > 1:
            raise ConfigError("forget_bias and chrono both set the same bias: give one of them")
        if given and self.cell.startswith("rnn"):
            raise ConfigError(f"{given[0]}: a plain RNN has no gate to set; use LSTM or GRU")
        if given and not self.bias:
            raise ConfigError(f"{given[0]} needs bias=True")
        if self.chrono is not None:
            require_count("chrono", self.chrono, least=2)
        if self.forget_bias is not None and not _is_number(self.forget_bias):
            raise ConfigError(f"forget_bias={self.forget_bias!r}: expected a finite number")


def rnn_kind(nonlinearity: str) -> str:
    """The cell of a plain RNN with this nonlinearity."""
    if nonlinearity not in ("tanh", "relu"):
        raise ConfigError(f"nonlinearity={nonlinearity!r}: expected 'tanh' or 'relu'")
    return f"rnn_{nonlinearity}"


def make_options(
    cell: str,
    input_size: int,
    hidden_size: int,
    bias: bool,
    proj_size: int,
    extras: Mapping[str, Any],
) -> Options:
    """Check a constructor's arguments; `extras` are its keyword options beyond torch's."""
    allowed = [name for name in Extras.__annotations__ if name != "peephole" or cell == "lstm"]
    for name in extras:
        if name not in allowed:
            raise ConfigError(
                f"{_kind(cell)} has no option {name!r}; expected one of {', '.join(allowed)}"
                f"{nearest(name, allowed)}"
            )
    zoneout = extras.get("zoneout", 0.0)
    pair: tuple[Any, ...] | None = tuple(zoneout) if isinstance(zoneout, tuple | list) else None
    count = 2 if cell == "lstm" else 1
    if pair is not None and len(pair) != count:
        raise ConfigError(f"zoneout={zoneout!r}: expected a number, or {count} for {_kind(cell)}")
    checked: dict[str, Any] = {**extras, "zoneout": (zoneout,) * count if pair is None else pair}
    options = Options(cell, input_size, hidden_size, bias, proj_size, **checked)
    return options if any(options.zoneout) else replace(options, zoneout=())


def require_probability(name: str, value: object, *, below_one: bool = False) -> None:
    """Raise `ConfigError` unless `value` is a probability (below one, where one makes no sense)."""
    if not _is_number(value) or not 0 <= value <= 1 or (below_one and value == 1):
        raise ConfigError(
            f"{name}={value!r}: expected a number in [0, 1{')' if below_one else ']'}"
        )


def require_flag(name: str, value: object) -> None:
    """Raise `ConfigError` unless `value` is true or false."""
    if not isinstance(value, bool):
        raise ConfigError(f"{name}={value!r}: expected True or False")


def require_count(name: str, value: object, *, least: int) -> None:
    """Raise `ConfigError` unless `value` is an integer of at least `least`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(f"{name}={value!r}: expected an integer of at least {least}")


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _kind(cell: str) -> str:
    return "RNN" if cell.startswith("rnn") else cell.upper()
