"""One recurrence by one backend."""

from loopwise.nn import native
from loopwise.nn.gradients import differentiable
from loopwise.nn.kernels import compute
from loopwise.nn.problem import Problem
from loopwise.nn.reference import Scan


def solve(problem: Problem, backend: str) -> Scan:
    """Solve `problem` so that autograd sees through it.

    Args:
        problem: any; whether it asks for checkpoints is no concern here.
        backend: what `loopwise.backend` takes. The engine leaves to torch what it cannot do.
    """
    if backend == "native":
        if native.can_solve(problem):
            return native.solve(problem, differentiable)
        backend = "torch"
    return compute(problem, backend)
