"""Spectra of recurrent matrices and of a step's Jacobian, and Lyapunov exponents."""

import copy
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from loopwise.diagnose import krylov
from loopwise.diagnose.curves import GATES
from loopwise.diagnose.effort import QUICK, Effort
from loopwise.diagnose.krylov import Array
from loopwise.diagnose.report import Spectrum
from loopwise.nn import reference
from loopwise.nn.adjoint import Followed
from loopwise.nn.problem import Problem
from loopwise.nn.reference import Hidden

SHOWN = 64
"""Eigenvalues of a gate that a report holds at most."""


def spectrum(problem: Problem, followed: Followed, effort: Effort = QUICK) -> Spectrum:
    """What the recurrence does to its state, near and along the trajectory; see `Spectrum`."""
    values, norms = {}, {}
    w = problem.weights
    gates = w.hh.detach().double().chunk(len(GATES[problem.cell]))
    for name, gate in zip(GATES[problem.cell], gates, strict=True):
        whole = _square(gate, w.hr, problem.cell)
        matrix = whole.cpu().numpy()
        values[name] = krylov.eigenvalues(matrix, effort)
        norms[name] = krylov.norm(matrix, effort)
    path = _path(problem, followed, effort.steps)
    points = np.unique(np.linspace(0, len(path.shares) - 1, effort.points).round().astype(int))
    radii, sizes = _extremes(path, points, effort)
    return Spectrum(
        {name: float(abs(v[0])) for name, v in values.items()},
        norms,
        {
            name: tuple((float(z.real), float(z.imag)) for z in v[:SHOWN])
            for name, v in values.items()
        },
        tuple(radii.tolist()),
        tuple(sizes.tolist()),
        tuple(int(path.first + point) for point in points),
        tuple(_lyapunov(path, effort.exponents).tolist()),
    )


def _square(gate: Tensor, hr: Tensor | None, cell: str) -> Tensor:
    """From the state to the state: with the projection before a GRU's gates, behind the others'."""
    if hr is None:
        return gate
    return gate @ hr.double() if cell == "gru" else hr.double() @ gate


class _Path(NamedTuple):
    """The first of the longest rows, alone, in the order of its steps, without the noise of dropout
    and zoneout.
    """

    cell: str
    weights: reference.Weights
    shares: Tensor
    """[S, G*H], the input's share of the gates"""
    states: Hidden
    """before each of these steps, each [S, size]"""
    first: int
    """which of the row's steps is the first of them"""

    @property
    def size(self) -> int:
        """Numbers of a whole state."""
        return sum(part.shape[1] for part in self.states)


def _path(problem: Problem, followed: Followed, most: int) -> _Path:
    lengths = problem.lengths
    row = 0 if lengths is None else int(lengths.argmax())
    length = len(problem.x) if lengths is None else int(lengths[row])
    first = max(length - most, 0)

    def in_order(tensor: Tensor) -> Tensor:
        part = tensor[:length, row].detach().cpu()
        return part.flip(0) if problem.reverse else part

    w = reference.Weights._make(
        None if part is None else part.detach().cpu() for part in problem.weights
    )
    before = [
        torch.cat((given[row : row + 1].detach().cpu(), in_order(after)[:-1]))[first:]
        for given, after in zip(problem.state, followed.states, strict=True)
    ]
    shares = reference.project_input(in_order(problem.x)[first:], w)
    return _Path(problem.cell, w, shares, tuple(before), first)


class _Jacobians:
    """The Jacobians of a path's steps, by their products with columns [n, S], one for each step."""

    def __init__(self, path: _Path, steps: NDArray[np.int_]):
        self._path, self._steps = path, steps
        index = torch.from_numpy(steps)
        self._sizes = [part.shape[1] for part in path.states]
        self._share = path.shares[index]
        self._state = tuple(part[index] for part in path.states)
        self._step = reference.STEPS[path.cell]

    def at(self, first: int, count: int) -> "_Jacobians":
        """Some of them, of neighbouring steps."""
        return _Jacobians(self._path, self._steps[first : first + count])

    def push(self, columns: Array) -> Array:
        """The product with each Jacobian: what is pulled back, differentiated by what pulls."""
        *_, pulling, pulled = self._graph
        parts = self._parts(columns)
        return _columns(_grad(pulled, pulling, parts))

    def pull(self, columns: Array) -> Array:
        """The product with each transposed Jacobian."""
        nodes, new, *_ = self._graph
        return _columns(_grad(new, nodes, self._parts(columns)))

    @cached_property
    def _graph(self) -> tuple[Hidden, Hidden, Hidden, Hidden]:
        nodes = tuple(part.clone().requires_grad_() for part in self._state)
        with torch.enable_grad():
            new = self._step(self._share, nodes, self._path.weights, None)[0]
            pulling = tuple(torch.zeros_like(part).requires_grad_() for part in new)
            pulled = torch.autograd.grad(
                new, nodes, pulling, create_graph=True, materialize_grads=True
            )
        return nodes, new, pulling, pulled

    def _parts(self, columns: Array) -> Sequence[Tensor]:
        whole = torch.from_numpy(np.ascontiguousarray(columns.T)).to(self._share.dtype)
        return whole.split(self._sizes, 1)


