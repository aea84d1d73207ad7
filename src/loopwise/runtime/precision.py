"""What a model's matrices keep in a lower precision, in a bundle as in the engine.

Matrices are what is multiplied, and the embedding. In bfloat16 each number is the nearest one; in
int8 a row, that is what makes one output, is whole numbers from -127 to 127 and one float32 scale.
Biases, norms, peepholes and initial states stay float32.
"""

from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from loopwise.errors import BundleError, ConfigError
from loopwise.runtime.shapes import MATRICES, Shapes

PRECISIONS = ("float32", "bfloat16", "int8")

Tensors = Mapping[str, NDArray[Any]]

_FLOATS = ("float16", "float32", "float64")


def require_precision(precision: str) -> None:
    """Raise ConfigError unless it is one of `PRECISIONS`."""
    if precision not in PRECISIONS:
        raise ConfigError(f"dtype={precision!r}: expected one of {', '.join(PRECISIONS)}")


def encode(tensors: Tensors, precision: str) -> dict[str, NDArray[Any]]:
    """Tensors as a bundle of a precision stores them; those for float32 are left as they are.

    Raises:
        BundleError: a number that int8 cannot hold: infinity, or NaN.
    """
    if precision == "float32":
        return dict(tensors)
    stored: dict[str, NDArray[Any]] = {}
    for name, tensor in tensors.items():
        exact = tensor.astype(np.float32)
        if not _is_matrix(name):
            stored[name] = exact
        elif precision == "bfloat16":
            stored[name] = exact.astype(ml_dtypes.bfloat16)
        elif not np.isfinite(exact).all():
            raise BundleError(f"tensor {name} has numbers that are not finite, which int8 has not")
        else:
            stored[name], stored[_scale_of(name)] = _quantise(exact)
    return stored


def decode(stored: Tensors, precision: str) -> dict[str, NDArray[Any]]:
    """The numbers that a bundle's tensors stand for: `encode` gives the very same tensors again."""
    if precision == "float32":
        return dict(stored)
    scales = {_scale_of(name) for name in stored if _is_matrix(name)}
    tensors = {name: t.astype(np.float32) for name, t in stored.items() if name not in scales}
    if precision == "int8":
        for name in filter(_is_matrix, tensors):
            tensors[name] *= stored[_scale_of(name)][:, np.newaxis]
    return tensors


def stored_forms(
    shapes: Shapes, precision: str
) -> dict[str, tuple[tuple[int, ...], tuple[str, ...]]]:
    """Shape and allowed types of each tensor in a bundle of a precision."""
    if precision == "float32":
        return {name: (shape, _FLOATS) for name, shape in shapes.items()}
    forms = {
        name: (shape, (precision if _is_matrix(name) else "float32",))
        for name, shape in shapes.items()
    }
    if precision == "int8":
        rows = {_scale_of(name): shape[:1] for name, shape in shapes.items() if _is_matrix(name)}
        forms |= {name: (shape, ("float32",)) for name, shape in rows.items()}
    return forms


def _is_matrix(name: str) -> bool:
    return name.rpartition(".")[2] in MATRICES


def _scale_of(name: str) -> str:
    return f"{name}.scale"


def _quantise(matrix: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """The numbers that the engine makes of a matrix when it packs it, and each row's scale."""
    scale = np.abs(matrix).max(axis=1) / np.float32(127)
    scale[scale == 0] = 1
    # Who packs the decoded row finds this very scale s: 127 s / 127 is another float only where
    # 127 s lies halfway between two of them, and then no float divided by 127 gives s.
    numbers = np.rint(matrix / scale[:, np.newaxis]).astype(np.int8)
    return numbers, scale
