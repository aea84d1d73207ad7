"""The run: the directory that training writes and that the other commands read.

::

    runs/name/
    ├── config.toml          the resolved configuration
    ├── metrics.jsonl        one JSON object a line
    ├── checkpoints/         what training continues from
    └── bundle.safetensors   the best model so far, as deployment reads it
"""

import json
import math
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loopwise.errors import RunError


@dataclass(frozen=True)
class Run:
    """A run directory. Make one with `Run.create` or `Run.open`."""

    path: Path

    @property
    def config_path(self) -> Path:
        """The resolved configuration, TOML."""
        return self.path / "config.toml"

    @property
    def metrics_path(self) -> Path:
        """The log, JSON lines."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def bundle_path(self) -> Path:
        """The bundle of the best model so far."""
        return self.path / "bundle.safetensors"

    @classmethod
    def create(cls, path: str | Path, *, overwrite: bool = False) -> "Run":
        """Make a new, empty run directory.

        Args:
            path: where; it may exist if it is empty.
            overwrite: replace an earlier run at `path`. Anything that is not a run stays.

        Raises:
            RunError: `path` is occupied, or cannot be made.
        """
        run = cls(Path(path))
        if run.path.exists() and not run.path.is_dir():
            raise RunError(f"{run.path}: is a file; a run needs a directory of its own")
        if run.path.is_dir() and any(run.path.iterdir()):
            run._clear(overwrite)
        try:
            run.checkpoints.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{run.path}: cannot be made: {error.strerror}") from None
        return run

    @classmethod
    def open(cls, path: str | Path) -> "Run":
        """Open an existing run.

        Raises:
            RunError: `path` is no run directory.
        """
        run = cls(Path(path))
        if not run.config_path.is_file():
            what = "has no config.toml" if run.path.is_dir() else "no such directory"
            raise RunError(f"{run.path}: not a run: {what}")
        return run

    def log(self, record: Mapping[str, Any]) -> None:
        """Append one record to the log; numbers that are not finite become null."""
        clean = {key: _finite(value) for key, value in record.items()}
        with self.metrics_path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(clean) + "\n")

    def records(self) -> Iterator[dict[str, Any]]:
        """Read the log. A last line that a kill cut short is left out."""
        if not self.metrics_path.is_file():
            return
        with self.metrics_path.open(encoding="utf-8") as file:
            for line in file:
                if line.endswith("\n"):
                    yield json.loads(line)

    def truncate_log(self, step: int) -> None:
        """Drop the records of steps after `step`, as a resumed training will write them again."""
        kept = [record for record in self.records() if record.get("step", 0) <= step]
        fresh = self.metrics_path.with_suffix(".tmp")
        fresh.write_text("".join(json.dumps(r) + "\n" for r in kept), encoding="utf-8")
        fresh.replace(self.metrics_path)

    def _clear(self, overwrite: bool) -> None:
        if not self.config_path.is_file():
            raise RunError(f"{self.path}: not empty and not a run; choose another directory")
        if not overwrite:
            raise RunError(
                f"{self.path}: holds a run already; "
                "continue it with --resume, replace it with --overwrite, or choose another --out"
            )
        shutil.rmtree(self.checkpoints, ignore_errors=True)
        for file in (self.metrics_path, self.bundle_path, self.config_path):
            file.unlink(missing_ok=True)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