class _UnitwiseJacobians(_Jacobians):
    """The same where units meet in the recurrent product alone, without layer norm: each is that
    matrix between diagonals, which are found once and cost nothing to apply.
    """

    def __init__(self, path: _Path, steps: NDArray[np.int_]):
        super().__init__(path, steps)
        w = path.weights
        self._hh = w.hh
        self._hr = w.hr
        with torch.no_grad():
            u = reference.project_state(self._state[0], w, None)
        # the state's share of the gates stands where a bias does, apart from its own matrix
        inputs = tuple(part.clone().requires_grad_() for part in (u, *self._state))
        alone = w._replace(hh=torch.zeros_like(w.hh), bias_hh=inputs[0], hr=None)
        with torch.enable_grad():
            new = self._step(self._share, inputs[1:], alone, None)[0]
        count = len(steps)
        self._partial: list[list[Tensor]] = []  # of each new part by gates and old parts
        for part in new:
            found = torch.autograd.grad(
                part.sum(), inputs, retain_graph=True, materialize_grads=True
            )
            units = part.shape[1]
            # projected, h has no place of its own in the new state
            self._partial.append([found[0].view(count, -1, units), *found[1:]])

    def at(self, first: int, count: int) -> "_UnitwiseJacobians":
        """Some of them, of neighbouring steps."""
        some, part = copy.copy(self), slice(first, first + count)
        some._partial = [[each[part] for each in row] for row in self._partial]
        return some

    def push(self, columns: Array) -> Array:
        """The product with each Jacobian."""
        old = self._parts(columns)
        gates = old[0] @ self._hh.T
        new: list[Tensor] = []
        for by_gates, *by_parts in self._partial:
            part = (by_gates * gates.view_as(by_gates)).sum(1)
            for by, d in zip(by_parts, old, strict=True):
                if by.shape[1] == part.shape[1]:
                    part = part + by * d
            new.append(part)
        if self._hr is not None:
            new[0] = new[0] @ self._hr.T
        return _columns(new)

    def pull(self, columns: Array) -> Array:
        """The product with each transposed Jacobian."""
        new = list(self._parts(columns))
        if self._hr is not None:
            new[0] = new[0] @ self._hr
        pairs = list(zip(self._partial, new, strict=True))
        gates = sum((by[0] * d.unsqueeze(1)).flatten(1) for by, d in pairs)
        old = [torch.as_tensor(gates) @ self._hh]
        old += [torch.zeros_like(part) for part in self._state[1:]]
        for (_, *by_parts), d in pairs:
            for number, by in enumerate(by_parts):
                if by.shape[1] == d.shape[1]:
                    old[number] = old[number] + by * d
        return _columns(old)


def _jacobians(path: _Path, steps: NDArray[np.int_]) -> _Jacobians:
    w = path.weights
    unitwise = w.norm_hh is None and (w.hr is None or path.cell != "gru")
    return (_UnitwiseJacobians if unitwise else _Jacobians)(path, steps)


def _extremes(path: _Path, points: NDArray[np.int_], effort: Effort) -> tuple[Array, Array]:
    """Spectral radius and norm of the step's Jacobian at some points."""
    count, size = len(points), path.size
    if size <= effort.exact:
        columns = np.tile(np.eye(size), (1, count))
        found = _jacobians(path, points.repeat(size)).push(columns)
        every = found.reshape(size, count, size).transpose(1, 0, 2)
        if not np.isfinite(every).all():
            return np.full(count, np.nan), np.full(count, np.nan)
        return np.abs(np.linalg.eigvals(every)).max(-1), np.linalg.norm(every, 2, axis=(1, 2))
    step = _jacobians(path, points)
    if not np.isfinite(step.push(np.ones((size, count)))).all():
        return np.full(count, np.nan), np.full(count, np.nan)
    radii = krylov.radii(step.push, size, count, effort)
    return radii, krylov.norms(step.push, step.pull, size, count, effort)


def _lyapunov(path: _Path, most: int) -> Array:
    """The largest exponents: directions pushed along the trajectory, made orthonormal each step."""
    count, steps = min(most, path.size), len(path.shares)
    directions = np.linalg.qr(np.random.default_rng(0).standard_normal((path.size, count)))[0]
    total, taken = np.zeros(count), 0
    every = _jacobians(path, np.arange(steps).repeat(count))
    for t in range(steps):
        directions = every.at(t * count, count).push(directions)
        if not np.isfinite(directions).all():
            return np.full(count, np.nan)
        directions, upper = np.linalg.qr(directions)
        if t >= steps // 4:
            with np.errstate(divide="ignore"):
                total += np.log(np.abs(np.diag(upper)))
            taken += 1
    return np.sort(total / max(taken, 1))[::-1]


def _grad(outputs: Hidden, inputs: Hidden, grads: Sequence[Tensor]) -> Sequence[Tensor]:
    pairs = [(y, d) for y, d in zip(outputs, grads, strict=True) if y.requires_grad]
    return torch.autograd.grad(
        [y for y, _ in pairs],
        inputs,
        [d for _, d in pairs],
        retain_graph=True,
        materialize_grads=True,
    )


def _columns(parts: Sequence[Tensor]) -> Array:
    return torch.cat(list(parts), 1).double().numpy().T
