"""The compiled engine as torch sees it: one recurrence forwards, and backwards where it is wanted.

It takes float32 on the CPU, all cells and options but the projected GRU. A second derivative goes
through the reference.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import compress
from typing import Any

import torch
from torch import Tensor

from loopwise import engine
from loopwise.nn.problem import Problem
from loopwise.nn.reference import Scan, Weights
from loopwise.nn.rows import check_range
from loopwise.runtime.shapes import GATES

KEPT = {"rnn_tanh": 1, "rnn_relu": 1, "lstm": 4, "gru": 4}
"""Numbers that a unit keeps of a step for the backward pass; the GRU's fourth is its share of n."""


def can_solve(problem: Problem) -> bool:
    """Whether the engine takes this problem."""
    return (
        takes_kind(problem) and bool(problem.x.numel()) and not torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]
    )


def takes_kind(problem: Problem) -> bool:
    """Whether it takes this one or others like it: sizes may still be wrong."""
    for tensor in problem.tensors():
        if tensor.dtype is not torch.float32 or not tensor.is_cpu:
            return False
    return problem.cell != "gru" or problem.weights.hr is None


def solve(problem: Problem, gradients: Callable[[Problem, Sequence[Any]], Sequence[Any]]) -> Scan:
    """Solve `problem`; autograd sees one operation.

    Args:
        problem: one that `can_solve` accepts.
        gradients: how to differentiate it where the gradient must itself be differentiable.
    """
    if problem.learns():
        y, *rest = _Recurrence.apply(problem, gradients, *problem.tensors())
    else:  # an operation of autograd's costs as much as a short sequence
        y, *rest = forward(problem, learns=False)[0].values()
    size = len(problem.state)
    state = tuple(rest[:size])
    if not problem.trace:
        return Scan(y, state, (), None)
    kept, *cells = rest[size:]
    hidden = problem.weights.hh.shape[0]
    return Scan(y, state, (y, *cells), kept[..., :hidden])


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, problem: Problem, gradients: Any, *tensors: Tensor) -> Any:
        results, extra = forward(problem, learns=True)
        ctx.set_materialize_grads(False)
        ctx.problem, ctx.gradients = problem.without_tensors(), gradients
        # what is saved is watched: to change a mask before the backward pass is an error
        saved = (*results.values(), *extra.values())
        ctx.save_for_backward(*tensors, *problem.fixed(), *saved)
        return tuple(results.values())

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        tensors = iter(ctx.saved_tensors)
        problem = ctx.problem.over(tensors).over_fixed(tensors)
        saved = tuple(tensors)
        if torch.is_grad_enabled():
            return None, None, *_differentiable(problem, ctx.gradients, grads)
        return None, None, *backward(problem, grads, saved, ctx.needs_input_grad[2:])


