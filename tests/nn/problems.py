"""Recurrences without a layer around them: any size, any option, noise drawn beforehand."""

from collections.abc import Callable
from contextlib import contextmanager

import torch

from loopwise.nn.backend import backend
from loopwise.nn.ops import recurrence
from loopwise.nn.problem import Problem
from loopwise.nn.reference import Weights
from loopwise.runtime.shapes import GATES

CELLS = ("rnn_tanh", "rnn_relu", "lstm", "gru")
OPTIONS = ("norm", "peephole", "mask", "zoneout", "ragged", "reverse", "trace", "unbiased")
SPLITTABLE = ("peephole", "mask", "zoneout", "ragged", "reverse", "trace")
"""options under which threads may share the units of a row"""


def draw(cell, steps=5, rows=3, inputs=3, units=4, *, outputs=None, options=(), seed=0) -> Problem:
    """A problem in float32.

    Args:
        cell: one of `CELLS`.
        steps: T.
        rows: B.
        inputs: I.
        units: H.
        outputs: P, for a projection.
        options: of `OPTIONS`; "ragged" gives lengths, a zero among them, and resets.
        seed: of all numbers.
    """
    generator = torch.Generator().manual_seed(seed)
    wide, narrow = GATES[cell] * units, outputs or units

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    def weight(*shape):
        return (2 * torch.rand(*shape, generator=generator) - 1) / units**0.5

    def chosen(option, make: Callable):
        return make() if option in options else None

    lstm = cell == "lstm"
    normed = chosen("norm", lambda: 1 + weight(wide)), chosen("norm", lambda: 1 + weight(wide))
    biased = () if "unbiased" in options else (weight(wide), weight(wide))
    w = Weights(
        weight(wide, inputs),
        weight(wide, narrow),
        *(biased or (None, None)),
        weight(narrow, units) if outputs else None,
        chosen("peephole", lambda: weight(3, units)) if lstm else None,
        *normed,
        *((1 + weight(units), weight(units)) if lstm and "norm" in options else ()),
    )
    sizes = (narrow, units) if lstm else (narrow,)
    lengths = reset = None
    if "ragged" in options:
        lengths = torch.randint(0, steps + 1, (rows,), generator=generator)
        lengths[0], lengths[-1] = steps, steps if rows == 1 else 0
        reset = torch.rand(steps, rows, generator=generator) < 0.2
    return Problem(
        cell,
        normal(steps, rows, inputs),
        tuple(normal(rows, size) for size in sizes),
        w,
        tuple(normal(rows, size) for size in sizes),
        lengths,
        reset,
        "reverse" in options,
        chosen("mask", lambda: 2.0 * (torch.rand(rows, narrow, generator=generator) < 0.5)),
        chosen(
            "zoneout",
            lambda: tuple(torch.rand(steps, rows, size, generator=generator) for size in sizes),
        )
        or (),
        "trace" in options,
    )


def solve(problem: Problem, on: str = "native", *, gradients: bool = True):
    """What a recurrence gives, by name: results, and the gradients of a projection of them all."""
    inputs = [part.detach().clone().requires_grad_(gradients) for part in problem.tensors()]
    with backend(on):
        scan = recurrence(problem.over(iter(inputs)))
    found = {"output": scan.output, **_numbered("state", scan.state)}
    found |= _numbered("states", scan.states)
    found |= {} if scan.gates is None else {"gates": scan.gates}
    if not gradients:
        return found
    generator = torch.Generator().manual_seed(1)
    directions = [torch.randn(part.shape, generator=generator) for part in found.values()]
    directions = [part.to(problem.x.dtype) for part in directions]
    grads = torch.autograd.grad(list(found.values()), inputs, directions, materialize_grads=True)
    found |= {f"gradient of {n}": g for n, g in zip(names(problem), grads, strict=True)}
    return {name: part.detach() for name, part in found.items()}


def exact(problem: Problem):
    """`solve` by the reference, in float64, of the same numbers."""
    return solve(in_type(problem, torch.float64), "reference")


def in_type(problem: Problem, dtype) -> Problem:
    """The same numbers in another type."""
    problem = problem.over(iter([part.to(dtype) for part in problem.tensors()]))
    mask = None if problem.mask is None else problem.mask.to(dtype)
    return problem._replace(mask=mask, keep=tuple(part.to(dtype) for part in problem.keep))


def names(problem: Problem) -> list[str]:
    """Names of `problem.tensors()`."""
    weights = [name for name, part in problem.weights._asdict().items() if part is not None]
    state, restart = _numbered("state", problem.state), _numbered("restart", problem.restart)
    return ["x", *state, *weights, *restart]


def rows_of(problem: Problem, rows) -> Problem:
    """The same for some rows alone."""

    def of(part, axis):
        return None if part is None else part.index_select(axis, torch.tensor(rows))

    return problem._replace(
        x=of(problem.x, 1),
        state=tuple(of(part, 0) for part in problem.state),
        restart=tuple(of(part, 0) for part in problem.restart),
        lengths=of(problem.lengths, 0),
        reset=of(problem.reset, 1),
        mask=of(problem.mask, 0),
        keep=tuple(of(part, 1) for part in problem.keep),
    )


def joined(parts):
    """Results of rows, one beside the other; a batch is the last dimension but one."""
    return {name: torch.cat([part[name] for part in parts], -2) for name in parts[0]}


@contextmanager
def threads(count):
    """Give torch, and with it the engine, so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _numbered(name, parts):
    return {f"{name} {k}": part for k, part in enumerate(parts)}
