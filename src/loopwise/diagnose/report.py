"""The report of a diagnosis as plain values: no torch is needed to read, write or draw one.

Lists over time have one number a step; lists over lags begin with lag 0. Numbers may be NaN or
infinite where the model's are.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, overload

from pydantic import ConfigDict, TypeAdapter, ValidationError

from loopwise.errors import DataError, RunError
from loopwise.files import write_atomically

Curve = tuple[float, ...]

_FINITE_OR_NOT = ConfigDict(ser_json_inf_nan="strings", extra="forbid")


@dataclass(frozen=True)
class Gradients:
    """What the loss sends back to every step of a layer.

    With ``h_t`` and ``c_t`` as the step computes them, and the loss ``L`` of the whole batch, these
    are the total derivatives, through all later steps as well (Pascanu et al. 2013,
    arXiv:1211.5063, eq. 3-5), as Euclidean norms over the rows and units of the batch.
    """

    h: Curve
    """``||dL/dh_t||`` for t = 0 to T - 1"""
    c: Curve | None
    """``||dL/dc_t||``, of the LSTM"""
    gates: Mapping[str, Curve]
    """``||dL/da_t||`` of each gate before its activation"""
    slope_h: float
    """least-squares slope of ``ln ||dL/dh_t||`` for each step back in time: negative where it
    vanishes, positive where it explodes"""
    slope_c: float | None


@dataclass(frozen=True)
class Influence:
    """How much of the past is left in a layer's last state.

    ``||dh_T/ds_{T-k}||`` over the lag ``k``, for ``s`` the hidden state, the cell state and the
    layer's input: Frobenius norms divided by the root of the number of units, root mean squares
    over rows and random directions, by vector-Jacobian products (Hutchinson 1990). For a linear
    layer whose recurrent matrix is a multiple of an orthogonal one that is ``radius^k``.
    """

    h: Curve
    """1 at lag 0"""
    c: Curve | None
    x: Curve
    slope: float
    """least-squares slope of the logarithm of the memory's curve for each further step back"""
    horizon: int | None
    """memory horizon: the first lag at which the memory's curve, ``c`` of the LSTM and ``h`` of
    others, is below 1/e of its beginning; None if it is not within the steps that were seen"""
    horizon_1_percent: int | None
    """the same below 1 %"""

    @property
    def memory(self) -> Curve:
        """The curve that the horizons are read from, 1 at lag 0."""
        curve = self.h if self.c is None else self.c
        return tuple(value / curve[0] if curve[0] else value for value in curve)


@dataclass(frozen=True)
class Spectrum:
    """Recurrent matrices and the Jacobian of a step, ``d s_t / d s_{t-1}`` for the whole state.

    Empty where it was not asked for: while a training is watched.
    """

    radius: Mapping[str, float] = field(default_factory=dict)
    """spectral radius of each gate's recurrent matrix"""
    norm: Mapping[str, float] = field(default_factory=dict)
    """its largest singular value"""
    eigenvalues: Mapping[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)
    """real and imaginary parts, the largest first; of large matrices only the outermost, estimated
    (Arnoldi 1951)"""
    jacobian_radius: Curve = ()
    """spectral radius of the step's Jacobian at some steps along the trajectory"""
    jacobian_norm: Curve = ()
    """its largest singular value"""
    jacobian_steps: tuple[int, ...] = ()
    """which steps those are"""
    lyapunov: Curve = ()
    """the largest Lyapunov exponents in nats a step, by QR along the trajectory (Benettin et al.
    1980; Engelken et al. 2023); above 0 neighbouring states part, far below 0 the past is lost"""


@dataclass(frozen=True)
class Activity:
    """What gates and units do over the batch."""

    low: Mapping[str, float]
    """share of each gate's values below 0.05 (of a tanh: below -0.95)"""
    high: Mapping[str, float]
    """share above 0.95"""
    histogram: Mapping[str, Curve]
    """share of each gate's values in 20 equal bins, from 0 (of a tanh: from -1) to 1"""
    dead: tuple[int, ...]
    """units whose output is always 0"""
    constant: tuple[int, ...]
    """units that hardly change: standard deviation below 1e-3 of the typical unit's"""
    effective_rank: float
    """exponential of the entropy of the hidden states' singular values (Roy and Vetterli 2007), at
    most the number of units"""


@dataclass(frozen=True)
class LayerReport:
    """One layer in one direction."""

    name: str
    """as its parameters are called: ``"rnn.l1_reverse"`` for ``rnn.weight_ih_l1_reverse``"""
    cell: str
    """``"lstm"``, ``"gru"``, ``"rnn_tanh"`` or ``"rnn_relu"``"""
    inputs: int
    units: int
    steps: int
    rows: int
    gradients: Gradients
    influence: Influence
    spectrum: Spectrum
    activity: Activity


