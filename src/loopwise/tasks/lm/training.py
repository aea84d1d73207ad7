"""From a configuration to a finished run."""

import os
from typing import Any

from loopwise.errors import ConfigError
from loopwise.tasks.lm.config import LMConfig
from loopwise.tasks.lm.data import Corpus, read_corpus
from loopwise.tasks.lm.task import LanguageModelling
from loopwise.train.launch import launch
from loopwise.train.loop import FitResult
from loopwise.train.processes import World


def train(
    config: LMConfig, out: str | os.PathLike[str], corpus: Corpus | None = None, **options: Any
) -> FitResult:
    """Train a language model and write a run.

    Args:
        config: all options.
        out: the run's directory.
        corpus: the text; None reads what ``config.data`` names.
        options: keyword arguments of `loopwise.train.launch.launch`, which has the errors, too.
    """
    return launch(config, lambda world: make_task(config, world, corpus), out, **options)


def make_task(config: LMConfig, world: World, corpus: Corpus | None = None) -> LanguageModelling:
    """The task of `config`, on `corpus` or on the text that `config` names.

    Raises:
        ConfigError: several processes on standard input.
        DataError: as `read_corpus` and `LanguageModelling` raise.
    """
    if corpus is None and config.data.from_stdin and world.size > 1:
        raise ConfigError("data: several processes cannot share standard input (-); give files")
    return LanguageModelling(config, corpus or read_corpus(config.data), world)
