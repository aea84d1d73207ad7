"""What estimators share: where the run of a `fit` is, how it ended, and the model that it left."""

import math
import os
import tempfile
from collections.abc import Collection, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from loopwise.errors import ConfigError, RunError, TrainingError
from loopwise.export.precision import LIMIT, Sample, lower
from loopwise.runtime.bundle import Bundle, write_bundle
from loopwise.train.config import TaskConfig

if TYPE_CHECKING:
    from loopwise.train.loop import FitResult


class Loaded(Protocol):
    """A model as `loopwise.load` gives it."""

    bundle: Bundle


C = TypeVar("C", bound=TaskConfig)
L = TypeVar("L", bound=Loaded)


class Estimator(Generic[C, L]):
    """Options, and once fitted the model.

    Args:
        kind: of the options.
        config: all of them; None for the defaults.
        settings: single ones instead.
        unsaid: options that name files; what they are for is given to `fit`.
        given: what that is, as ``"texts"``.

    Attributes:
        config: the options.
        result: how the training ended, once fitted.

    Raises:
        ConfigError: an option is not allowed.
    """

    def __init__(
        self,
        kind: type[C],
        config: C | None,
        settings: dict[str, Any],
        unsaid: Collection[str],
        given: str,
    ):
        name = type(self).__name__
        if config is not None and settings:
            raise TypeError("give a configuration or single settings, not both")
        for key in set(unsaid) & settings.keys():
            raise ConfigError(f"{name}: {key}= is no option; give {given} to fit")
        self.config: C = config or kind.from_settings(name, unsaid, **settings)
        self.result: FitResult | None = None
        self._given = given
        self._fitted: L | None = None
        self._sample: Sample | None = None

    def save(
        self, path: str | os.PathLike[str], *, dtype: str = "float32", limit: float = LIMIT
    ) -> None:
        """Write the bundle, to be read by `loopwise.load`.

        Args:
            path: the file.
            dtype: of the weights: ``"float32"``; ``"bfloat16"``, half as large; or ``"int8"``, a
                quarter as large.
            limit: largest relative rise of the perplexity in a lower precision, measured on a part
                of what was held out to validate: 0.01 allows 1 %, ``math.inf`` anything. What was
                measured is in the bundle's ``info["precision"]``.

        Raises:
            ConfigError: a precision or a limit that is not allowed, or a perplexity beyond it.
            BundleError: the file cannot be written.
        """
        bundle = self.fitted.bundle
        if dtype != "float32":
            bundle = lower(bundle, dtype, self._sample, limit)
        write_bundle(path, bundle)

    @property
    def fitted(self) -> L:
        """The trained model, as `loopwise.load` would give it.

        Raises:
            RunError: `fit` has not been called.
        """
        if self._fitted is None:
            name = type(self).__name__
            raise RunError(f"this {name} is not trained yet: call fit({self._given}) first")
        return self._fitted


@contextmanager
def run_directory(
    out: str | os.PathLike[str] | None, *, resume: bool = False, overwrite: bool = False
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