@dataclass(frozen=True)
class TensorReport:
    """One parameter."""

    name: str
    weight: float
    """Euclidean norm"""
    gradient: float
    """of its gradient"""
    update: float | None
    """of what the optimiser would add to it; None without an optimiser"""

    @property
    def gradient_ratio(self) -> float:
        """Gradient to weight."""
        return _ratio(self.gradient, self.weight)

    @property
    def update_ratio(self) -> float | None:
        """Update to weight; about 1e-3 in a training that goes well (Karpathy 2015, cs231n)."""
        return None if self.update is None else _ratio(self.update, self.weight)


@dataclass(frozen=True)
class NotFinite:
    """The first number that is NaN or infinite."""

    tensor: str
    """name of the parameter, of the module whose output it is, or of a layer's state"""
    step: int | None
    """time step, inside of a recurrent layer"""
    operation: str
    """where it came from"""


@dataclass(frozen=True)
class Dependence:
    """Over which lags the data has something to remember."""

    kind: Literal["mutual information", "autocorrelation", "known"]
    """nats between tokens; the largest absolute correlation of a feature with itself; or what is
    known of a task, 1 where it depends and 0 elsewhere"""
    lags: tuple[int, ...]
    values: Curve
    """above what shuffled data gives; 0 where it is no more than that"""
    reach: int
    """the largest lag whose value is at least a twentieth of the largest; 0 for none"""


@dataclass(frozen=True)
class Training:
    """What the log of a run says besides."""

    step: int
    clipped: float | None
    """share of steps whose gradient was clipped"""
    clip: float | None = None
    """where it is clipped; 0 for not at all"""
    lr: float | None = None
    """learning rate"""
    window: int | None = None
    """steps of truncated backpropagation"""


@dataclass(frozen=True)
class Finding:
    """A judgement; prints as one plain sentence."""

    rule: str
    """``"vanishing"``, ``"exploding"``, ``"healthy"``, ...: a name of `loopwise.diagnose.rules`"""
    where: str
    """layer, parameter or ``"model"``"""
    sentence: str
    evidence: float
    threshold: float
    reason: str
    """why the threshold is where it is"""
    remedies: tuple[str, ...] = ()
    """settings that may cure it, the most promising first; two that belong together stand side by
    side, ``"model.cell=gru model.chrono=200"``"""

    def __str__(self) -> str:
        return self.sentence

    @property
    def options(self) -> tuple[str, ...]:
        """The remedies as options of the command line."""
        return tuple(
            " ".join(f"--set {setting}" for setting in remedy.split()) for remedy in self.remedies
        )


class Findings(Sequence[Finding]):
    """Findings in the order of their weight; prints as one sentence a line."""

    def __init__(self, findings: Sequence[Finding]):
        self._findings = tuple(findings)

    @overload
    def __getitem__(self, index: int) -> Finding: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Finding]: ...
    def __getitem__(self, index: int | slice) -> Finding | Sequence[Finding]:
        return self._findings[index]

    def __len__(self) -> int:
        return len(self._findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._findings)

    def __str__(self) -> str:
        return "\n".join(map(str, self._findings))

    def __repr__(self) -> str:
        return f"Findings({list(self._findings)!r})"

    def names(self) -> list[str]:
        """The rules that were met, each once."""
        return list(dict.fromkeys(finding.rule for finding in self._findings))


@dataclass(frozen=True)
class Report:
    """What `loopwise.diagnose` measured. `to_json` and `from_json` are inverse."""

    __pydantic_config__: ClassVar[ConfigDict] = _FINITE_OR_NOT

    loss: float
    layers: tuple[LayerReport, ...]
    tensors: tuple[TensorReport, ...]
    not_finite: NotFinite | None = None
    dependence: Dependence | None = None
    training: Training | None = None
    skipped: Mapping[str, str] = field(default_factory=dict)
    """recurrent modules that were not looked into, each with the reason"""
    format: Literal[1] = 1

    @property
    def findings(self) -> Findings:
        """What the rules make of it, the gravest first."""
        from loopwise.diagnose.rules import judge

        return Findings(list(judge(self)))

    def __getitem__(self, name: str) -> LayerReport:
        """The layer called `name`."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(f"{name!r}: the layers are {', '.join(each.name for each in self.layers)}")

    def to_json(self) -> str:
        """The report as JSON; numbers that are not finite become ``"NaN"`` and ``"Infinity"``."""
        return _adapter().dump_json(self, indent=1).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> "Report":
        """Read what `to_json` wrote.

        Raises:
            DataError: it is no such JSON.
        """
        try:
            return _adapter().validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise DataError(f"not a report: {place}: {first['msg']}") from None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write `to_json` to a file.

        Raises:
            RunError: it cannot be written.
        """
        try:
            write_atomically(Path(path), self.to_json().encode())
        except OSError as error:
            raise RunError(f"{path}: cannot be written: {error.strerror}") from None


def _adapter() -> TypeAdapter[Report]:
    return TypeAdapter(Report)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("inf") if part else 0.0
