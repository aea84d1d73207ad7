"""``loopwise export``: the one file that deployment needs."""

from pathlib import Path
from typing import Annotated

import typer

from loopwise.cli.model import open_model
from loopwise.cli.options import Model
from loopwise.errors import BundleError


def export(
    model: Model,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The bundle, .safetensors.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE.")] = False,
) -> None:
    """Write the best model of a run as one file."""
    if file.suffix != ".safetensors":
        raise BundleError(f"{file}: a bundle's name ends in .safetensors")
    if file.exists() and not overwrite:
        raise BundleError(f"{file}: exists already; replace it with --overwrite")
    open_model(model).save(file)
    print(f"{file}: {file.stat().st_size:,} bytes")
