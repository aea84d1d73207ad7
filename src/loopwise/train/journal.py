"""Where a training writes its records: metrics.jsonl and, if asked for, TensorBoard."""

import os
from collections.abc import Mapping
from typing import Any

from loopwise.errors import MissingExtraError
from loopwise.runs import Run
from loopwise.train.config import TrainConfig


class Journal:
    """The records of a training; only the first process writes.

    Args:
        run: whose log it is.
        config: `tensorboard` is read.
        first: whether this is the process that writes.

    Raises:
        MissingExtraError: TensorBoard is asked for and not installed.
    """

    def __init__(self, run: Run, config: TrainConfig, first: bool):
        self._run, self._first = run, first
        self._board = _board(run) if config.tensorboard and first else None

    @property
    def size(self) -> int:
        """Bytes of the log; a checkpoint remembers them and `rewind` returns to them."""
        return self._run.metrics_path.stat().st_size if self._run.metrics_path.is_file() else 0

    def rewind(self, size: int, *, step: int) -> None:
        """Drop what was logged after the first `size` bytes, which end at `step`."""
        # by bytes and not by step: a validation may come before or after a checkpoint of its step
        if self._first and size < self.size:
            os.truncate(self._run.metrics_path, size)
        if self._board is not None:
            self._board.close()
            self._board = _board(self._run, purge_step=step + 1)

    def write(self, kind: str, record: Mapping[str, Any]) -> None:
        """Append a record of `kind` "train", "validation" or "watch"; it holds `step`."""
        if not self._first:
            return
        self._run.log({"kind": kind, **record})
        if self._board is not None:
            for name in record.keys() - {"step"}:
                if isinstance(record[name], int | float):
                    self._board.add_scalar(f"{kind}/{name}", record[name], record["step"])
            self._board.flush()

    def close(self) -> None:
        """Finish the TensorBoard file."""
        if self._board is not None:
            self._board.close()


def _board(run: Run, purge_step: int | None = None) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MissingExtraError("tensorboard", "train.tensorboard=true") from None
    return SummaryWriter(str(run.tensorboard), purge_step=purge_step)
