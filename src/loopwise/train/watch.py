"""Look inside while a model trains: the cheap part of a diagnosis, every so many steps."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from loopwise.diagnose.effort import GLANCE
from loopwise.diagnose.measure import look
from loopwise.diagnose.observe import Observation, observe
from loopwise.diagnose.report import Curve, Dependence, Finding, LayerReport, Report
from loopwise.diagnose.report import Training as Context

POINTS = 32
"""Steps of a window whose gradient norm a record holds, evenly chosen."""


class Watch:
    """Watches one training.

    Args:
        every: steps between two looks; 0 for none at all.
        dependence: of the data on its past, to compare the memory with.

    Attributes:
        memory: the longest memory horizon of a layer at the last look, in steps; None before.
    """

    def __init__(self, every: int, dependence: Dependence | None):
        self._every, self._dependence = every, dependence
        self._calls: list[Observation] | None = None
        self._known: set[tuple[str, str]] = set()
        self.memory: int | None = None

    @contextmanager
    def over(self, step: int, model: nn.Module) -> Generator[None]:
        """Be around a step, the `step`-th from 0, and watch if its turn has come."""
        self._calls = None
        if not self._every or (step + 1) % self._every:
            yield
            return
        with observe(model) as seen:
            yield
        self._calls = seen.longest()

    @property
    def saw(self) -> bool:
        """Whether the last step was watched."""
        return bool(self._calls)

    def record(self, loss: float, context: Context) -> tuple[dict[str, Any], list[Finding]]:
        """What was seen, for the log, and the findings that are new."""
        with torch.no_grad():
            layers = look(self._calls or [], GLANCE, spectra=False)
        self._calls = None
        report = Report(loss, layers, (), dependence=self._dependence, training=context)
        found = [f for f in report.findings if f.rule != "healthy"]
        fresh = [f for f in found if (f.rule, f.where) not in self._known]
        self._known.update((f.rule, f.where) for f in found)
        horizons = [layer.influence.horizon or layer.steps for layer in layers]
        self.memory = max(horizons, default=None)
        return {"layers": {layer.name: _brief(layer) for layer in layers}}, fresh


def _brief(layer: LayerReport) -> dict[str, Any]:
    saturated = {
        gate: [layer.activity.low[gate], layer.activity.high[gate]] for gate in layer.activity.low
    }
    return {
        "gradient": _evenly(layer.gradients.h),
        "slope": layer.influence.slope,
        "horizon": layer.influence.horizon,
        "saturated": saturated,
        "dead": len(layer.activity.dead),
    }


def _evenly(curve: Curve) -> list[float]:
    chosen = np.linspace(0, len(curve) - 1, min(POINTS, len(curve))).round().astype(int)
    return [float(f"{curve[index]:.4g}") for index in chosen]  # for the eye
