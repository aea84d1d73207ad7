"""The counters of a training, all of which a checkpoint holds."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from loopwise.train.config import TrainConfig
from loopwise.train.schedules import Plateau


@dataclass
class Interval:
    """Sums over the steps since the last training record.

    Attributes:
        steps: steps that updated the weights.
        loss: sum over targets.
        count: targets.
        norm: sum of gradient norms before clipping.
        clipped: steps with a clipped gradient.
        seconds: time in steps.
    """

    steps: int = 0
    loss: float = 0.0
    count: int = 0
    norm: float = 0.0
    clipped: int = 0
    seconds: float = 0.0

    def add(self, loss: float, count: int, norm: float, clipped: bool, seconds: float) -> None:
        """Take in one step."""
        self.steps += 1
        self.loss += loss
        self.count += count
        self.norm += norm
        self.clipped += clipped
        self.seconds += seconds

    def record(self, unit: str) -> dict[str, float]:
        """The means, as a training record holds them; NaN if no step updated the weights.

        Args:
            unit: what targets are called, as `Task.unit`.
        """
        steps = self.steps or math.nan
        return {
            "loss": self.loss / (self.count or math.nan),
            "grad_norm": self.norm / steps,
            "clipped": self.clipped / steps,
            f"{unit}_per_second": self.count / (self.seconds or math.nan),
        }


@dataclass
class Progress:
    """How far a training is.

    Attributes:
        step: steps taken, skipped ones included.
        seconds: spent on the training, over all its continuations.
        skipped: steps that left the weights alone because something was not finite.
        failures: of these, the last ones in a row.
        validated: step of the last validation; 0 before the first.
        metric: what it gave; None if not finite or none.
        best: lowest metric so far; None before the first finite one.
        waited: validations since the best.
        plateau: learning-rate factor of the plateau schedule.
        interval: since the last training record.
    """

    step: int = 0
    seconds: float = 0.0
    skipped: int = 0
    failures: int = 0
    validated: int = 0
    metric: float | None = None
    best: float | None = None
    waited: int = 0
    plateau: Plateau = field(default_factory=Plateau)
    interval: Interval = field(default_factory=Interval)

    def observe(self, metric: float, config: TrainConfig) -> bool:
        """Take in a validation's metric; returns whether it is the best so far."""
        self.validated = self.step
        self.metric = metric if math.isfinite(metric) else None
        improved = self.metric is not None and (self.best is None or self.metric < self.best)
        if improved:
            self.best = self.metric
        self.waited = 0 if improved else self.waited + 1
        if config.schedule == "plateau":
            self.plateau.observe(improved, patience=config.plateau, decay=config.decay)
        return improved

    def forget_validations(self) -> None:
        """Become as if none had been: of the falls on a plateau only the learning rate stays."""
        self.validated, self.metric, self.best, self.waited = 0, None, None, 0
        self.plateau.waited = 0

    def to_json(self) -> dict[str, Any]:
        """The counters as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Progress":
        """The inverse of `to_json`."""
        parts: dict[str, Any] = {
            "plateau": Plateau(**values["plateau"]),
            "interval": Interval(**values["interval"]),
        }
        return cls(**{**values, **parts})
