"""A recurrence piece by piece, whose backward pass computes each piece anew.

Kept for the backward pass is, besides the inputs, the state after every 64 steps. From there the
backward pass runs a piece forwards and then backwards, from the last piece to the first, so that
only one piece's gates are in memory at a time.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from loopwise.nn.gradients import Run, recomputed
from loopwise.nn.problem import Problem
from loopwise.nn.reference import Hidden, Scan
from loopwise.nn.rows import check_range

STEPS = 64
"""of a piece; the last one may be shorter"""


def forward(problem: Problem, run: Run) -> tuple[list[Tensor], list[Tensor]]:
    """Solve `problem` by `run`, a piece at a time.

    Returns:
        `Scan.tensors`, and what `backward` needs besides.

    Raises:
        ShapeError: a length is out of range.
    """
    steps = problem.x.shape[0]
    if problem.lengths is not None:
        check_range(problem.lengths, steps)
    kept, state = allocate(problem), problem.state
    pieces = _pieces(problem)
    if len(pieces) == 1:
        return run(problem).tensors(), kept
    every: list[Tensor] = []
    for number, piece in enumerate(pieces):
        scan = _solve_piece(_cut(problem, piece, state), _restarts(problem, piece), run)
        over_time, state = _over_time(scan), scan.state
        if not every:
            every = [part.new_empty(steps, *part.shape[1:]) for part in over_time]
        for whole, part in zip(every, over_time, strict=True):
            whole[piece] = part
        for states, part in zip(kept, state, strict=True):
            states[number] = part
    y, *rest = every
    return [y, *state, *rest], kept


def backward(
    problem: Problem,
    kept: Sequence[Tensor],
    grads: Sequence[Tensor | None],
    wanted: Sequence[bool],
    run: Run,
) -> list[Tensor | None]:
    """The gradients of `Problem.tensors`; where not `wanted`, they may be None.

    Args:
        problem: what `forward` solved.
        kept: what it kept.
        grads: of `Scan.tensors`.
        wanted: one for each of `Problem.tensors`.
        run: how to solve a piece.
    """
    pieces = _pieces(problem)
    if len(pieces) == 1:
        return list(recomputed(problem, grads, wanted, run))
    size = len(problem.state)
    y, carried, histories = grads[0], grads[1 : 1 + size], grads[1 + size :]
    wanted = [wanted[0], *[True] * size, *wanted[1 + size :]]  # states hand their gradients on
    of_x = problem.x.new_empty(problem.x.shape) if wanted[0] else None
    sums: list[Tensor | None] = []
    for number, piece in reversed(list(enumerate(pieces))):
        state = tuple(states[number - 1] for states in kept) if number else problem.state
        restarts = _restarts(problem, piece)
        found = recomputed(
            _cut(problem, piece, state),
            [_part(y, piece), *carried, *[_part(grad, piece) for grad in histories]],
            wanted,
            lambda part, restarts=restarts: _solve_piece(part, restarts, run),
        )
        x, carried, shares = found[0], found[1 : 1 + size], found[1 + size :]
        if of_x is not None and x is not None:
            of_x[piece] = x
        if not sums:  # what autograd hands out may be one tensor for several
            sums = [None if share is None else torch.zeros_like(share) for share in shares]
        for total, share in zip(sums, shares, strict=True):
            if total is not None and share is not None:
                total.add_(share)
    return [of_x, *carried, *sums]


def allocate(problem: Problem) -> list[Tensor]:
    """Memory for the states after whole pieces, each [T // STEPS + 2, B, size].

    A compiler makes a graph of its own for sizes 0 and 1: two rows more spare it that.
    """
    count = problem.x.shape[0] // STEPS + 2
    return [part.new_zeros(count, *part.shape) for part in problem.state]


def _pieces(problem: Problem) -> list[slice]:
    """Where to cut the time, in the order of running; no time at all is one piece."""
    steps = problem.x.shape[0]
    pieces = [slice(t, min(t + STEPS, steps)) for t in range(0, max(steps, 1), STEPS)]
    if not problem.reverse:
        return pieces
    return [slice(steps - piece.stop, steps - piece.start) for piece in pieces]


def _cut(problem: Problem, piece: slice, state: Hidden) -> Problem:
    lengths, reset = problem.lengths, problem.reset
    if lengths is not None:
        lengths = (lengths.long() - piece.start).clamp(0, piece.stop - piece.start)
    return problem._replace(
        x=problem.x[piece],
        state=state,
        lengths=lengths,
        reset=None if reset is None else reset[piece],
        keep=tuple(part[piece] for part in problem.keep),
    )


def _restarts(problem: Problem, piece: slice) -> Tensor | None:
    """[B, 1], the rows of a reverse run that restart as they enter `piece`.

    A sequence that starts where the next piece does ends with this one.
    """
    steps, device = problem.x.shape[0], problem.x.device
    if not problem.reverse or problem.reset is None or piece.stop >= steps:
        return None
    rows = problem.reset[piece.stop].to(device)
    if problem.lengths is not None:
        rows = rows & (problem.lengths > piece.stop).to(device)
    return rows[:, None]


def _solve_piece(part: Problem, restarts: Tensor | None, run: Run) -> Scan:
    if restarts is None:
        return run(part)
    pairs = zip(part.restart, part.state, strict=True)
    return run(part._replace(state=tuple(torch.where(restarts, r, s) for r, s in pairs)))


def _over_time(scan: Scan) -> list[Tensor]:
    """The tensors of a scan but for its last state, each [T, B, ...]."""
    return [scan.output, *scan.states, *([] if scan.gates is None else [scan.gates])]


def _part(grad: Tensor | None, piece: slice) -> Tensor | None:
    return None if grad is None else grad[piece]
