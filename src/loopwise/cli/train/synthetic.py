"""``loopwise train adding`` and the other tasks whose sequences are made up."""

from typing import TYPE_CHECKING, Annotated

import typer

from loopwise.cli.grouping import grouped
from loopwise.cli.train.start import Start

if TYPE_CHECKING:
    from loopwise.tasks.synthetic.problems import Name

Length = Annotated[
    int | None,
    typer.Option("--length", metavar="N", help="Steps to be remembered, like data.length."),
]

ABOUT = (
    "Sequences are made up as they are needed. All options, with their defaults, are printed by "
    "`loopwise config {}`."
)


def add_to(app: typer.Typer) -> None:
    """Add the command of each synthetic task."""
    _add(app, "adding", "Train to add two marked numbers among many.")
    _add(app, "copy", "Train to repeat ten symbols after a long pause.")
    _add(app, "parity", "Train to say whether the ones so far are odd.")
    _add(app, "delayed-recall", "Train to name the first symbol after many others.")


def _add(app: typer.Typer, name: "Name", about: str) -> None:
    @grouped
    def command(*, length: Length = None, start: Start) -> None:
        from loopwise.tasks.registry import config_class

        options = start.options(length=length)
        start.train(start.resolve(lambda file: config_class(name).load(file, options)))

    app.command(name, help=f"{about}\n\n{ABOUT.format(name)}")(command)
