"""All tasks by their names: their options, and a run's task as it was trained.

What belongs to one task alone is imported when that task is asked for: nothing here costs the
command line time, and options are read without torch.
"""

import os
import tomllib
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast, get_args

from loopwise.errors import ConfigError, RunError, missing_extra
from loopwise.runs import Run

if TYPE_CHECKING:
    from loopwise.export.precision import Sample
    from loopwise.tasks.forecast.config import ForecastConfig
    from loopwise.tasks.lm.config import LMConfig
    from loopwise.tasks.speech.config import SpeechConfig
    from loopwise.tasks.synthetic.config import SyntheticConfig
    from loopwise.tasks.translation.config import TranslationConfig
    from loopwise.train.checkpoints import Checkpoint
    from loopwise.train.processes import World
    from loopwise.train.task import Task

TaskName = Literal[
    "lm", "forecast", "translation", "speech", "adding", "copy", "parity", "delayed-recall"
]
Config: TypeAlias = "LMConfig | ForecastConfig | TranslationConfig | SpeechConfig | SyntheticConfig"


def config_class(name: TaskName) -> "type[Config]":
    """The options of a task.

    Raises:
        MissingExtraError: those of forecasting, where that is not installed.
    """
    if name == "lm":
        from loopwise.tasks.lm.config import LMConfig

        return LMConfig
    if name == "forecast":
        try:
            from loopwise.tasks.forecast.config import ForecastConfig
        except ModuleNotFoundError as error:
            raise missing_extra(error, "forecasting") from error
        return ForecastConfig
    if name == "translation":
        from loopwise.tasks.translation.config import TranslationConfig

        return TranslationConfig
    if name == "speech":
        from loopwise.tasks.speech.config import SpeechConfig

        return SpeechConfig
    from loopwise.tasks.synthetic.config import CONFIGS

    return CONFIGS[name]


def read_config(run: Run) -> "Config":
    """The options that a run was trained with.

    Raises:
        ConfigError: they cannot be read, or are of a task that is not known.
    """
    name = _task_name(run)
    if name not in get_args(TaskName):
        known = ", ".join(get_args(TaskName))
        raise ConfigError(f"{run.config_path}: task {name!r} is unknown; known are {known}")
    return config_class(cast(TaskName, name)).load(run.config_path)


def make_task(config: "Config", world: "World") -> "Task[Any]":
    """The task that `config` describes, its data read, its model initialised, for one process.

    Raises:
        DataError: the data cannot be read or is too little.
    """
    if config.task == "lm":
        from loopwise.tasks.lm.training import make_task

        return make_task(config, world)
    if config.task == "forecast":
        from loopwise.tasks.forecast.training import make_task

        return make_task(config, world)
    if config.task == "translation":
        from loopwise.tasks.translation.training import make_task

        return make_task(config, world)
    if config.task == "speech":
        from loopwise.tasks.speech.training import make_task

        return make_task(config, world)
    from loopwise.tasks.synthetic.task import SyntheticTask

    return SyntheticTask(config, world)


def open_task(path: str | os.PathLike[str], checkpoint: str | None = "latest") -> "Task[Any]":
    """The task of a run: its model, batches and loss, whatever it is.

    Args:
        path: the run's directory.
        checkpoint: whose weights the model gets: ``"latest"``; ``"best"`` on validation; another
            one by name, step or path; or None for those that the training began with. They are
            those that training goes on from: where NT-ASGD averages, not the averages.

    Returns:
        The task on the CPU, its batches from the beginning.

    Raises:
        RunError: no run, or one without a checkpoint.
        CheckpointError: a checkpoint that is not there or damaged.
        ConfigError: options that cannot be read, or weights of another model.
        DataError: data that is not there any more, or was no file.
        MissingExtraError: training is not installed.
    """
    run = Run.open(path)
    task = remake_task(read_config(run))
    if checkpoint is not None:
        from loopwise.train.training import load_weights

        load_weights(task.model, read_checkpoint(run, checkpoint).tensors)
    return task


def remake_task(config: "Config") -> "Task[Any]":
    """The task of a run's options, for one process, with new weights.

    Raises:
        DataError: data that is not there any more, or was no file.
        MissingExtraError: training is not installed.
    """
    try:
        from loopwise.train.processes import World
    except ModuleNotFoundError as error:
        raise missing_extra(error, "training") from error
    if (
        config.task == "lm"
        or config.task == "forecast"
        or config.task == "translation"
        or config.task == "speech"
    ):
        config.data.require_files()
    return make_task(config, World())


def read_checkpoint(run: Run, name: str) -> "Checkpoint":
    """A run's checkpoint: ``"latest"``, ``"best"``, or one by name, step or path.

    Raises:
        RunError: the run has none.
        CheckpointError: it is not there or damaged.
    """
    from loopwise.train import checkpoints

    found = checkpoints.choose(run.checkpoints, name)
    if found is None:
        raise RunError(f"{run.path}: this run has no checkpoint yet")
    return checkpoints.load(found)


def sample_of_run(path: str | os.PathLike[str]) -> "Sample":
    """What a model in a lower precision is measured on: data that its run was validated on.

    Raises:
        RunError: no run.
        ConfigError: options that cannot be read.
        DataError: data that is not there any more, or was no file.
    """
    config = read_config(Run.open(path))
    if config.task == "lm":
        from loopwise.tasks.lm.sample import sample_of_validation

        return sample_of_validation(config.data)
    if config.task == "forecast":
        from loopwise.tasks.forecast.sample import sample_of_table

        return sample_of_table(config.data)
    if config.task == "translation":
        from loopwise.tasks.translation.sample import sample_of_validation

        return sample_of_validation(config.data)
    if config.task == "speech":
        from loopwise.tasks.speech.sample import sample_of_validation

        return sample_of_validation(config)
    from loopwise.tasks.synthetic.sample import SequenceSample

    return SequenceSample(config)


def _task_name(run: Run) -> object:
    try:
        return tomllib.loads(run.config_path.read_text(encoding="utf-8")).get("task")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{run.config_path}: cannot be read: {error}") from None
