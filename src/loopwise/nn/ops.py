"""The seam between layers and kernels: one recurrence, whoever computes it.

`recurrence` takes one layer in one direction through a batch of sequences. In eager mode it calls
the chosen backend directly, and torch's autograd sees through it. While torch compiles or exports,
it becomes the single operator ``loopwise::recurrence``, whatever the lengths and resets hold, so
that a graph never breaks; its backward computes the recurrence again.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from loopwise.nn import native
from loopwise.nn.autocast import autocast_active
from loopwise.nn.backend import current_backend
from loopwise.nn.kernels import compute, compute_step
from loopwise.nn.problem import Problem
from loopwise.nn.reference import Hidden, Scan, Weights
from loopwise.nn.transforms import transforms_active


def recurrence(problem: Problem) -> Scan:
    """Take one layer in one direction through a batch of sequences.

    Outputs, states and gates beyond a row's length are zero; the final state is the one at each
    row's end.
    """
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
    if torch.compiler.is_compiling():
        return _unflatten(problem, _operator(*_flatten(problem)))
    return _compute(problem, current_backend())


def _compute(problem: Problem, backend: str) -> Scan:
    if backend == "native":
        if native.can_solve(problem):
            return native.solve(problem, _differentiable_gradients)
        backend = "torch"
    return compute(problem, backend)


# The operator sees flat lists; what follows translates, and gives its shapes and its gradient.


_ARGUMENTS = (
    "str cell, Tensor x, Tensor[] state, str fields, Tensor[] weights, Tensor[] restart, "
    "Tensor? lengths, Tensor? reset, bool reverse, Tensor? mask, Tensor[] keep, bool trace"
)


@torch.library.custom_op(
    "loopwise::recurrence", mutates_args=(), schema=f"({_ARGUMENTS}) -> Tensor[]"
)
def _operator(*arguments: Any) -> list[Tensor]:
    problem = _pack(*arguments)
    return _fresh(_scan_tensors(_compute(problem, current_backend())))


@_operator.register_fake
def _(*arguments: Any) -> list[Tensor]:  # pyright: ignore[reportUnusedFunction]
    problem = _pack(*arguments)
    x, state, w = problem.x, problem.state, problem.weights
    width = w.hh.shape[1] if w.hr is None else w.hr.shape[0]
    steps, rows = x.shape[:2]
    final = [x.new_empty(part.shape) for part in state]
    if not problem.trace:
        return [x.new_empty(steps, rows, width), *final]
    every = [x.new_empty(steps, *part.shape) for part in state]
    gates = x.new_empty(steps, rows, w.ih.shape[0])
    return [x.new_empty(steps, rows, width), *final, *every, gates]


@torch.library.custom_op(
    "loopwise::recurrence_backward",
    mutates_args=(),
    schema=f"(Tensor[] grads, {_ARGUMENTS}) -> Tensor[]",
)
def _backward_operator(grads: list[Tensor], *arguments: Any) -> list[Tensor]:
    problem = _pack(*arguments)
    return _fresh(_gradients(problem, grads, current_backend()))


@_backward_operator.register_fake
def _(grads: list[Tensor], *arguments: Any) -> list[Tensor]:  # pyright: ignore[reportUnusedFunction]
    problem = _pack(*arguments)
    return [tensor.new_empty(tensor.shape) for tensor in problem.tensors()]


def _save(ctx, inputs, output):  # pyright: ignore
    (
        ctx.cell,
        x,
        state,
        ctx.fields,
        weights,
        restart,
        lengths,
        reset,
        ctx.reverse,
        mask,
        keep,
        ctx.trace,
    ) = inputs
    flat = [x, *state, *weights, *restart, lengths, reset, mask, *keep]
    ctx.sizes = [1, len(state), len(weights), len(restart), 1, 1, 1, len(keep)]
    ctx.save_for_backward(*flat)


def _backward(ctx, grads):  # pyright: ignore
    parts = iter(ctx.saved_tensors)
    x, state, weights, restart, lengths, reset, mask, keep = (
        [next(parts) for _ in range(size)] for size in ctx.sizes
    )
    arguments = (
        ctx.cell, x[0], state, ctx.fields, weights, restart, lengths[0], reset[0], ctx.reverse,
        mask[0], keep, ctx.trace,
    )  # fmt: skip
    problem = _pack(*arguments)
    if torch.is_grad_enabled() and not torch.compiler.is_compiling():
        found = _differentiable_gradients(problem, grads)
    else:
        found = _backward_operator(list(grads), *arguments)
    return _distribute(problem, iter(found))


_operator.register_autograd(_backward, setup_context=_save)


def _gradients(problem: Problem, grads: Sequence[Tensor], backend: str) -> Sequence[Tensor]:
    """The gradients of `Problem.tensors`, by computing the recurrence again."""
    inputs = [tensor.detach().requires_grad_() for tensor in problem.tensors()]
    with _recording(), torch.autocast(problem.x.device.type, enabled=False):
        outputs = _scan_tensors(_compute(problem.over(iter(inputs)), backend))
    return _grad(outputs, inputs, grads)


@contextmanager
def _recording() -> Generator[None]:
    """Let autograd record inside an operator, where the dispatcher has switched it off."""
    c = torch._C  # pyright: ignore[reportPrivateUsage]
    key = c.DispatchKey.AutogradFunctionality
    with c._PreserveDispatchKeyGuard(), torch.enable_grad():  # pyright: ignore[reportPrivateUsage]
        c._dispatch_tls_set_dispatch_key_excluded(key, False)  # pyright: ignore[reportPrivateUsage]
        yield


def _differentiable_gradients(
    problem: Problem, grads: Sequence[Tensor | None]
) -> Sequence[Tensor | None]:
    """The same as part of the graph, for a second derivative: through the reference."""
    # Views tell apart what is one tensor in two places, whose gradient each would get in full.
    problem = problem.over(iter([tensor.view_as(tensor) for tensor in problem.tensors()]))
    inputs = problem.tensors()
    outputs = _scan_tensors(compute(problem, "reference"))
    needed = [tensor for tensor in inputs if tensor.requires_grad]
    found = iter(_grad(outputs, needed, grads, create_graph=True))
    return [next(found) if tensor.requires_grad else None for tensor in inputs]


def _grad(
    outputs: Sequence[Tensor],
    inputs: Sequence[Tensor],
    grads: Sequence[Tensor | None],
    *,
    create_graph: bool = False,
) -> Sequence[Tensor]:
    pairs = [
        (y, grad)
        for y, grad in zip(outputs, grads, strict=True)
        if y.requires_grad and grad is not None
    ]
    return torch.autograd.grad(
        [y for y, _ in pairs],
        inputs,
        [grad for _, grad in pairs],
        create_graph=create_graph,
        materialize_grads=True,
    )


def _distribute(problem: Problem, found: Iterator[Tensor | None]):
    """Gradients in the order of `Problem.tensors`, nested as the operator's arguments."""
    weights = [part for part in problem.weights if part is not None]
    x = next(found)
    state = [next(found) for _ in problem.state]
    shares = [next(found) for _ in weights]
    restart = [next(found) for _ in problem.restart]
    keep = [None for _ in problem.keep]
    return None, x, state, None, shares, restart, None, None, None, None, keep, None


