"""The model that a command was given."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from loopwise.errors import BundleError, ConfigError, FileError, RunError
from loopwise.runs import Run

if TYPE_CHECKING:
    from typing_extensions import TypeIs

    from loopwise.runtime.language_model import LoadedLanguageModel
    from loopwise.runtime.load import Loaded
    from loopwise.runtime.recognizer import LoadedRecognizer
    from loopwise.runtime.translator import LoadedTranslator

KINDS = {
    "language-model": "a language model",
    "sequence-model": "a model of a synthetic task",
    "forecaster": "a forecaster",
    "translator": "a translator",
    "recognizer": "a recognizer of speech",
}
"""What messages call the model of a bundle's task."""


def open_model(path: Path) -> "Loaded":
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


def open_language_model(path: Path, model: "Loaded | None" = None) -> "LoadedLanguageModel":
    """`open_model` for what only a language model does; `model` is at `path`, if open already.

    Raises:
        FileError: as `open_model`.
        ConfigError: a model of another kind.
    """
    from loopwise.runtime.language_model import LoadedLanguageModel

    loaded = open_model(path) if model is None else model
    if loaded.bundle.task == "forecaster":
        run = shlex.quote(str(path))
        raise ConfigError(
            f"{path}: a forecaster, which has no text: use loopwise forecast {run} FILE, or "
            f"loopwise evaluate {run} FILE"
        )
    if is_translator(loaded):
        run = shlex.quote(str(path))
        raise ConfigError(
            f"{path}: a translator, no language model: use loopwise translate {run} < TEXT"
        )
    if is_recognizer(loaded):
        run = shlex.quote(str(path))
        raise ConfigError(
            f"{path}: a recognizer of speech, no language model: use loopwise transcribe {run} FILE"
        )
    if not isinstance(loaded, LoadedLanguageModel):
        raise ConfigError(f"{path}: {KINDS[loaded.bundle.task]}, no language model")
    return loaded


def is_language_model(model: "Loaded") -> "TypeIs[LoadedLanguageModel]":
    """Whether a model is a language model."""
    return model.bundle.task == "language-model"


def is_translator(model: "Loaded") -> "TypeIs[LoadedTranslator]":
    """Whether a model is a translator."""
    return model.bundle.task == "translator"


def is_recognizer(model: "Loaded") -> "TypeIs[LoadedRecognizer]":
    """Whether a model is a recognizer of speech."""
    return model.bundle.task == "recognizer"


def open_recognizer(path: Path, files: Sequence[str] = ()) -> "LoadedRecognizer":
    """`open_model_before` for what only a recognizer does: transcribe `files`.

    Raises:
        FileError: as `open_model_before`.
        ConfigError: a model of another kind.
    """
    loaded = open_model_before(files, path, "transcribe")
    if not is_recognizer(loaded):
        raise ConfigError(f"{path}: {KINDS[loaded.bundle.task]}, no recognizer of speech")
    return loaded


def open_translator(path: Path) -> "LoadedTranslator":
    """`open_model` for what only a translator does.

    Raises:
        FileError: as `open_model`.
        ConfigError: a model of another kind.
    """
    loaded = open_model(path)
    if not is_translator(loaded):
        raise ConfigError(f"{path}: {KINDS[loaded.bundle.task]}, no translator")
    return loaded


def note_of_whole(path: Path, model: "LoadedTranslator") -> None:
    """Say on standard error where whole sentences are not what a translator was trained for."""
    if model.wait:
        print(
            f"note: {path}: trained to translate word by word (wait {model.wait}); whole sentences "
            "it translates worse than with --stream",
            file=sys.stderr,
        )


def open_model_before(files: Sequence[str], path: Path, command: str) -> "Loaded":
    """`open_model` for a `command` that takes `files` after the model, and notices a swap.

    Raises:
        FileError: as `open_model`; it names the order where the model is among the files.
    """
    try:
        return open_model(path)
    except FileError as error:
        model = next((file for file in files if _is_model(Path(file))), None)
        if model is None or _is_model(path):
            raise
        others = (str(path), *(file for file in files if file != model))
        order = shlex.join(["loopwise", command, model, *others])
        raise RunError(
            f"{path}: no model, but {model} is; the model comes first: {order}"
        ) from error


def _is_model(path: Path) -> bool:
    from loopwise.runtime.bundle import read_bundle

    try:
        return Run(path).is_ours() or bool(read_bundle(path))
    except BundleError:
        return False
