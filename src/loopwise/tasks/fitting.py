"""What `fit` of every estimator does around a training: where the run is, and how it ended."""

import math
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from loopwise.errors import ConfigError, TrainingError

if TYPE_CHECKING:
    from loopwise.train.loop import FitResult


@contextmanager
def run_directory(
    out: str | os.PathLike[str] | None, *, resume: bool, overwrite: bool
) -> Generator[Path]:
    """The directory of a run: `out`, or one that is gone afterwards where that is None.

    Raises:
        ConfigError: `resume` and `overwrite` together, or without `out`.
    """
    if resume and overwrite:
        raise ConfigError("resume and overwrite exclude each other: give one of them")
    if (resume or overwrite) and out is None:
        name = "resume" if resume else "overwrite"
        raise ConfigError(f"{name}=True: needs out=, the directory of the run")
    if out is not None:
        yield Path(out)
        return
    with tempfile.TemporaryDirectory() as scratch:
        yield Path(scratch) / "run"


def require_model(result: "FitResult") -> None:
    """Make sure that a training left a model.

    Raises:
        KeyboardInterrupt: it was interrupted.
        TrainingError: no validation gave a finite loss.
    """
    if result.stopped == "interrupted":
        raise KeyboardInterrupt
    if math.isnan(result.best):
        raise TrainingError(
            f"{result.stopped} at step {result.steps} before a validation gave a finite loss: "
            "there is no model to keep"
        )
