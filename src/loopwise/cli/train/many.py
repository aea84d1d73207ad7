"""Options that take several values."""

from typing import Any

from typer.core import TyperCommand

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
