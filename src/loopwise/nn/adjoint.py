"""What a recurrence sends back through time, step by step: the gradients that training adds up.

`follow` runs a recurrence and keeps what it did; `Followed.back` then answers for any gradient of
its results what reaches every single step. The engine does it where it can; elsewhere autograd
looks at each step of the definition.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from loopwise.nn import native, reference
from loopwise.nn.backend import current_backend
from loopwise.nn.problem import Problem
from loopwise.nn.reference import Hidden
from loopwise.nn.rows import restarts_in_reverse, turn


class Adjoint(NamedTuple):
    """Total derivatives of a number with respect to what each step computes, zero beyond a row's
    end.
    """

    h: Tensor
    """[T, B, P], of ``h_t`` as the step computes it, before zoneout"""
    c: Tensor | None
    """[T, B, H], of ``c_t`` likewise; None without one"""
    gates: Tensor
    """[T, B, G*H], of the input's share of the gates, before activation"""
    x: Tensor | None
    """[T, B, I]; None unless asked for"""


class Followed(Protocol):
    """A recurrence that was run, and can be asked for what flows back."""

    states: Hidden
    """after every step, each [T, B, size]"""
    gates: Tensor
    """activated, [T, B, G*H]"""

    def back(
        self, d_output: Tensor | None, d_state: Sequence[Tensor | None], *, inputs: bool = True
    ) -> Adjoint:
        """The adjoint of a number whose gradients with respect to the results are given.

        Args:
            d_output: [T, B, P], or None for zero.
            d_state: of the final state, each [B, size] or None.
            inputs: whether also of the inputs.
        """
        ...


def follow(problem: Problem) -> Followed:
    """Run `problem`, which has a step and a row at least, and keep what the way back needs."""
    problem = problem.over(iter([tensor.detach() for tensor in problem.tensors()]))
    problem = problem._replace(trace=False, checkpoint=False)
    if current_backend() == "native" and native.can_solve(problem):
        return _Native(problem)
    return _Reference(problem)


class _Native:
    def __init__(self, problem: Problem):
        self._problem = problem
        results, extra = native.forward(problem, learns=True, clean=True)
        self._saved = (*results.values(), *extra.values())
        self.gates = extra["kept"][..., : problem.weights.hh.shape[0]].contiguous()
        cells = (extra["cells"],) if problem.cell == "lstm" else ()
        self.states = (results["y"], *cells)

    def back(
        self, d_output: Tensor | None, d_state: Sequence[Tensor | None], *, inputs: bool = True
    ) -> Adjoint:
        problem = self._problem
        wanted = [inputs and tensor is problem.x for tensor in problem.tensors()]
        h, *c = (torch.zeros_like(part) for part in self.states)
        found = {"new_h": h, "shares": torch.zeros_like(self.gates)}
        if c:
            found["new_c"] = c[0]
        grads = (d_output, *d_state)
        x, *_ = native.backward(problem, grads, self._saved, wanted, found)
        return Adjoint(h, found.get("new_c"), found["shares"], x)


class _Reference:
    def __init__(self, problem: Problem):
        self._lengths, self._reverse = problem.lengths, problem.reverse
        with torch.enable_grad():
            self._run(problem)

    def _run(self, problem: Problem) -> None:
        step = reference.STEPS[problem.cell]
        self._x = problem.x.requires_grad_()
        self._shares = reference.project_input(self._turn(self._x), problem.weights).unbind()
        keep = [self._turn(part) for part in problem.keep]
        self._alive = alive = _alive(problem)
        restarts = self._restarts(problem)
        self._new: list[Hidden] = []
        states: list[Hidden] = []
        gates: list[Tensor] = []
        state = problem.state
        for t, share in enumerate(self._shares):
            if restarts is not None:
                state = _where(restarts[t], problem.restart, state)
            new, gate = step(share, state, problem.weights, problem.mask)
            after = reference.zone_out(state, new, [part[t] for part in keep])
            state = _where(alive[t], after, state)
            self._new.append(new)
            states.append(after)
            gates.append(gate)
        self._final = state
        outputs = [reference.output(problem.cell, after, problem.weights) for after in states]
        self._output = self._in_time(outputs)
        self.states = tuple(self._in_time(part).detach() for part in zip(*states, strict=True))
        self.gates = self._in_time(gates).detach()

    def back(
        self, d_output: Tensor | None, d_state: Sequence[Tensor | None], *, inputs: bool = True
    ) -> Adjoint:
        ends = [(self._output, d_output), *zip(self._final, d_state, strict=True)]
        used = [(end, d) for end, d in ends if d is not None and end.requires_grad]
        new = list(zip(*self._new, strict=True))
        x, *found = torch.autograd.grad(
            [end for end, _ in used],
            [self._x, *self._shares, *(part for parts in new for part in parts)],
            [d for _, d in used],
            retain_graph=True,
            materialize_grads=True,
        )
        steps = len(self._shares)
        shares, h, *c = (
            self._in_time(found[first : first + steps]) for first in range(0, len(found), steps)
        )
        return Adjoint(h, c[0] if c else None, shares, x if inputs else None)

    def _turn(self, tensor: Tensor) -> Tensor:
        """From time to the order in which a row takes its steps, and back."""
        return turn(tensor, self._lengths) if self._reverse else tensor

    def _in_time(self, steps: Sequence[Tensor]) -> Tensor:
        """One tensor [T, B, ...] from what each step has, zero beyond a row's end."""
        return self._turn(torch.stack(list(steps)) * self._alive)

    def _restarts(self, problem: Problem) -> Tensor | None:
        """[T, B, 1]: whether a row that is alive begins anew before that step."""
        if problem.reset is None:
            return None
        reset = problem.reset
        if self._reverse:
            reset = restarts_in_reverse(reset, self._lengths)
        return reset.unsqueeze(-1) & self._alive


def _alive(problem: Problem) -> Tensor:
    """[T, B, 1]: whether a row still has a step to take."""
    x, lengths = problem.x, problem.lengths
    if lengths is None:
        return x.new_ones(*x.shape[:2], 1, dtype=torch.bool)
    time = torch.arange(x.shape[0], device=x.device).unsqueeze(1)
    return (time < lengths.to(x.device)).unsqueeze(-1)


def _where(condition: Tensor, yes: Hidden, no: Hidden) -> Hidden:
    return tuple(torch.where(condition, a, b) for a, b in zip(yes, no, strict=True))
