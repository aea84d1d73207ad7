"""What a training shows: a live bar on a terminal, plain lines elsewhere."""

import time
from collections.abc import Mapping
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

LINE_SECONDS = 5.0
"""Least time between two plain lines about training."""
MOST_WRITTEN_OUT = 1e7
"""From here on numbers have an exponent: those are losses that went astray."""


class Reporter:
    """Prints the course of a training. A context manager.

    Args:
        console: where; None for standard output.
        first: whether this is the process that prints; the others stay silent.
    """

    def __init__(self, console: Console | None, first: bool):
        self._console = console if first and console is not None else Console(quiet=not first)
        self._printed = -LINE_SECONDS
        self._bar: Bar | None = None
        self._row = TaskID(0)

    def __enter__(self) -> Self:
        if self._console.is_terminal and not self._console.quiet:
            columns = [TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()]
            self._bar = Bar(*columns, console=self._console, transient=True)
            self._row = self._bar.add_task("training", total=1.0)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def say(self, text: str) -> None:
        """One line, in any case."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def show_step(self, fraction: float, epoch: float, loss: float) -> None:
        """Move the bar, where there is one; `fraction` of the training is done."""
        if self._bar is not None:
            text = f"epoch {epoch:.2f}  loss {_number(loss)}"
            self._bar.update(self._row, completed=fraction, description=text)

    def show_train(self, record: Mapping[str, Any]) -> None:
        """A training record; a line only without bar, and not too often."""
        now = time.monotonic()
        if self._bar is None and now - self._printed >= LINE_SECONDS:
            self._printed = now
            names = ["loss", "lr", "grad_norm"]
            if "memory" in record:  # somebody looks inside
                names += ["clipped", "memory"]
            names += [name for name in record if name.endswith("_per_second")]
            self.say(_line(record, {name: record[name] for name in names}))

    def show_validation(
        self, record: Mapping[str, Any], metrics: Mapping[str, float], best: bool
    ) -> None:
        """A validation, always a line."""
        self.say(_line(record, metrics) + ("  (best)" if best else ""))


def _line(record: Mapping[str, Any], values: Mapping[str, float]) -> str:
    numbers = "  ".join(f"{name} {_number(value)}" for name, value in values.items())
    return f"epoch {record['epoch']:.2f}  step {record['step']}  {numbers}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if 1000 <= abs(value) < MOST_WRITTEN_OUT else f"{value:.4g}"
