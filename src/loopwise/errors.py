"""Every error that loopwise raises for a mistake or a broken file, as one tree.

::

    LoopwiseError
    ├── ConfigError (ValueError)      an option, a key or a value that is not allowed
    ├── ShapeError (ValueError,       tensors that do not fit each other or the layer
    │               RuntimeError)
    ├── DataError (ValueError)        input data that cannot be read or used
    ├── FileError (OSError)           a file of ours that is missing, damaged or foreign
    │   ├── BundleError
    │   ├── CheckpointError
    │   └── RunError
    ├── MissingExtraError (ImportError)   an optional dependency that is not installed
    └── TrainingError (RuntimeError)  a training that cannot go on

The command line prints these as one message; anything else that escapes is a defect of loopwise.
`DataWarning` is no error but a Python warning, for data that was mended.
"""


class LoopwiseError(Exception):
    """Base of all errors that loopwise raises on purpose."""


class ConfigError(LoopwiseError, ValueError):
    """An option, a key or a value that is not allowed."""


class ShapeError(LoopwiseError, ValueError, RuntimeError):
    """Tensors whose shapes, types or devices do not fit; torch raises either kind for them."""


class DataError(LoopwiseError, ValueError):
    """Input data that cannot be read or used; the message names the file and the place in it."""


class DataWarning(UserWarning):
    """Input data that was mended to be used; the message says what, how often and where first."""


class FileError(LoopwiseError, OSError):
    """A file written by loopwise that is missing, damaged or of another kind."""


class BundleError(FileError):
    """A bundle that cannot be read."""


class CheckpointError(FileError):
    """A checkpoint that cannot be written, or that is truncated, altered or missing."""


class RunError(FileError):
    """A run directory that is missing, occupied or incomplete."""


class MissingExtraError(LoopwiseError, ImportError):
    """An optional dependency that is not installed.

    Args:
        extra: the extra of the package that brings it, such as ``"train"``.
        what: what needs it, as the subject of a sentence.
    """

    def __init__(self, extra: str, what: str):
        super().__init__(f"{what} needs more packages: pip install 'loopwise[{extra}]'")
        self.extra = extra


class TrainingError(LoopwiseError, RuntimeError):
    """A training that cannot go on; the message says at which step and why."""


EXTRAS = {
    "torch": "train",
    "lightning_fabric": "train",
    "filelock": "train",
    "tokenizers": "text",
    "sacrebleu": "text",
    "jiwer": "speech",
    "rapidfuzz": "speech",
    "pooch": "data",
    "tensorboard": "tensorboard",
    "matplotlib": "plot",
    "narwhals": "forecast",
    "polars": "forecast",
    "scipy": "forecast",
    "holidays": "forecast",
    "soundfile": "speech",
    "soxr": "speech",
}
"""Optional modules, and the extras of the package that bring them."""


def missing_extra(error: ModuleNotFoundError, what: str) -> MissingExtraError:
    """The error that says which extra brings the module that was not found.

    Args:
        error: from an import.
        what: what needs the module, as the subject of a sentence.

    Raises:
        ModuleNotFoundError: `error` itself, if no extra brings that module.
    """
    extra = EXTRAS.get((error.name or "").partition(".")[0])
    if extra is None:
        raise error
    return MissingExtraError(extra, what)