def _flatten(p: Problem):
    """A problem as the operator's arguments; `fields` names the weights that are there."""
    present = {name: part for name, part in p.weights._asdict().items() if part is not None}
    return (
        p.cell, p.x, list(p.state), ",".join(present), list(present.values()), list(p.restart),
        p.lengths, p.reset, p.reverse, p.mask, list(p.keep), p.trace,
    )  # fmt: skip


def _pack(cell, x, state, fields, weights, restart, lengths, reset, reverse, mask, keep, trace):  # pyright: ignore
    """The inverse of `_flatten`."""
    return Problem(
        cell, x, tuple(state), Weights(**dict(zip(fields.split(","), weights, strict=True))),
        tuple(restart), lengths, reset, reverse, mask, tuple(keep), trace,
    )  # fmt: skip


def _fresh(tensors: Iterable[Tensor]) -> list[Tensor]:
    """An operator's outputs may not be its inputs, and are laid out as its fake's."""
    return [tensor.clone(memory_format=torch.contiguous_format) for tensor in tensors]


def _scan_tensors(scan: Scan) -> list[Tensor]:
    gates = [] if scan.gates is None else [scan.gates]
    return [scan.output, *scan.state, *scan.states, *gates]


def _unflatten(problem: Problem, tensors: Sequence[Tensor]) -> Scan:
    y, *rest = tensors
    size = len(problem.state)
    if not problem.trace:
        return Scan(y, tuple(rest), (), None)
    return Scan(y, tuple(rest[:size]), tuple(rest[size:-1]), rest[-1])
