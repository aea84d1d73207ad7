"""``loopwise config``: the options of a task, with their defaults."""

from typing import Annotated, Literal

import typer

from loopwise.cli.options import ConfigFile, Settings


def config(
    task: Annotated[Literal["lm"], typer.Argument(help="The task.")],
    file: ConfigFile = None,
    settings: Settings = None,
) -> None:
    """Print all options of a task, with defaults.

    The output is a TOML file with comments: save it, change it, and give it to `loopwise train`
    as --config. With --config or --set it shows what they would amount to.
    """
    from loopwise.tasks.lm.config import LMConfig

    print(LMConfig.load(file, settings or []).to_toml(), end="")
