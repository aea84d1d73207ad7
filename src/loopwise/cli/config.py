"""``loopwise config``: the options of a task, with their defaults."""

from typing import Annotated

import typer

from loopwise.cli.options import ConfigFile, Settings
from loopwise.tasks.registry import TaskName, config_class


def config(
    task: Annotated[TaskName, typer.Argument(help="The task.")],
    file: ConfigFile = None,
    settings: Settings = None,
) -> None:
    """Print all options of a task, with defaults.

    The output is a TOML file with comments: save it, change it, and give it to `loopwise train`
    as --config. With --config or --set it shows what they would amount to.
    """
    print(config_class(task).load(file, settings or []).to_toml(), end="")
