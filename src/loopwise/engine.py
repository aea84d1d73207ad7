"""The compiled engine, where this installation has it; its source is the folder ``native``."""

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwise.errors import ConfigError

WEIGHTS = {"ih": "w_ih", "hh": "w_hh", "bias_ih": "b_ih", "bias_hh": "b_hh", "hr": "w_hr"}
"""The engine's names of a cell's weights, where they differ from `runtime.shapes.FIELDS`."""

MISSING = ""
"""Why this installation has no engine; empty where it has one."""


@contextmanager
def _impatient_threads() -> Generator[None]:
    """Have threads that wait for work do so for 0.1 ms before they sleep.

    GNU OpenMP's keep a core busy for 4 ms after each call, where NumPy's threads want it: one
    sentence was translated in 42 ms instead of 16. It reads this once, when it is loaded; not
    where the environment says otherwise, nor where torch has loaded it before. So few rounds cost
    training nothing, but for the smallest layers.
    """
    name = "GOMP_SPINCOUNT"
    if name in os.environ or "OMP_WAIT_POLICY" in os.environ:
        yield
        return
    os.environ[name] = "3000"
    try:
        yield
    finally:
        del os.environ[name]


try:
    with _impatient_threads():
        from loopwise import _native  # pyright: ignore[reportMissingModuleSource]
except ImportError as error:
    _native = None
    MISSING = str(error) if find_spec("loopwise._native") else "it was not built"  # pyright: ignore[reportConstantRedefinition]


def available() -> bool:
    """Whether this installation has the engine."""
    return _native is not None


def isa() -> str:
    """The instruction set in use: ``LOOPWISE_ISA``, else the best of `isas`.

    Every function below needs it, and raises what this one raises.

    Raises:
        ConfigError: ``LOOPWISE_ISA`` names one that is unknown or that the machine lacks, or this
            installation has no engine.
    """
    return _engine().isa()


def isas() -> list[str]:
    """The instruction sets that this machine offers, the best first: of ``"amx"``,
    ``"avx512vnni"``, ``"avx512"`` and ``"avx2"``, or ``"neon"`` where that has dot products of
    bytes, and ``"baseline"``, what every processor of the family has; none without an engine.
    """
    return [] if _native is None else _native.isas()


def threads() -> int:
    """Threads for work outside of torch: ``OMP_NUM_THREADS``, or one for each core allowed."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked):
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def forward(cell: str, reverse: bool, threads: int, **arrays: Any) -> None:
    """Run a recurrence; results are written into the arrays given for them.

    The arrays are described by `Recurrence` in ``native/recurrence.h``.

    Raises:
        ValueError, TypeError: an array is missing, or has another shape or type. Nothing is
            touched.
    """
    _engine().forward(cell, reverse, threads, arrays)


def backward(cell: str, reverse: bool, threads: int, **arrays: Any) -> None:
    """Run it backwards: besides the arrays of `forward` those of `Gradients`, as ``d_...``."""
    _engine().backward(cell, reverse, threads, arrays)


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


def head(threads: int, at_once: int, **arrays: Any) -> bool:
    """Find the surprisals of a linear layer's logits, and the gradients of their sum.

    Args:
        threads: how many to use.
        at_once: rows whose logits may be in memory together.
        arrays: ``x`` [N, F], ``weight`` [V, F], ``bias`` [V] or absent, float32; ``targets`` and
            ``nats`` as `surprisal` has them; where the gradients go, absent where not wanted:
            ``d_x``, ``d_weight``, ``d_bias``.

    Returns:
        whether all numbers were finite. If not, the results are worthless.

    Raises:
        ValueError, TypeError: as `forward`.
    """
    return _engine().head(threads, at_once, **arrays)


def joiner(threads: int, at_once: int, **arrays: Any) -> None:
    """Find a transducer's log probabilities of blank and of the next label, or their gradients.

    Args:
        threads: how many to use.
        at_once: nodes whose logits may be in memory together, backwards.
        arrays: ``encoded`` [T, B, J], ``predicted`` [U + 1, B, J], ``weight`` [V, J], ``bias`` [V]
            or absent, float32; ``targets`` [U, B], ``lengths`` [B], ``target_lengths`` [B], int64;
            ``log_probs`` [B, T, U + 1, 2] to be filled, where there are nodes; or instead of it
            ``d_log_probs`` and where the gradients go, absent where not wanted: ``d_encoded``,
            ``d_predicted``, ``d_weight``, ``d_bias``.

    Raises:
        ValueError, TypeError: as `forward`.
    """
    _engine().joiner(threads, at_once, **arrays)


def lattice(threads: int, **arrays: Any) -> None:
    """Find how surprising transcripts are to a transducer, and the gradient.

    Args:
        threads: how many to use.
        arrays: ``log_probs``, ``lengths`` and ``target_lengths`` as `joiner` has them; ``nats``
            [B], where the results go; ``d_log_probs`` like ``log_probs`` for the gradient, or
            absent.

    Raises:
        ValueError, TypeError: as `forward`.
    """
    _engine().lattice(threads, **arrays)


def empty(shape: Sequence[int]) -> NDArray[np.float32]:
    """An array to be filled, of memory that the engine keeps for the next when it is dropped.

    Large arrays of the system's come in pages that must be cleared first, call after call.
    """
    return _engine().empty(shape)


def pack(gates: int, weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """A weight matrix as the kernels read it: ``packed_w_ih``, ``packed_w_hh`` and ``packed_w_hr``.

    Where `forward` is not given these it packs the weights itself, which takes as long as some
    steps do.

    Args:
        gates: whose rows lie over each other in it; 1 for ``w_hr``.
        weight: [gates * units, inputs].

    Raises:
        ValueError, TypeError: as `forward`.
    """
    return _engine().pack(gates, weight=weight)


def model(precision: str, layers: list[dict[str, Any]], ends: dict[str, Any]) -> Any:
    """A deployed model with its weights packed; see `Model` in ``native/streams.h``.

    Raises:
        ValueError, TypeError: as `forward`.
    """
    return _engine().Model(precision, layers, ends)


def streams(model: Any, capacity: int) -> Any:
    """Streams of a `model`, each at its beginning; see `Streams` in ``native/streams.h``."""
    return _engine().Streams(model, capacity)


def activate(function: str, **arrays: Any) -> None:
    """Apply ``"sigmoid"`` or ``"tanh"`` as the kernels do: ``x`` [N] to ``y`` [N]."""
    _engine().activate(function, **arrays)


@cache
def _engine():
    if _native is None:
        raise ConfigError(f"this installation has no native engine: {MISSING}; see loopwise doctor")
    try:
        _native.isa()
    except RuntimeError as error:
        raise ConfigError(str(error)) from None
    return _native
