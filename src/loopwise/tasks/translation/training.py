"""From a configuration to a finished run."""

import os
from typing import Any

from loopwise.codec.pairs import Pairs
from loopwise.codec.sentences import train_translation_codec
from loopwise.errors import ConfigError
from loopwise.tasks.translation.config import TranslationConfig
from loopwise.tasks.translation.pairs import hold_out, read_both
from loopwise.tasks.translation.task import TranslationTask
from loopwise.train.launch import launch
from loopwise.train.loop import FitResult
from loopwise.train.processes import World


def train(
    config: TranslationConfig,
    out: str | os.PathLike[str],
    pairs: Pairs | None = None,
    valid: Pairs | None = None,
    **options: Any,
) -> FitResult:
    """Train a translator and write a run.

    Args:
        config: all options.
        out: the run's directory.
        pairs: to learn from; None reads what ``config.data`` names.
        valid: to validate on; None for those of the files, or a part of `pairs`.
        options: keyword arguments of `loopwise.train.launch.launch`, which has the errors, too.
    """
    return launch(config, lambda world: make_task(config, world, pairs, valid), out, **options)


def make_task(
    config: TranslationConfig,
    world: World,
    pairs: Pairs | None = None,
    valid: Pairs | None = None,
) -> TranslationTask:
    """The task of `config`, for one process.

    Raises:
        ConfigError: several processes on standard input.
        DataError: the pairs cannot be read, or are too few.
    """
    data = config.data
    if pairs is None:
        if data.from_stdin and world.size > 1:
            raise ConfigError("data: several processes cannot share standard input (-); give files")
        pairs, valid = read_both(data)
    elif valid is None:
        pairs, valid = hold_out(pairs, data.valid_fraction)
    codec = train_translation_codec(
        pairs.sources,
        pairs.targets,
        unit=data.unit,
        joint=data.joint,
        vocab_size=data.vocab_size,
        min_count=data.min_count,
    )
    return TranslationTask(config, codec, pairs, valid, world)
