"""A model in a lower precision, refused where its task suffers more than allowed. No torch here."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from loopwise.errors import ConfigError
from loopwise.runtime.bundle import Bundle
from loopwise.runtime.load import model_of
from loopwise.runtime.precision import PRECISIONS, decode, encode, require_precision

LIMIT = 0.01
"""Largest relative rise of the metric that is allowed unless told otherwise."""


@dataclass(frozen=True)
class Measurement:
    """What a model makes of a sample.

    Attributes:
        metric: the task's own, lower is better.
        outputs: what it puts out, in an order that is the same for each model.
    """

    metric: float
    outputs: NDArray[np.floating[Any]]


class Sample(Protocol):
    """Held-out data of a task, small enough to be measured on while a person waits."""

    @property
    def name(self) -> str:
        """Where it is from, for messages."""
        ...

    @property
    def metric(self) -> str:
        """What the metric is called."""
        ...

    @property
    def output(self) -> str:
        """What an output is, and its unit."""
        ...

    def measure(self, model: Any) -> Measurement:
        """Let a loaded model of the task work on the sample."""
        ...


@dataclass(frozen=True)
class Comparison:
    """A model in float32 and in a lower precision on the same sample; stands in a bundle's info.

    Attributes:
        metric: what is compared, lower is better.
        float32: its value before.
        lowered: its value in the lower precision.
        rise: of the metric, relative to float32.
        output: what an output is, and its unit.
        outputs: how many there are in the sample.
        mean_difference: of the outputs, absolute.
        largest_difference: of the outputs, absolute.
    """

    metric: str
    float32: float
    lowered: float
    rise: float
    output: str
    outputs: int
    mean_difference: float
    largest_difference: float


def lower(bundle: Bundle, dtype: str, sample: Sample | None, limit: float = LIMIT) -> Bundle:
    """Round a bundle's matrices, and measure what that does to the task.

    Args:
        bundle: in float32; it stays as it is.
        dtype: ``"bfloat16"`` or ``"int8"``.
        sample: what to measure on; the comparison is then in the ``info`` of the result, under
            ``"precision"``. None, not to measure, needs an infinite limit.
        limit: largest relative rise of the metric, at least 0.

    Raises:
        ConfigError: a precision or a limit that is not allowed, no sample with a finite limit, or
            a metric that rises beyond the limit, from zero, or to what is not finite.
        BundleError: weights that are not finite.
    """
    require_lower(bundle, dtype)
    if not limit >= 0:
        raise ConfigError(f"limit={limit}: must be at least 0; 0.01 allows 1 %, inf anything")
    tensors = decode(encode(bundle.tensors, dtype), dtype)
    lowered = dataclasses.replace(bundle, tensors=tensors, dtype=dtype)
    if sample is None:
        if limit < math.inf:
            raise ConfigError(f"dtype={dtype!r}: no sample to measure on; limit=inf goes without")
        return lowered
    comparison = compare(bundle, lowered, sample)
    _require_within(limit, comparison, dtype, sample.name)
    info = {**bundle.info, "precision": dataclasses.asdict(comparison)}
    return dataclasses.replace(lowered, info=info)


def require_lower(bundle: Bundle, dtype: str) -> None:
    """Raise ConfigError unless a bundle can be brought to a precision below its own."""
    require_precision(dtype)
    if bundle.dtype != "float32" or dtype == "float32":
        raise ConfigError(
            f"dtype={dtype!r}: the model is in {bundle.dtype}; only one in float32 can be brought "
            f"to another precision, which is one of {', '.join(PRECISIONS[1:])}"
        )


def compare(before: Bundle, after: Bundle, sample: Sample) -> Comparison:
    """Measure two bundles of a model on the same sample."""
    exact, near = (sample.measure(model_of(bundle)) for bundle in (before, after))
    difference = np.abs(near.outputs - exact.outputs)
    return Comparison(
        metric=sample.metric,
        float32=exact.metric,
        lowered=near.metric,
        rise=_rise(exact.metric, near.metric),
        output=sample.output,
        outputs=difference.size,
        mean_difference=float(difference.mean()),
        largest_difference=float(difference.max()),
    )


def _rise(before: float, after: float) -> float:
    if before == 0:  # as of a task that is solved
        return 0.0 if after == 0 else math.inf
    return after / before - 1


def _require_within(limit: float, found: Comparison, dtype: str, sample: str) -> None:
    change = f"{found.metric} goes from {found.float32:.4g} to {found.lowered:.4g} on {sample}"
    if not math.isfinite(found.rise):
        raise ConfigError(f"dtype={dtype!r}: {change}")
    if found.rise > limit:
        raise ConfigError(
            f"dtype={dtype!r}: {change}: {100 * found.rise:.2g} % more, where the limit "
            f"allows {100 * limit:g} %; take another precision, or a higher limit"
        )
