"""The model that a command was given."""

from pathlib import Path
from typing import TYPE_CHECKING

from loopwise.errors import RunError
from loopwise.runs import Run

if TYPE_CHECKING:
    from loopwise.runtime.language_model import LoadedLanguageModel


def open_model(path: Path) -> "LoadedLanguageModel":
    """Load a bundle, or the best model of a run.

    Raises:
        BundleError: `path` is missing, or a file that is no sound bundle.
        RunError: `path` is a directory without a bundle.
    """
    from loopwise.runtime.load import load

    if path.is_dir() and not Run(path).bundle_path.exists():
        run = Run.open(path)
        raise RunError(
            f"{run.path}: this run has no bundle yet; training writes it at each validation that "
            f"is the best so far: continue with --resume"
        )
    return load(path)
