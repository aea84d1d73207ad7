"""``loopwise data``: the data sets that benchmarks use."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from loopwise.errors import ConfigError

if TYPE_CHECKING:
    from loopwise.datasets import DataSet


def data(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="One data set; all are listed without it.")
    ] = None,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch what is missing of NAME.")
    ] = False,
) -> None:
    """List the known data sets and what of them is present, or show or fetch one.

    They lie in the folder that the environment variable LOOPWISE_DATA names.
    """
    from loopwise import datasets

    if name is None:
        if download:
            raise ConfigError("--download needs the NAME of a data set; see `loopwise data`")
        _list()
        return
    chosen = datasets.find(name)
    if download:
        datasets.fetch(chosen)
    _describe(chosen)


def _list() -> None:
    from rich.console import Console
    from rich.table import Table

    from loopwise.datasets import DATA_SETS, VARIABLE, status

    folder = os.environ.get(VARIABLE)
    table = Table(box=None)
    for heading in ("name", "description", "licence", "state"):
        table.add_column(heading, overflow="fold", no_wrap=heading in ("name", "state"))
    for known in DATA_SETS.values():
        state = status(known) if folder else "unknown"
        table.add_row(known.name, known.description, known.licence, state)
    Console().print(table)
    unset = "not set: set it to a folder, then `loopwise data NAME --download`"
    print(f"{VARIABLE}: {folder or unset}")


def _describe(dataset: "DataSet") -> None:
    from loopwise.datasets import VARIABLE, file_status, root

    print(f"{dataset.name}: {dataset.description}")
    print(f"licence: {dataset.licence}")
    print(f"source: {dataset.source}")
    known = bool(os.environ.get(VARIABLE))
    for file in dataset.files:
        print(f"{root() / file.path}: {file_status(file)}" if known else f"{file.path}: {file.url}")
    if not known:
        print(f"{VARIABLE} is not set: set it to a folder to see what is present, or to download")
