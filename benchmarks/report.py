"""Results of a benchmark, as a table on the screen and as JSON in benchmarks/results/."""

import argparse
import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import loopwise

RESULTS = Path(__file__).parent / "results"


def argument_parser(description: str | None) -> argparse.ArgumentParser:
    """The options of every benchmark: `quick` and `results`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, few repetitions")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the JSON file")
    return parser


def print_table(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows that have the same keys."""
    table = Table(box=None)
    for key, value in rows[0].items():
        table.add_column(key, justify="left" if isinstance(value, str) else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    print(title)
    Console(width=max(240, Console().width)).print(table)


def write_results(folder: Path, name: str, rows: Sequence[Mapping[str, Any]], **about: Any) -> None:
    """Write the rows, with what is known about the machine that they were measured on."""
    now = datetime.now(UTC)
    machine = {"machine": platform.machine(), "cpus": os.cpu_count(), **about}
    record = {"loopwise": loopwise.__version__, "created": now.isoformat(timespec="seconds")}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{now:%Y%m%d-%H%M%S}.json"
    path.write_text(json.dumps({**record, **machine, "results": rows}, indent=2) + "\n")
    print(path)
