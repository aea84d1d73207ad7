"""The seam between layers and kernels: one recurrence, whoever computes it.

`recurrence` takes one layer in one direction through a batch of sequences. In eager mode it calls
the chosen backend directly, and torch's autograd sees through it. While torch compiles or exports,
and where the backward pass is to compute the forward pass again, it is the single operator of
`loopwise.nn.operators`.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

from loopwise.nn import operators
from loopwise.nn.autocast import autocast_active
from loopwise.nn.backend import current_backend
from loopwise.nn.kernels import compute, compute_step
from loopwise.nn.problem import Problem
from loopwise.nn.reference import Hidden, Scan, Weights
from loopwise.nn.solver import solve
from loopwise.nn.transforms import transforms_active

Observer = Callable[[Problem, Scan], None]

_observer: ContextVar[Observer | None] = ContextVar("loopwise_observer", default=None)


@contextmanager
def observed(observer: Observer) -> Generator[None]:
    """Show `observer` every recurrence inside the ``with`` block, once it is solved."""
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)


def recurrence(problem: Problem) -> Scan:
    """Take one layer in one direction through a batch of sequences.

    Outputs, states and gates beyond a row's length are zero; the final state is the one at each
    row's end.
    """
    scan = _solve_as_asked(problem)
    if not torch.compiler.is_compiling():  # in a compiled program there is no single one to show
        observer = _observer.get()
        if observer is not None:
            observer(problem, scan)
    return scan


def _solve_as_asked(problem: Problem) -> Scan:
    device = problem.x.device
    if autocast_active(device) and problem.x.dtype != torch.float64:
        problem = _cast(problem, torch.get_autocast_dtype(device.type))
        with torch.autocast(device.type, enabled=False):
            return _solve(problem)
    return _solve(problem)


def single_step(cell: str, x: Tensor, state: Hidden, w: Weights) -> Hidden:
    """One step of a single cell; `x` is [B, I]. A compiler gets the definition, to fuse it."""
    plain = not (transforms_active() or torch.compiler.is_compiling() or autocast_active(x.device))
    return compute_step(cell, x, state, w, current_backend() if plain else "reference")


def _cast(problem: Problem, dtype: torch.dtype) -> Problem:
    """Under autocast a whole recurrence has autocast's type, as with torch's fused kernels."""
    problem = problem.over(iter([tensor.to(dtype) for tensor in problem.tensors()]))
    mask = None if problem.mask is None else problem.mask.to(dtype)
    return problem._replace(mask=mask, keep=tuple(part.to(dtype) for part in problem.keep))


def _solve(problem: Problem) -> Scan:
    if transforms_active():  # first of all: the operator has no rule for them
        return compute(problem, "reference")
    if torch.compiler.is_compiling() or (problem.checkpoint and problem.learns()):
        return operators.recurrence(problem)
    return solve(problem, current_backend())
