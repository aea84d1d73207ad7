"""The largest eigenvalues and singular values of matrices that are only known by their products."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from loopwise.diagnose.effort import Effort

Array = NDArray[np.float64]
Apply = Callable[[Array], Array]
"""[n, S] to [n, S]: one matrix for each column."""


def eigenvalues(matrix: Array, effort: Effort) -> NDArray[np.complex128]:
    """Eigenvalues of [n, n] by falling modulus: all of a small matrix, of a larger one estimates of
    the outermost (Arnoldi 1951).
    """
    if not np.isfinite(matrix).all():
        return np.full(1, np.nan, complex)
    if len(matrix) > effort.exact:
        matrix = _arnoldi(lambda v: matrix @ v, len(matrix), 1, effort.products)[0]
    values = np.linalg.eigvals(matrix).astype(complex)
    return values[np.argsort(-np.abs(values), kind="stable")]


def norm(matrix: Array, effort: Effort) -> float:
    """The largest singular value of [m, n], of large matrices an estimate from below."""
    if not np.isfinite(matrix).all():
        return float("nan")
    if min(matrix.shape) <= effort.exact:
        return float(np.linalg.norm(matrix, 2))
    return float(norms(lambda v: matrix @ v, lambda u: matrix.T @ u, matrix.shape[1], 1, effort)[0])


def radii(apply: Apply, size: int, count: int, effort: Effort) -> Array:
    """Spectral radius of each of `count` matrices [size, size]."""
    found = _arnoldi(apply, size, count, min(size, effort.products))
    return np.abs(np.linalg.eigvals(found)).max(-1) if size else np.zeros(count)


def norms(apply: Apply, transposed: Apply, size: int, count: int, effort: Effort) -> Array:
    """Largest singular value of each of `count` matrices of `size` columns (Lanczos 1950)."""
    steps = min(size, effort.products // 2)
    found = _arnoldi(lambda v: transposed(apply(v)), size, count, steps)
    return np.sqrt(np.abs(np.linalg.eigvals(found)).max(-1))


def _arnoldi(apply: Apply, size: int, count: int, steps: int) -> Array:
    """The matrices as they act on the Krylov spaces of random vectors, [count, steps, steps]."""
    generator = np.random.default_rng(0)
    basis = np.zeros((steps + 1, size, count))
    upper = np.zeros((count, steps + 1, steps))
    basis[0] = _unit(generator.standard_normal((size, count)))
    for k in range(steps):
        w = apply(basis[k])
        scale = np.linalg.norm(w, axis=0)
        w = _orthogonal(w, basis[: k + 1], upper[:, : k + 1, k])
        rest = np.linalg.norm(w, axis=0)
        # where the space is exhausted go on in a new direction, which is not coupled to the old
        exhausted = rest <= 1e-12 * np.maximum(scale, 1e-300)
        upper[:, k + 1, k] = np.where(exhausted, 0, rest)
        if k + 1 < steps and exhausted.any():
            fresh = _orthogonal(generator.standard_normal((size, count)), basis[: k + 1])
            w = np.where(exhausted, fresh, w)
        basis[k + 1] = _unit(w)
    return upper[:, :steps]


def _orthogonal(w: Array, basis: Array, record: Array | None = None) -> Array:
    """`w` without its parts in the span of `basis` [k, n, S], taken away twice for accuracy."""
    for _ in range(2):
        parts = np.einsum("kns,ns->ks", basis, w)
        w = w - np.einsum("kns,ks->ns", basis, parts)
        if record is not None:
            record += parts.T
    return w


def _unit(w: Array) -> Array:
    return w / np.maximum(np.linalg.norm(w, axis=0), 1e-300)
