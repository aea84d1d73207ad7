"""From a bundle on disk to a model that runs."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from loopwise.errors import BundleError, missing_extra
from loopwise.runtime.bundle import Bundle, read_bundle
from loopwise.runtime.language_model import LoadedLanguageModel
from loopwise.runtime.sequence_model import LoadedSequenceModel

if TYPE_CHECKING:
    from loopwise.runtime.forecaster import LoadedForecaster
    from loopwise.runtime.recognizer import LoadedRecognizer
    from loopwise.runtime.translator import LoadedTranslator

Loaded: TypeAlias = """
LoadedLanguageModel | LoadedSequenceModel | LoadedForecaster | LoadedTranslator | LoadedRecognizer
"""


def _forecaster(bundle: Bundle) -> "LoadedForecaster":
    try:
        from loopwise.runtime.forecaster import LoadedForecaster
    except ModuleNotFoundError as error:
        raise missing_extra(error, "forecasting") from error
    return LoadedForecaster(bundle)


def _translator(bundle: Bundle) -> "LoadedTranslator":
    try:
        from loopwise.runtime.translator import LoadedTranslator
    except ModuleNotFoundError as error:
        raise missing_extra(error, "translation") from error
    return LoadedTranslator(bundle)


def _recognizer(bundle: Bundle) -> "LoadedRecognizer":
    try:
        from loopwise.runtime.recognizer import LoadedRecognizer
    except ModuleNotFoundError as error:
        raise missing_extra(error, "speech recognition") from error
    return LoadedRecognizer(bundle)


_TASKS: "dict[str, Callable[[Bundle], Loaded]]" = {
    "language-model": LoadedLanguageModel,
    "sequence-model": LoadedSequenceModel,
    "forecaster": _forecaster,
    "translator": _translator,
    "recognizer": _recognizer,
}


def load(path: str | os.PathLike[str]) -> Any:
    """Load a model.

    Args:
        path: a bundle, or the directory of a run that has written one.

    Returns:
        What the bundle is for: a `LoadedLanguageModel`, a `LoadedForecaster`, a `LoadedTranslator`,
        a `LoadedRecognizer` or a `LoadedSequenceModel`.

    Raises:
        BundleError: a bundle that cannot be read, or whose task, model and codec do not fit.
        MissingExtraError: a codec of a package that is not installed.
    """
    bundle = read_bundle(path)
    try:
        return model_of(bundle)
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from error


def model_of(bundle: Bundle) -> "Loaded":
    """The model that a bundle holds; raises as `load` does."""
    if bundle.task not in _TASKS:
        raise BundleError(f"task {bundle.task!r} is unknown; known are {', '.join(_TASKS)}")
    return _TASKS[bundle.task](bundle)
