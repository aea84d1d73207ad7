"""The operators ``loopwise::recurrence`` and ``loopwise::recurrence_backward``.

One recurrence is one operator, whatever the lengths and resets hold, so that a graph never breaks.
Operators see flat lists of tensors; what follows translates, and says which shapes they return and
what their gradients are.

Where gradients may be asked for, the first operator returns besides its results what the second one
needs of them: the engine's gates, or the states between pieces under ``checkpoint``, and last which
backend was at work. Of other problems nothing is kept, and the gradient computes them again.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from loopwise.nn import checkpoint, native
from loopwise.nn.backend import AVAILABLE, BACKENDS, current_backend
from loopwise.nn.gradients import differentiable, recomputed
from loopwise.nn.problem import Problem
from loopwise.nn.reference import Scan, Weights
from loopwise.nn.solver import solve

_ARGUMENTS = (
    "str cell, Tensor x, Tensor[] state, str fields, Tensor[] weights, Tensor[] restart, "
    "Tensor? lengths, Tensor? reset, bool reverse, Tensor? mask, Tensor[] keep, bool trace, "
    "bool checkpoint"
)


def recurrence(problem: Problem) -> Scan:
    """Solve `problem` as one operator."""
    # An exported program is for inference, above all; if it learns, it computes again.
    learns = problem.learns() and not torch.compiler.is_exporting()
    return problem.scan(_forward(*_flatten(problem), learns))


@torch.library.custom_op(
    "loopwise::recurrence", mutates_args=(), schema=f"({_ARGUMENTS}, bool learns) -> Tensor[]"
)
def _forward(*arguments: Any) -> list[Tensor]:
    *flat, learns = arguments
    problem = _pack(*flat)
    on = current_backend()
    run = partial(solve, backend=on)
    with torch.no_grad():
        if not (learns and _keeps(problem)):
            return _fresh(run(problem).tensors(), problem.tensors())
        if problem.checkpoint:
            results, kept = checkpoint.forward(problem, run)
        elif on == "native" and native.can_solve(problem):
            both = native.forward(problem, learns=True, clean=True)
            results, kept = (part.values() for part in both)
        else:
            results = run(problem).tensors()
            kept = native.allocate(problem, keep=True)[1].values()  # never read
        return _fresh(
            [*results, *kept, torch.tensor(BACKENDS.index(on), device="cpu")], problem.tensors()
        )


@_forward.register_fake
def _(*arguments: Any) -> list[Tensor]:  # pyright: ignore[reportUnusedFunction]
    *flat, learns = arguments
    problem = _pack(*flat)
    x, state, w = problem.x, problem.state, problem.weights
    width = w.hh.shape[1] if w.hr is None else w.hr.shape[0]
    steps, rows = x.shape[:2]
    results = [x.new_empty(steps, rows, width), *[x.new_empty(part.shape) for part in state]]
    if problem.trace:
        results += [x.new_empty(steps, *part.shape) for part in state]
        results += [x.new_empty(steps, rows, w.ih.shape[0])]
    if not (learns and _keeps(problem)):
        return results
    if problem.checkpoint:
        kept = checkpoint.allocate(problem)
    else:
        kept = native.allocate(problem, keep=True)[1].values()
    return [*results, *kept, torch.empty((), dtype=torch.int64, device="cpu")]


@torch.library.custom_op(
    "loopwise::recurrence_backward",
    mutates_args=(),
    schema=f"(Tensor?[] grads, bool[] wanted, Tensor[] saved, {_ARGUMENTS}) -> Tensor[]",
)
def _backward(
    grads: list[Tensor | None], wanted: list[bool], saved: list[Tensor], *flat: Any
) -> list[Tensor]:
    problem = _pack(*flat)
    found = _gradients(problem, grads, wanted, saved)
    nothing = problem.x.new_empty(0)
    given = [*problem.tensors(), *saved, *[grad for grad in grads if grad is not None]]
    pairs = zip(found, wanted, strict=True)
    return _fresh([grad if want and grad is not None else nothing for grad, want in pairs], given)


@_backward.register_fake
def _(grads: Any, wanted: list[bool], saved: Any, *flat: Any) -> list[Tensor]:  # pyright: ignore[reportUnusedFunction]
    problem = _pack(*flat)
    return [
        tensor.new_empty(tensor.shape if want else 0)
        for tensor, want in zip(problem.tensors(), wanted, strict=True)
    ]


def _keeps(problem: Problem) -> bool:
    """Whether a problem that learns keeps anything: a question that fakes can answer too."""
    engine = "native" in AVAILABLE and native.takes_kind(problem) and not problem.trace
    return problem.checkpoint or engine


def _gradients(
    problem: Problem, grads: list[Tensor | None], wanted: list[bool], saved: list[Tensor]
) -> Sequence[Tensor | None]:
    on = BACKENDS[int(saved[-1])] if saved else current_backend()
    run = partial(solve, backend=on)
    if problem.checkpoint:
        with torch.no_grad():
            kept = saved[:-1] or checkpoint.forward(problem, run)[1]
        return checkpoint.backward(problem, kept, grads, wanted, run)
    if saved and on == "native" and native.can_solve(problem):
        return native.backward(problem, grads, saved[:-1], wanted)
    return recomputed(problem, grads, wanted, run)


def _save(ctx, inputs, output):  # pyright: ignore
    problem = _pack(*inputs[:-1])
    ctx.results = (1 + len(problem.state)) * (2 if problem.trace else 1)
    kept = output[ctx.results :]
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(*kept)
    ctx.problem = problem.without_tensors()
    saved = output if kept and not problem.checkpoint else kept
    ctx.save_for_backward(*problem.tensors(), *problem.fixed(), *saved)


def _differentiate(ctx, grads):  # pyright: ignore
    tensors = iter(ctx.saved_tensors)
    problem = ctx.problem.over(tensors).over_fixed(tensors)
    grads = list(grads[: ctx.results])
    if torch.is_grad_enabled() and not torch.compiler.is_compiling():
        return _distribute(problem, iter(differentiable(problem, grads)))
    _, x, state, _, weights, restart, *_ = ctx.needs_input_grad
    wanted = [x, *state, *weights, *restart]
    found = _backward(grads, wanted, list(tensors), *_flatten(problem))
    return _distribute(
        problem, iter([g if want else None for g, want in zip(found, wanted, strict=True)])
    )


_forward.register_autograd(_differentiate, setup_context=_save)


def _distribute(problem: Problem, found: Iterator[Tensor | None]):
    """Gradients in the order of `Problem.tensors`, nested as the operator's arguments."""
    weights = [part for part in problem.weights if part is not None]
    x = next(found)
    state = [next(found) for _ in problem.state]
    shares = [next(found) for _ in weights]
    restart = [next(found) for _ in problem.restart]
    keep = [None for _ in problem.keep]
    return None, x, state, None, shares, restart, None, None, None, None, keep, None, None, None


