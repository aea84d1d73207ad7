"""How features are computed. No NumPy here: the command line shows it without."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from loopwise.codec.numbers import is_integer, is_number
from loopwise.errors import ConfigError

FeatureKind: TypeAlias = Literal["logmel", "mfcc"]
Normalise: TypeAlias = Literal["utterance", "global", "running", "none"]


@dataclass(frozen=True)
class FeatureOptions:
    """What a network hears of a recording: frames of features, one every `hop` seconds.

    Attributes:
        kind: ``"logmel"``, logarithms of the energies in filters on the mel scale; or ``"mfcc"``,
            mel-frequency cepstral coefficients, their cosine transform (Davis and Mermelstein,
            1980).
        ready: whether frames are not computed but come from files, such as MFCC of another
            program; of the options below, those about samples then do not matter.
        rate: of the samples, Hz; what comes at other rates must be resampled.
        window: seconds of a frame, under a Hann window.
        hop: seconds from a frame to the next, at most a window and a whole number of samples.
        bins: filters on the mel scale, at least 2.
        coefficients: of ``"mfcc"``, from 1 to `bins`, the constant one counted.
        low: Hz where the lowest filter begins.
        high: Hz where the highest filter ends; 0 for half the rate.
        preemphasis: share of each sample that is taken from the next, in [0, 1).
        deltas: 1 to put the slopes of the features over five frames beside them, 2 for the slopes
            of these too; 0 for neither.
        normalise: which mean is taken from features before they are divided by their deviation
            over the training data: that of the ``"utterance"``, that of the training data
            (``"global"``), or that of what was heard so far (``"running"``). ``"none"`` leaves
            features as they are.
        memory: seconds after which a running mean has forgotten all but 1/e.
        prior: seconds of speech that the mean of the training data counts for in a running mean.

    Raises:
        ConfigError: if a value is not allowed.
    """

    kind: FeatureKind = "logmel"
    ready: bool = False
    rate: int = 16_000
    window: float = 0.025
    hop: float = 0.01
    bins: int = 40
    coefficients: int = 13
    low: float = 20.0
    high: float = 0.0
    preemphasis: float = 0.97
    deltas: int = 0
    normalise: Normalise = "global"
    memory: float = 6.0
    prior: float = 1.0

    def __post_init__(self):
        for name, allowed in (("kind", get_args(FeatureKind)), ("normalise", get_args(Normalise))):
            if getattr(self, name) not in allowed:
                names = ", ".join(allowed)
                raise ConfigError(f"{name}={getattr(self, name)!r}: must be one of {names}")
        for name, least, most in (
            ("rate", 1_000, 1_000_000),
            ("bins", 2, 10_000),
            ("coefficients", 1, self.bins if self.kind == "mfcc" else 10_000),
            ("deltas", 0, 2),
        ):
            value = getattr(self, name)
            if not (is_integer(value) and least <= value <= most):
                raise ConfigError(f"{name}={value!r}: must be whole, from {least} to {most}")
        if not isinstance(self.ready, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"ready={self.ready!r}: must be true or false")
        self._check_numbers()

    def _check_numbers(self) -> None:
        for name in ("window", "hop", "low", "high", "preemphasis", "memory", "prior"):
            value = getattr(self, name)
            if not (is_number(value) and value >= 0):
                raise ConfigError(f"{name}={value!r}: must be finite and at least 0")
        rules = [
            ("hop", self.hop > 0, "above 0, in seconds"),
            ("memory", self.memory >= self.hop, f"at least hop={self.hop}, in seconds"),
        ]
        if not self.ready:
            rules += self._rules_of_samples()
        for name, fits, told in rules:
            if not fits:
                raise ConfigError(f"{name}={getattr(self, name)!r}: must be {told}")

    def _rules_of_samples(self) -> list[tuple[str, bool, str]]:
        half, hop = self.rate / 2, self.hop * self.rate
        # else the times of frames would drift from those of samples
        whole = abs(hop - round(hop)) < 1e-6 * hop
        high = not self.high or self.low < self.high <= half
        return [
            ("window", 2 <= self.window * self.rate <= 1 << 20, "2 samples or more, in seconds"),
            ("hop", self.hop <= self.window, f"at most window={self.window}"),
            ("hop", whole, f"a whole number of samples of {self.rate} Hz, and is {hop:g}"),
            ("low", self.low < half, f"below half the rate, {half:g}"),
            ("high", high, f"above low={self.low} and at most half the rate, {half:g}; or 0"),
            ("preemphasis", self.preemphasis < 1, "below 1"),
        ]

    def require_samples(self) -> None:
        """Raise ConfigError where features are ready: they come from files, not from samples."""
        if self.ready:
            raise ConfigError(
                "this model hears features that are ready (features.kind=ready): they come from "
                "files, not from samples"
            )

    @property
    def base_size(self) -> int:
        """Features of a frame before deltas, B."""
        return self.bins if self.kind == "logmel" else self.coefficients

    @property
    def size(self) -> int:
        """Features of a frame, F."""
        return self.base_size * (1 + self.deltas)

    @property
    def lag(self) -> int:
        """Frames that must have come after one before its features are known, for the slopes."""
        return 2 * self.deltas
