"""The compiled engine, where this installation has it; its source is the folder ``native``."""

from typing import Any

try:
    from loopwise import _native
except ImportError as error:  # there was no compiler when loopwise was installed
    _native, MISSING = None, str(error)
else:
    MISSING = ""


def available() -> bool:
    """Whether this installation has the engine."""
    return _native is not None


def isa() -> str:
    """The instruction set in use: ``"baseline"``, ``"avx2"`` or ``"avx512"``.

    Raises:
        RuntimeError: ``LOOPWISE_ISA`` names one that is unknown or that the machine lacks.
    """
    return _engine().isa()


def forward(cell: str, reverse: bool, threads: int, **arrays: Any) -> None:
    """Run a recurrence; results are written into the arrays given for them.

    The arrays are described by `Recurrence` in ``native/recurrence.h``.

    Raises:
        ValueError, TypeError: an array is missing, or has another shape or type. Nothing is
            touched.
    """
    _engine().forward(cell, reverse, threads, **arrays)


def backward(cell: str, reverse: bool, threads: int, **arrays: Any) -> None:
    """Run it backwards: besides the arrays of `forward` those of `Gradients`, as ``d_...``."""
    _engine().backward(cell, reverse, threads, **arrays)


def surprisal(threads: int, scale: float, **arrays: Any) -> None:
    """Put the gradient of the summed surprisals, times `scale`, in the place of logits.

    Args:
        threads: how many to use.
        scale: factor of the gradient.
        arrays: ``logits`` [N, V], float32, or bfloat16 as uint16; ``targets`` [N] int64, a negative
            one leaves its row out; ``nats`` [N] float32, where the surprisals go.

    Raises:
        ValueError, TypeError: as `forward`.
    """
    _engine().surprisal(threads, scale, **arrays)


def activate(function: str, **arrays: Any) -> None:
    """Apply ``"sigmoid"`` or ``"tanh"`` as the kernels do: ``x`` [N] to ``y`` [N]."""
    _engine().activate(function, **arrays)


def _engine():
    if _native is None:
        raise RuntimeError(f"this installation has no native engine: {MISSING}")
    return _native