def _flatten(p: Problem):
    """A problem as the operator's arguments; `fields` names the weights that are there."""
    present = {name: part for name, part in p.weights._asdict().items() if part is not None}
    return (
        p.cell, p.x, list(p.state), ",".join(present), list(present.values()), list(p.restart),
        p.lengths, p.reset, p.reverse, p.mask, list(p.keep), p.trace, p.checkpoint,
    )  # fmt: skip


def _pack(cell: str, x: Tensor, state: list[Tensor], fields: str, weights: list[Tensor],
          restart: list[Tensor], *rest: Any) -> Problem:  # fmt: skip
    lengths, reset, reverse, mask, keep, trace, small = rest
    present = dict(zip(fields.split(","), weights, strict=True))
    return Problem(
        cell, x, tuple(state), Weights(**present), tuple(restart), lengths, reset, reverse, mask,
        tuple(keep), trace, small,
    )  # fmt: skip


def _fresh(tensors: Iterable[Tensor], given: Iterable[Tensor]) -> list[Tensor]:
    """An operator's outputs are neither its inputs nor each other, and laid out as its fake's."""
    taken = {part.untyped_storage().data_ptr() for part in given}
    fresh: list[Tensor] = []
    for tensor in tensors:
        if tensor.untyped_storage().data_ptr() in taken or not tensor.is_contiguous():
            tensor = tensor.clone(memory_format=torch.contiguous_format)
        taken.add(tensor.untyped_storage().data_ptr())
        fresh.append(tensor)
    return fresh
