"""Gradients of a recurrence by computing it once more, with autograd watching."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from loopwise.nn.kernels import compute
from loopwise.nn.problem import Problem
from loopwise.nn.reference import Scan

Run = Callable[[Problem], Scan]


def recomputed(
    problem: Problem, grads: Sequence[Tensor | None], wanted: Sequence[bool], run: Run
) -> Sequence[Tensor | None]:
    """The gradients of `Problem.tensors`, None where not `wanted`; also inside of an operator.

    Args:
        problem: what was solved.
        grads: of `Scan.tensors`.
        wanted: one for each of `Problem.tensors`.
        run: how to solve it.
    """
    inputs = [
        tensor.detach().requires_grad_(want)
        for tensor, want in zip(problem.tensors(), wanted, strict=True)
    ]
    with _recording(), torch.autocast(problem.x.device.type, enabled=False):
        outputs = run(problem.over(iter(inputs))).tensors()
    return _grad(outputs, inputs, grads)


def differentiable(problem: Problem, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
    """The same as part of the graph, for a second derivative: through the reference."""
    # Views tell apart what is one tensor in two places, whose gradient each would get in full.
    problem = problem.over(iter([tensor.view_as(tensor) for tensor in problem.tensors()]))
    outputs = compute(problem, "reference").tensors()
    return _grad(outputs, problem.tensors(), grads, create_graph=True)


@contextmanager
def _recording() -> Generator[None]:
    """Let autograd record inside an operator, where the dispatcher has switched it off."""
    c = torch._C  # pyright: ignore[reportPrivateUsage]
    key = c.DispatchKey.AutogradFunctionality
    with c._PreserveDispatchKeyGuard(), torch.enable_grad():  # pyright: ignore[reportPrivateUsage]
        c._dispatch_tls_set_dispatch_key_excluded(key, False)  # pyright: ignore[reportPrivateUsage]
        yield


def _grad(
    outputs: Sequence[Tensor],
    inputs: Sequence[Tensor],
    grads: Sequence[Tensor | None],
    *,
    create_graph: bool = False,
) -> Sequence[Tensor | None]:
    pairs = [
        (y, grad)
        for y, grad in zip(outputs, grads, strict=True)
        if y.requires_grad and grad is not None
    ]
    needed = [tensor for tensor in inputs if tensor.requires_grad]
    found = iter(
        torch.autograd.grad(
            [y for y, _ in pairs],
            needed,
            [grad for _, grad in pairs],
            create_graph=create_graph,
            materialize_grads=True,
        )
    )
    return [next(found) if tensor.requires_grad else None for tensor in inputs]