def forward(
    problem: Problem, learns: bool, *, clean: bool = False
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The results, and what only the backward pass reads, which is kept where one `learns`.

    Both have the order of `_saved_names`. Beyond a row's end the latter holds anything, or zeros
    where it is to be `clean`.

    Raises:
        ShapeError: a length is out of range.
    """
    if problem.lengths is not None:
        check_range(problem.lengths, problem.x.shape[0])
    results, extra = allocate(problem, problem.trace or learns, clean=clean)
    _run(engine.forward, problem, results, extra)
    return results, extra


def allocate(
    problem: Problem, keep: bool, *, clean: bool = False
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Memory for the results, and for what only the backward pass reads; see `forward`."""
    x, w = problem.x, problem.weights
    steps, rows, _ = x.shape
    gates, outputs = w.hh.shape
    units = gates // GATES[problem.cell]
    wide = KEPT[problem.cell] * units
    # beyond a row's end nothing is written
    new = _empty if problem.lengths is None else _zeros
    results = {"y": new(x, steps, rows, outputs), "hn": x.new_empty(rows, outputs)}
    if problem.cell == "lstm":
        results["cn"] = x.new_empty(rows, units)
    extra: dict[str, Tensor] = {}
    if keep:
        new = new if problem.trace or clean else _empty
        into = results if problem.trace else extra
        into["kept"] = new(x, steps, rows, wide)
        if problem.cell == "lstm":
            into["cells"] = new(x, steps, rows, units)
        if w.norm_ih is not None:
            extra["share_x"] = new(x, steps, rows, gates)
            extra["share_h"] = new(x, steps, rows, gates)
    return results, extra


LARGE = 1 << 17
"""Numbers from which on memory of the engine's is worth its price, some microseconds."""

REAL = (Tensor, torch.nn.Parameter)
"""Types whose tensors may have it; fake ones have no memory."""


def _empty(like: Tensor, *shape: int) -> Tensor:
    if math.prod(shape) < LARGE or type(like) not in REAL:
        return like.new_empty(shape)
    return torch.from_numpy(engine.empty(shape))


def _zeros(like: Tensor, *shape: int) -> Tensor:
    return _empty(like, *shape).zero_()


def _saved_names(problem: Problem) -> list[str]:
    """The engine's names of the results and of what it keeps."""
    names = ["y", "hn", "cn", "kept", "cells"] if problem.cell == "lstm" else ["y", "hn", "kept"]
    return names if problem.weights.norm_ih is None else [*names, "share_x", "share_h"]


def _run(call: Callable[..., None], problem: Problem, *more: dict[str, Tensor]) -> None:
    """Give the engine a problem, and tensors of its own for what comes of it."""
    tensors = _arguments(problem)
    for named in more:
        tensors |= named
    arrays: dict[str, Any] = tensors
    if not SHOWN:
        arrays = {name: tensor.detach().numpy() for name, tensor in tensors.items()}
    call(problem.cell, problem.reverse, torch.get_num_threads(), **arrays)


SHOWN = hasattr(Tensor, "__dlpack_c_exchange_api__")
"""Whether torch shows tensors to the engine as they are, which it does from 2.10 on."""


def _arguments(problem: Problem) -> dict[str, Tensor]:
    """A problem as the engine's arguments."""
    tensors = dict(zip(_names(problem), map(_whole, problem.tensors()), strict=True))
    if problem.reset is not None:
        tensors["reset"] = _whole(problem.reset.cpu())
    if problem.lengths is not None:
        lengths = problem.lengths.cpu().to(torch.int32)
        order = lengths.argsort(descending=True, stable=True)
        tensors |= {"order": order.to(torch.int32), "length": lengths[order]}
    if problem.mask is not None:
        tensors["mask"] = _whole(problem.mask)
    if problem.keep:
        tensors |= dict(zip(("keep_h", "keep_c"), map(_whole, problem.keep), strict=False))
    return tensors


def _whole(tensor: Tensor) -> Tensor:
    """With its numbers one after the other in memory."""
    if tensor.is_contiguous() and not tensor.is_neg():  # both at once are dearer
        return tensor
    return tensor.resolve_neg().contiguous()


def _names(problem: Problem) -> tuple[str, ...]:
    """The engine's names of `problem.tensors()`."""
    present = tuple([part is not None for part in problem.weights])
    return _names_of(len(problem.state), present, len(problem.restart))


@cache
def _names_of(state: int, present: tuple[bool, ...], restart: int) -> tuple[str, ...]:
    weights = [engine.WEIGHTS.get(name, name) for name in compress(Weights._fields, present)]
    return ("x", *("h0", "c0")[:state], *weights, *("restart_h", "restart_c")[:restart])


def backward(
    problem: Problem,
    grads: Sequence[Tensor | None],
    saved: Sequence[Tensor],
    wanted: Sequence[bool],
    underway: Mapping[str, Tensor] | None = None,
) -> list[Tensor | None]:
    """The gradients of `problem.tensors()`, None where not `wanted`.

    Args:
        problem: the one that `forward` solved.
        grads: of its results.
        saved: its results and what it has kept besides, in their order.
        wanted: one for each of `problem.tensors()`.
        underway: zeros, to be filled with gradients on their way: ``new_h``, ``new_c``, ``shares``
            of ``native/recurrence.h``.
    """
    names, x = _names(problem), problem.x
    found: dict[str, Tensor] = {}
    for name, like in compress(zip(names, problem.tensors(), strict=True), wanted):
        # states gather sums, and of the input nothing beyond a row's end is written
        sums = name.startswith(("h0", "c0", "restart")) or problem.lengths is not None
        found[name] = (_zeros if sums else _empty)(x, *like.shape)
    results = _saved_names(problem)
    given = {
        f"d_{name}": _whole(grad)
        for name, grad in zip(results, grads, strict=False)
        if grad is not None
    }
    kept = dict(zip(results, saved, strict=True))
    new = {f"d_{name}": tensor for name, tensor in {**found, **(underway or {})}.items()}
    _run(engine.backward, problem, kept, given, new)
    return [found.get(name) for name in names]


def _differentiable(
    problem: Problem,
    gradients: Any,
    grads: Sequence[Tensor | None],
) -> Sequence[Tensor | None]:
    """Through the reference, whose results come in another order: see `solve`."""
    y, *rest = grads
    size = len(problem.state)
    state = rest[:size]
    if problem.trace:
        kept, *cells = rest[size:]
        width = problem.weights.hh.shape[0]
        gates = None if kept is None else kept[..., :width]
        return gradients(problem, [y, *state, None, *cells, gates])
    return gradients(problem, [y, *state])
