"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run's directory, or a bundle (.safetensors).")
]
Files = Annotated[
    list[str],
    typer.Argument(metavar="FILE...", help="Files, folders, globs, .gz, or - for standard input."),
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="A TOML file of options.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="One option, such as model.hidden_size=650."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
