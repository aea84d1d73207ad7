"""Nixtla's neuralforecast, where it is installed; ``make bench`` installs it."""

import logging
import time
import warnings
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

INSTALLED = {
    name: version(name) for name in ("neuralforecast",) if find_spec(name) and find_spec("pandas")
}
QUIET = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


def fit(table: Any, cell: str, steps: int, **options: Any) -> tuple[Any, list[float]]:
    """A network of theirs, trained for so many steps, without logs, checkpoints or validation.

    Args:
        table: unique_id, ds (whole numbers) and y, a data frame of pandas.
        cell: lstm or gru.
        steps: of the training.
        options: of their model.

    Returns:
        their forecaster, and when each step began.
    """
    warnings.filterwarnings("ignore", module="pytorch_lightning|neuralforecast|torch")
    from neuralforecast import NeuralForecast, models
    from pytorch_lightning import Callback

    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    began: list[float] = []

    class Clock(Callback):
        def on_train_batch_start(self, *_: Any) -> None:
            began.append(time.perf_counter())

    model = getattr(models, cell.upper())(
        max_steps=steps, val_check_steps=steps, callbacks=[Clock()], accelerator="cpu",
        **QUIET, **options,
    )  # fmt: skip
    found = NeuralForecast([model], freq=1)
    found.fit(table)
    return found, began
