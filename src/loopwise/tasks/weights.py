"""A run's bundle with the weights of its checkpoints: those of one, or the mean of the last."""

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from loopwise.errors import CheckpointError, ConfigError, missing_extra
from loopwise.runs import Run
from loopwise.runtime.bundle import Bundle, read_bundle
from loopwise.tasks.registry import read_checkpoint

if TYPE_CHECKING:
    from torch import Tensor


def bundle_of(path: str | os.PathLike[str], checkpoint: str = "best") -> Bundle:
    """The bundle, with a checkpoint's weights if another one than the best is asked for.

    Args:
        path: a bundle, or the directory of a run.
        checkpoint: ``"best"``, ``"latest"``, or one by name, step or path.

    Raises:
        BundleError, RunError, CheckpointError: nothing there, or damaged.
        MissingExtraError: training is not installed, which reads checkpoints.
    """
    bundle = read_bundle(path)
    if checkpoint == "best":
        return bundle
    run = Run.open(path)
    try:
        tensors = read_checkpoint(run, checkpoint).tensors
    except ModuleNotFoundError as error:
        raise missing_extra(error, "--checkpoint") from error
    return replace(bundle, tensors=_arrays(bundle, tensors))


def average_of(path: str | os.PathLike[str], count: int) -> Bundle:
    """The bundle with the mean of the weights of the last checkpoints.

    Its info has their steps as ``"average"``, and no validation, which was of the best weights.

    Args:
        path: the directory of a run.
        count: of checkpoints, at least 2; `TrainConfig.keep` says how many a training leaves.

    Raises:
        ConfigError: a count that is not allowed.
        RunError, BundleError: no run, or one without a bundle.
        CheckpointError: there are fewer, or one is damaged.
        MissingExtraError: training is not installed, which reads checkpoints.
    """
    if count < 2:
        raise ConfigError(f"average={count}: must be at least 2 checkpoints")
    run = Run.open(path)
    bundle = read_bundle(path)
    try:
        from loopwise.train import checkpoints
    except ModuleNotFoundError as error:
        raise missing_extra(error, "an average of checkpoints") from error
    found = checkpoints.list_checkpoints(run.checkpoints)[-count:]
    if len(found) < count:
        raise CheckpointError(
            f"{run.path}: has {len(found)} checkpoints, not {count}: average fewer, or train with "
            f"train.keep={count}"
        )
    sums: dict[str, NDArray[Any]] = {}
    for each in found:
        for name, array in _arrays(bundle, checkpoints.load(each).tensors).items():
            sums[name] = array.astype(np.float64) + sums.get(name, 0.0)
    means = {name: (total / count).astype(np.float32) for name, total in sums.items()}
    steps = [int(each.stem.removeprefix("step-")) for each in found]
    info = {k: v for k, v in bundle.info.items() if k != "validation"}
    return replace(bundle, tensors=means, info={**info, "average": steps})


def _arrays(bundle: Bundle, tensors: "dict[str, Tensor]") -> dict[str, NDArray[Any]]:
    """A checkpoint's weights; what the bundle alone has, as a forecaster's calibration, stays."""
    return {
        name: tensors[f"model.{name}"].float().numpy() if f"model.{name}" in tensors else own
        for name, own in bundle.tensors.items()
    }
