"""What a training needs of the machine, asked before anything is written."""

from importlib.util import find_spec

import torch

from loopwise.errors import ConfigError, MissingExtraError
from loopwise.train.config import TrainConfig


def require_machine(config: TrainConfig) -> None:
    """Raise what `fit` would raise for want of a device or a package.

    Raises:
        ConfigError: `device` is cuda and there is none.
        MissingExtraError: TensorBoard is asked for and not installed.
    """
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("train.device is cuda, and torch finds no CUDA device; use cpu")
    if config.tensorboard and find_spec("tensorboard") is None:
        raise MissingExtraError("tensorboard", "train.tensorboard=true")
