"""``loopwise data``: the data sets that benchmarks use, and two series for a first try."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loopwise.errors import ConfigError

if TYPE_CHECKING:
    from loopwise.datasets import DataSet

PUBLIC = "public domain"
"""The licence of what comes with loopwise."""


def data(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="One data set; all are listed without it.")
    ] = None,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch what is missing of NAME.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="Write a series that comes with loopwise, as CSV."
        ),
    ] = None,
) -> None:
    """List the known data sets and what of them is present, or show, fetch or write one.

    They lie in the folder that the environment variable LOOPWISE_DATA names, but for two small
    series, which come with loopwise.
    """
    from loopwise import datasets

    if name is None:
        if download:
            raise ConfigError("--download needs the NAME of a data set; see `loopwise data`")
        if out is not None:
            raise ConfigError(f"--out {out}: needs the NAME of a series; see `loopwise data`")
        _list()
        return
    if name in datasets.SAMPLES:
        _sample(name, out)
        return
    chosen = datasets.find(name)
    if out is not None:
        names = " and ".join(datasets.SAMPLES)
        raise ConfigError(f"--out {out}: writes what comes with loopwise, {names}, not {name}")
    if download:
        datasets.fetch(chosen)
    _describe(chosen)


def _sample(name: str, out: Path | None) -> None:
    from loopwise.datasets import sample

    chosen = sample(name)
    if out is not None:
        chosen.write(out)
        print(f"{name}: {len(chosen.values)} points in {out}")
        return
    print(f"{name}: {chosen.description}")
    print(f"licence: {PUBLIC}")
    print(f"comes with loopwise; to have it as a file: loopwise data {name} --out {name}.csv")


def _list() -> None:
    from rich.console import Console
    from rich.table import Table

    from loopwise.datasets import DATA_SETS, SAMPLES, VARIABLE, sample, status

    folder = os.environ.get(VARIABLE)
    table = Table(box=None)
    for heading in ("name", "description", "licence", "state"):
        table.add_column(heading, overflow="fold", no_wrap=heading in ("name", "state"))
    for known in DATA_SETS.values():
        state = status(known) if folder else "unknown"
        table.add_row(known.name, known.description, known.licence, state)
    for name in SAMPLES:
        table.add_row(name, sample(name).description, PUBLIC, "included")
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
