"""AdamW and SGD, and those that average their weights: all along, or from some moment on."""

import math
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from loopwise.train.config import TrainConfig

BETAS = (0.9, 0.98)
"""How Adam forgets beside an average of weights, where trainings are short."""
NONMONOTONE = 5
"""Validations that a metric may fail to improve before averaging starts (Merity et al. 2017)."""


def make_optimizer(config: TrainConfig, model: nn.Module) -> Optimizer:
    """The optimiser that `config` asks for, over the parameters of `model` that are trained.

    AdamW decays matrices only: biases, gains and peepholes have no scale to be kept small. SGD and
    NT-ASGD decay everything, as the published recipes that use them do (Zaremba et al. 2014;
    Merity et al. 2017).
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    # one kernel for all tensors, wherever torch has it
    fused = all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in parameters)
    if config.optimizer == "nt-asgd":
        return NTASGD(parameters, lr=config.lr, weight_decay=config.weight_decay, fused=fused)
    if config.optimizer == "sgd":
        decay, momentum = config.weight_decay, config.momentum
        return SGD(parameters, lr=config.lr, momentum=momentum, weight_decay=decay, fused=fused)
    matrices = [p for p in parameters if p.ndim > 1]
    others = [p for p in parameters if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    used = [group for group in groups if group["params"]]
    if config.average:
        return AveragingAdamW(used, lr=config.lr, fused=fused, rate=config.average)
    return AdamW(used, lr=config.lr, fused=fused)


class Averaging(Optimizer):
    """An optimiser that keeps an average of the weights, ``state[parameter]["average"]``.

    Attributes:
        averaged: weights that went into it so far.
    """

    averaged: int = 0

    def observe(self, metric: float) -> None:
        """Take in a validation's metric; lower is better."""

    def forget(self) -> None:
        """Forget the metrics of validations."""

    def extra_state(self) -> dict[str, Any]:
        """What the optimiser knows besides tensors, as JSON values."""
        return {"averaged": self.averaged}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        """Take back what `extra_state` gave."""
        self.averaged = state["averaged"]

    @torch.no_grad()
    def take_into_average(self, share: float) -> None:
        """Move the average by `share` of the way to the weights, or begin it with them."""
        parameters = [p for group in self.param_groups for p in group["params"]]
        if not self.averaged:
            for parameter in parameters:
                self.state[parameter]["average"] = parameter.detach().clone()
        self.averaged += 1
        averages = [self.state[parameter]["average"] for parameter in parameters]
        for average, parameter in zip(averages, parameters, strict=True):
            average.lerp_(parameter.detach(), share)


class AveragingAdamW(AdamW, Averaging):
    """AdamW with an exponential average of the weights.

    Step t (from 0) has the share ``1 - min(rate, (1 + t) / (10 + t))``, so that the beginning is
    soon forgotten.

    Args:
        parameters: to train, or groups of them.
        rate: of forgetting, in (0, 1).
        options: as of ``torch.optim.AdamW``.
    """

    def __init__(self, parameters: Any, *, rate: float, **options: Any):
        super().__init__(parameters, betas=BETAS, **options)
        self._rate = rate

    def step(self, closure: Any = None) -> Any:
        """One step of AdamW, then the average is brought up to date."""
        result = super().step(closure)
        t = self.averaged
        self.take_into_average(1 - min(self._rate, (1 + t) / (10 + t)))
        return result


class NTASGD(SGD, Averaging):
    """Non-monotonically triggered averaged SGD (Merity et al. 2017, algorithm 1).

    Steps are plain SGD. Averaging starts at the validation that is worse than the best of all but
    the last five before it; from then on the average runs over the weights of that moment and all
    that follow. ``torch.optim.ASGD`` is not used: it applies a changed learning rate one step late
    and leaves one iterate out of its average.

    Args:
        parameters: to train.
        lr: learning rate.
        weight_decay: L2, on all parameters.
        fused: one kernel for all tensors.
    """

    def __init__(
        self, parameters: Sequence[Tensor], *, lr: float, weight_decay: float, fused: bool
    ):
        super().__init__(parameters, lr=lr, weight_decay=weight_decay, fused=fused)
        self.history: list[float] = []

    def step(self, closure: Any = None) -> Any:
        """One SGD step, then the average is brought up to date if it runs."""
        result = super().step(closure)
        if self.averaged:
            self.take_into_average(1 / (self.averaged + 1))
        return result

    def observe(self, metric: float) -> None:
        """Take in a validation's metric (lower is better); start averaging if it is time."""
        earlier = self.history[:-NONMONOTONE]
        worse = bool(earlier) and not metric <= min(earlier)
        self.history.append(metric if math.isfinite(metric) else math.inf)
        if worse and not self.averaged:
            self.take_into_average(1 / (self.averaged + 1))

    def forget(self) -> None:
        """Forget the metrics; an average that has begun goes on."""
        self.history.clear()

    def extra_state(self) -> dict[str, Any]:
        """What the optimiser knows besides tensors, as JSON values."""
        history = [metric if math.isfinite(metric) else None for metric in self.history]
        return {"history": history, "averaged": self.averaged}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        """Take back what `extra_state` gave."""
        self.history = [math.inf if metric is None else metric for metric in state["history"]]
        self.averaged = state["averaged"]


@contextmanager
def averaged_weights(optimizer: Optimizer) -> Generator[None]:
    """Hold the averages in the model for a while, if the optimiser has them; then swap back."""
    if not isinstance(optimizer, Averaging) or not optimizer.averaged:
        yield
        return
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    current = [p.detach().clone() for p in parameters]
    try:
        _copy(parameters, [optimizer.state[p]["average"] for p in parameters])
        yield
    finally:
        _copy(parameters, current)


@torch.no_grad()
def _copy(targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    for target, source in zip(targets, sources, strict=True):
        target.copy_(source)
