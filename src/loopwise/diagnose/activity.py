"""What gates and units do."""

import numpy as np
import torch
from torch import Tensor

from loopwise.diagnose.curves import GATES
from loopwise.diagnose.report import Activity
from loopwise.nn.adjoint import Followed
from loopwise.nn.problem import Problem

LOW, HIGH = 0.05, 0.95
BINS = 20
DEAD = 1e-4
"""Largest output of a dead unit."""
CONSTANT = 1e-3
"""Standard deviation of a constant unit, of the typical one's."""
POSITIONS = 512
"""Steps of rows that gates are counted at, if there are more, drawn at random."""
STATES = 256
"""Hidden states that the effective rank is taken of, likewise."""


def activity(problem: Problem, followed: Followed) -> Activity:
    """Shares of saturated gates, dead and constant units, rank; see `Activity`."""
    names = GATES[problem.cell]
    alive = _alive(problem)
    gates = _some(followed.gates, alive, POSITIONS)
    gates = gates.reshape(len(gates), len(names), -1)
    hidden = _some(followed.states[0], alive, problem.x.shape[:2].numel())
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    histogram: dict[str, tuple[float, ...]] = {}
    for number, name in enumerate(names):
        values = gates[:, number]
        squashed = problem.cell != "rnn_relu"
        if not squashed:  # has no upper end to reach
            low[name], high[name] = _share(values <= 0), 0.0
            continue
        least = -1.0 if name in ("g", "n", "h") else 0.0
        low[name] = _share(values < (-HIGH if least else LOW))
        high[name] = _share(values > HIGH)
        counts = torch.histc(values.float(), BINS, least, 1.0)
        histogram[name] = tuple((counts / max(values.numel(), 1)).tolist())
    dead, constant = _idle(hidden)
    return Activity(low, high, histogram, dead, constant, _effective_rank(hidden))


def _alive(problem: Problem) -> Tensor | None:
    """[N]: the steps that rows have, counted through [T, B]; None for all."""
    x, lengths = problem.x, problem.lengths
    if lengths is None:
        return None
    alive = torch.arange(len(x), device=x.device).unsqueeze(1) < lengths.to(x.device)
    return alive.flatten().nonzero().flatten()


def _some(steps: Tensor, alive: Tensor | None, most: int) -> Tensor:
    """Up to `most` rows of [T, B, ...] that are `alive`, as [N, ...]."""
    flat = steps.flatten(0, 1)
    count = len(flat) if alive is None else len(alive)
    if count <= most:
        return flat if alive is None else flat[alive]
    chosen = torch.from_numpy(np.random.default_rng(0).choice(count, most, replace=False))
    chosen = chosen.to(flat.device)
    return flat[chosen if alive is None else alive[chosen]]


def _share(where: Tensor) -> float:
    return float(where.float().mean()) if where.numel() else 0.0


def _idle(hidden: Tensor) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if len(hidden) < 2:
        return (), ()
    dead = hidden.abs().amax(0) < DEAD
    spread = hidden.float().std(0)
    living = spread[~dead]
    if not len(living):
        return tuple(range(hidden.shape[1])), ()
    constant = ~dead & (spread < CONSTANT * living.median())
    return tuple(dead.nonzero().flatten().tolist()), tuple(constant.nonzero().flatten().tolist())


def _effective_rank(hidden: Tensor) -> float:
    """Roy and Vetterli 2007, definition 1, of the states less their mean."""
    if len(hidden) < 2:
        return float(len(hidden))
    states = _some(hidden.unsqueeze(1), None, STATES).double()
    states = states - states.mean(0)
    if not bool(states.isfinite().all()):
        return float("nan")
    small = states @ states.T if len(states) < states.shape[1] else states.T @ states
    values = torch.linalg.eigvalsh(small).clamp(min=0).sqrt()
    if not float(values.sum()):
        return 0.0
    shares = values / values.sum()
    return float(torch.exp(-torch.xlogy(shares, shares).sum()))
