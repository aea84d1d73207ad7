"""Gradients and influence over time, from what flows back through a layer."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from loopwise.diagnose.effort import QUICK, Effort
from loopwise.diagnose.report import Curve, Gradients, Influence
from loopwise.nn.adjoint import Adjoint, follow
from loopwise.nn.problem import Problem
from loopwise.nn.rows import restarts_in_reverse, turn

GATES = {"lstm": "ifgo", "gru": "rzn", "rnn_tanh": "h", "rnn_relu": "h"}
"""The letters of each cell's gates."""


def gradients(problem: Problem, adjoint: Adjoint) -> Gradients:
    """The norms of what the loss sends back to each step; see `Gradients`."""
    steps = len(problem.x)
    names = GATES[problem.cell]
    shares = adjoint.gates.reshape(*adjoint.gates.shape[:2], len(names), -1)
    h = _over_batch(adjoint.h)
    c = None if adjoint.c is None else _over_batch(adjoint.c)
    back = range(steps) if problem.reverse else range(steps)[::-1]
    return Gradients(
        h,
        c,
        {name: _over_batch(shares[:, :, number]) for number, name in enumerate(names)},
        slope([h[t] for t in back]),
        None if c is None else slope([c[t] for t in back]),
    )


def influence(problem: Problem, effort: Effort = QUICK) -> Influence:
    """How much of each earlier step the final state holds; see `Influence`."""
    problem = _longest(problem, effort.rows)
    followed = follow(problem)
    generator = torch.Generator().manual_seed(0)
    size = problem.state[0].shape[1]
    squares: list[list[Tensor]] = []
    for _ in range(effort.directions):
        signs = torch.randint(0, 2, (problem.x.shape[1], size), generator=generator)
        direction = (2 * signs - 1).to(problem.x)
        adjoint = followed.back(None, (direction, *[None] * (len(problem.state) - 1)))
        parts = [part for part in (adjoint.h, adjoint.x, adjoint.c) if part is not None]
        squares.append([_over_units(part) ** 2 / size for part in parts])
    ages = _lags(problem)
    h, x, *c = (_by_lag(torch.stack(part).mean(0), ages) for part in zip(*squares, strict=True))
    memory = c[0] if c else h
    relative = [value / memory[0] if memory[0] else value for value in memory]
    return Influence(
        h,
        c[0] if c else None,
        x,
        slope(relative),
        _first_below(relative, 1 / math.e),
        _first_below(relative, 0.01),
    )


def _longest(problem: Problem, rows: int) -> Problem:
    batch, lengths = problem.x.shape[1], problem.lengths
    if batch <= rows:
        return problem
    index = torch.arange(rows) if lengths is None else lengths.argsort(descending=True)[:rows].cpu()

    def of(tensor: Tensor, axis: int) -> Tensor:
        return tensor.index_select(axis, index.to(tensor.device))

    return problem._replace(
        x=of(problem.x, 1),
        state=tuple(of(part, 0) for part in problem.state),
        restart=tuple(of(part, 0) for part in problem.restart),
        lengths=None if lengths is None else of(lengths, 0),
        reset=None if problem.reset is None else of(problem.reset, 1),
        mask=None if problem.mask is None else of(problem.mask, 0),
        keep=tuple(of(part, 1) for part in problem.keep),
    )


def slope(curve: Sequence[float]) -> float:
    """Least-squares slope of the logarithm for each step; NaN with fewer than two numbers that have
    one.
    """
    lags, values = np.arange(len(curve)), np.asarray(curve, float)
    good = np.isfinite(values) & (values > 0)
    if good.sum() < 2:
        return math.nan
    return float(np.polyfit(lags[good], np.log(values[good]), 1)[0])


def _first_below(curve: Sequence[float], threshold: float) -> int | None:
    return next((lag for lag, value in enumerate(curve) if value < threshold), None)


def _over_batch(tensor: Tensor) -> Curve:
    """The norm of each [B, ...] of a [T, B, ...]."""
    flat = tensor.reshape(len(tensor), -1)
    return tuple(torch.linalg.vector_norm(flat, dim=1, dtype=torch.float64).tolist())


def _over_units(tensor: Tensor) -> Tensor:
    """[T, B], in double: squares of small numbers would vanish."""
    return torch.linalg.vector_norm(tensor, dim=-1, dtype=torch.float64)


def _lags(problem: Problem) -> Tensor:
    """[T, B]: how many steps before a row's last one each is; -1 if not of the same sequence."""
    steps, rows = problem.x.shape[:2]
    device = problem.x.device
    lengths = problem.lengths
    ends = torch.full((rows,), steps, device=device) if lengths is None else lengths.to(device)
    order = torch.arange(steps, device=device).unsqueeze(1)
    lags = ends - 1 - order
    if problem.reset is not None:
        reset = problem.reset
        if problem.reverse:
            reset = restarts_in_reverse(reset, lengths)
        reset = reset & (order < ends)
        sequence = reset.cumsum(0)
        lags = torch.where(sequence == sequence[-1:], lags, -1)
    lags = torch.where(order < ends, lags, -1)
    return turn(lags, lengths) if problem.reverse else lags


def _by_lag(squares: Tensor, lags: Tensor) -> Curve:
    """Root of the mean over the rows that have a step at each lag."""
    keep = lags >= 0
    if not keep.any():
        return ()
    count = int(lags.max()) + 1
    total = squares.new_zeros(count).index_add(0, lags[keep], squares[keep])
    rows = squares.new_zeros(count).index_add(0, lags[keep], squares.new_ones(int(keep.sum())))
    return tuple((total / rows).sqrt().tolist())
