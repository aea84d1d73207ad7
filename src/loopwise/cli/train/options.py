"""Options that all trainings share, or several of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="The run's directory.")]
Resume = Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")]
FromCheckpoint = Annotated[
    str | None,
    typer.Option("--from-checkpoint", metavar="NAME", help="Continue from this checkpoint."),
]
Watch = Annotated[
    int | None,
    typer.Option("--watch", metavar="N", help="Look inside every N steps, like train.watch."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the run in --out.")]

MANY = ("--data", "--valid", "--source", "--target", "--valid-source", "--valid-target")
"""Options that take several paths."""


class ManyPaths(TyperCommand):
    """Lets several values follow each of `MANY`, as a shell's glob leaves them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the option before each of its values."""
        spread: list[str] = []
        option = None
        for arg in args:
            is_value = arg == "-" or not arg.startswith("-")
            if is_value and option is not None and spread[-1] != option:
                spread.append(option)
            spread.append(arg)
            if not is_value:
                option = arg if arg in MANY else None
        return super().parse_args(ctx, spread)


def all_settings(
    settings: list[str] | None, named: Mapping[str, int | str | None]
) -> tuple[str, ...]:
    """All settings, those first that have an option of their own."""
    given = [f"{key}={value}" for key, value in named.items() if value is not None]
    return *given, *(settings or ())
