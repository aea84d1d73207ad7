"""The run: the directory that training writes and that the other commands read.

::

    runs/name/
    ├── config.toml          the resolved configuration
    ├── metrics.jsonl        one JSON object a line
    ├── checkpoints/         what training continues from
    ├── superseded/          what a continuation from an earlier checkpoint left behind
    ├── tensorboard/         the same records again, if asked for
    ├── .lock                held by the process that trains, with its number in it
    └── bundle.safetensors   the best model so far, as deployment reads it
"""

import json
import math
import os
import shutil
import tomllib
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from loopwise.errors import RunError
from loopwise.files import write_atomically


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
    def tensorboard(self) -> Path:
        """The folder of TensorBoard files."""
        return self.path / "tensorboard"

    @property
    def bundle_path(self) -> Path:
        """The bundle of the best model so far."""
        return self.path / "bundle.safetensors"

    @classmethod
    def create(cls, path: str | os.PathLike[str], *, overwrite: bool = False) -> "Run":
        """Make a new, empty run directory.

        Args:
            path: where; it may exist if it is empty.
            overwrite: replace an earlier run at `path`: what a training writes is deleted, other
                files stay. A directory that is not a run is left alone in any case.

        Raises:
            RunError: `path` is occupied or being trained, or cannot be made.
        """
        run = cls(Path(path))
        try:
            run._clear(overwrite)
            run.checkpoints.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if isinstance(error, RunError):
                raise
            raise RunError(f"{run.path}: cannot be made: {error.strerror}") from None
        return run

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "Run":
        """Open an existing run.

        Raises:
            RunError: `path` is no run directory.
        """
        run = cls(Path(path))
        if not run.path.is_dir():
            what = "is a file" if run.path.exists() else "no such directory"
            raise RunError(f"{run.path}: not a run: {what}")
        if not run.config_path.is_file():
            raise RunError(f"{run.path}: not a run: has no config.toml")
        return run

    def write_config(self, toml: str) -> None:
        """Write the resolved configuration; a kill leaves the old one or the whole new one.

        Raises:
            RunError: it cannot be written.
        """
        self.write_beside(self.config_path.name, toml)

    def write_beside(self, name: str, text: str) -> None:
        """Write a file of the run's directory, as `write_config` does.

        Raises:
            RunError: it cannot be written.
        """
        try:
            write_atomically(self.path / name, text.encode())
        except OSError as error:
            raise RunError(f"{self.path / name}: cannot be written: {error.strerror}") from None

    @contextmanager
    def locked(self) -> Generator[None]:
        """Keep other processes from training this run meanwhile; a kill releases it, too.

        Raises:
            RunError: another process holds it, or it cannot be written.
        """
        from filelock import FileLock, Timeout  # of the packages for training, which alone locks

        path = self.path / ".lock"
        lock = FileLock(path, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise RunError(f"{self.path}: is being trained by {_holder(path)}") from None
        except OSError as error:
            raise RunError(f"{path}: cannot be written: {error.strerror}") from None
        try:
            with suppress(OSError):  # Windows lets nobody write to a locked file
                path.write_text(str(os.getpid()), encoding="ascii")
            yield
        finally:
            lock.release()

    @property
    def superseded(self) -> Path:
        """What a continuation from an earlier checkpoint left behind."""
        return self.path / "superseded"

    def set_aside(self, files: Iterable[Path]) -> None:
        """Move `files` to `superseded`, with copies of the log and the bundle as they are now.

        Raises:
            RunError: the disk refuses.
        """
        try:
            self.superseded.mkdir(exist_ok=True)
            for file in files:
                file.replace(self.superseded / file.name)
            for file in (self.metrics_path, self.bundle_path):
                if file.exists():
                    shutil.copy2(file, self.superseded)
        except OSError as error:
            raise RunError(f"{self.superseded}: cannot be written: {error.strerror}") from None

    def is_ours(self) -> bool:
        """Whether a training wrote `config.toml` here, a name that other programs use as well."""
        try:
            config = tomllib.loads(self.config_path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return isinstance(config.get("task"), str)

    def log(self, record: Mapping[str, Any]) -> None:
        """Append one record to the log; numbers that are not finite become null.

        Raises:
            RunError: it cannot be written.
        """
        line = json.dumps(_finite(record))
        try:
            with self.metrics_path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            raise RunError(f"{self.metrics_path}: cannot be written: {error.strerror}") from None

    def records(self) -> Iterator[dict[str, Any]]:
        """Read the log. A last line that a kill cut short is left out."""
        if not self.metrics_path.is_file():
            return
        with self.metrics_path.open(encoding="utf-8") as file:
            for line in file:
                if line.endswith("\n"):
                    yield json.loads(line)

    def _clear(self, overwrite: bool) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"{self.path}: is a file; a run needs a directory of its own")
        if not self.path.is_dir() or self._is_empty():
            return
        if not self.is_ours():
            raise RunError(f"{self.path}: not empty and not a run; choose another directory")
        if not overwrite:
            raise RunError(
                f"{self.path}: holds a run already; "
                "continue it with --resume, replace it with --overwrite, or choose another --out"
            )
        with self.locked():
            for folder in (self.checkpoints, self.tensorboard, self.superseded):
                shutil.rmtree(folder, ignore_errors=True)
            # the configuration goes last: without it nobody could tell that this is a run
            for file in (self.metrics_path, self.bundle_path, self.config_path):
                file.unlink(missing_ok=True)

    def _is_empty(self) -> bool:
        """Whether nothing is here, or no more than a training that died at once leaves."""
        names = {file.name for file in self.path.iterdir()}
        begun = self.checkpoints.is_dir() and any(self.checkpoints.iterdir())
        return names <= {"checkpoints", ".lock"} and not begun


def _holder(lock: Path) -> str:
    with suppress(OSError):
        if number := lock.read_text(encoding="ascii"):
            return f"process {number}"
    return "another process"


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in cast(Mapping[str, Any], value).items()}
    if isinstance(value, list):
        return [_finite(part) for part in cast(list[Any], value)]
    return None if isinstance(value, float) and not math.isfinite(value) else value
