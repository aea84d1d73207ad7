"""Recurrent networks from raw sequences to a streaming deployment: train, see inside, ship.

The names below are resolved when they are first used: ``import loopwise`` is fast and needs no
torch. Layers and training need ``loopwise[train]``; `load` and what it returns do not.
"""

import importlib
from typing import TYPE_CHECKING, Any

from loopwise.errors import LoopwiseError, missing_extra

if TYPE_CHECKING:
    from loopwise.diagnose.measure import diagnose
    from loopwise.nn.accelerate import accelerate
    from loopwise.nn.backend import backend
    from loopwise.nn.cells import GRUCell, LSTMCell, RNNCell
    from loopwise.nn.layers import GRU, LSTM, RNN
    from loopwise.nn.recurrent import Recurrent
    from loopwise.runtime.load import load
    from loopwise.tasks.forecast.estimator import Forecaster
    from loopwise.tasks.lm.estimator import LanguageModel
    from loopwise.tasks.speech.estimator import Recognizer
    from loopwise.tasks.translation.estimator import Translator

__version__ = "0.1.0"

_HOMES = {
    "Forecaster": "loopwise.tasks.forecast.estimator",
    "GRU": "loopwise.nn.layers",
    "LSTM": "loopwise.nn.layers",
    "RNN": "loopwise.nn.layers",
    "GRUCell": "loopwise.nn.cells",
    "LSTMCell": "loopwise.nn.cells",
    "RNNCell": "loopwise.nn.cells",
    "LanguageModel": "loopwise.tasks.lm.estimator",
    "Recognizer": "loopwise.tasks.speech.estimator",
    "Recurrent": "loopwise.nn.recurrent",
    "Translator": "loopwise.tasks.translation.estimator",
    "accelerate": "loopwise.nn.accelerate",
    "backend": "loopwise.nn.backend",
    "load": "loopwise.runtime.load",
}

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Forecaster",
    "GRUCell",
    "LSTMCell",
    "LanguageModel",
    "LoopwiseError",
    "RNNCell",
    "Recognizer",
    "Recurrent",
    "Translator",
    "accelerate",
    "backend",
    "diagnose",
    "load",
]


def __getattr__(name: str) -> Any:
    if name == "diagnose":  # a package that can be called
        return importlib.import_module("loopwise.diagnose")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'loopwise' has no attribute {name!r}")
    try:
        value = getattr(importlib.import_module(home), name)
    except ModuleNotFoundError as error:
        raise missing_extra(error, f"loopwise.{name}") from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
