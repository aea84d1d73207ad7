"""Learning rates as a pure function of how much of the training is done."""

import math
from dataclasses import dataclass

from loopwise.train.config import TrainConfig

RISE = 0.3
"""Share of one-cycle's rise where `warmup` is 0."""
START = 1 / 25
"""Where one-cycle starts, as a fraction of the highest rate."""


def lr_factor(config: TrainConfig, fraction: float, epoch: int) -> float:
    """The factor on `config.lr` for one step; plateau's own factor comes besides (`Plateau`).

    Args:
        config: `schedule`, `warmup`, `final_lr`, `hold_epochs` and `decay` are read.
        fraction: of the training done at the end of the step, 0 to 1.
        epoch: index of the step's epoch.

    Returns:
        With ``w`` = `warmup`, ``f`` = `final_lr` and ``x`` = `fraction`:

        - constant, plateau: 1
        - cosine: from 1 at ``x = w`` to ``f`` at 1 along half a cosine (Loshchilov & Hutter 2017)
        - one-cycle: from 1/25 to 1 at ``w``, to ``f`` at 1, each along half a cosine (Smith &
          Topin 2019, arXiv:1708.07120)
        - exponential: ``decay ** max(0, epoch + 1 - hold_epochs)`` (Zaremba et al. 2014)

        and, apart from one-cycle, times ``min(1, x / w)``.
    """
    x = min(max(fraction, 0.0), 1.0)
    if config.schedule == "one-cycle":
        return _one_cycle(x, config.warmup or RISE, config.final_lr)
    rise = min(1.0, x / config.warmup) if config.warmup else 1.0
    if config.schedule == "cosine":
        return rise * _half_cosine(1.0, config.final_lr, _part(x, config.warmup, 1.0))
    if config.schedule == "exponential":
        return rise * config.decay ** max(0, epoch + 1 - config.hold_epochs)
    return rise


@dataclass
class Plateau:
    """Lowers the learning rate when validation stops improving.

    Attributes:
        factor: on the learning rate, now.
        waited: validations without improvement since the best one or the last fall.
    """

    factor: float = 1.0
    waited: int = 0

    def observe(self, improved: bool, *, patience: int, decay: float) -> None:
        """Take in one validation: after `patience` bad ones `factor` is multiplied by `decay`."""
        self.waited = 0 if improved else self.waited + 1
        if self.waited >= patience:
            self.factor, self.waited = self.factor * decay, 0


def _one_cycle(x: float, top: float, final: float) -> float:
    if x < top:
        return _half_cosine(START, 1.0, x / top)
    return _half_cosine(1.0, final, _part(x, top, 1.0))


def _part(x: float, start: float, end: float) -> float:
    return max(0.0, (x - start) / (end - start)) if end > start else 0.0


def _half_cosine(start: float, end: float, part: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2
