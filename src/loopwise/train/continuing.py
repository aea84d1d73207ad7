"""Which checkpoint a training goes on from, and what becomes of those after it."""

from pathlib import Path

from loopwise.errors import RunError
from loopwise.runs import Run
from loopwise.train import checkpoints


def starting_point(run: Run, resume: bool, from_checkpoint: str | None) -> Path | None:
    """The checkpoint of `run` to start from; None to start anew.

    Args:
        run: whose checkpoints are looked at.
        resume: start from the latest one, if there is any.
        from_checkpoint: start from this one (name, step or path).

    Raises:
        CheckpointError: there is no such checkpoint.
        RunError: there are checkpoints and none is asked for.
    """
    if from_checkpoint is not None:
        return checkpoints.find(run.checkpoints, from_checkpoint)
    found = checkpoints.list_checkpoints(run.checkpoints)
    if found and not resume:
        raise RunError(f"{run.path}: holds a training already; continue it with --resume")
    return found[-1] if found else None


def set_aside_after(run: Run, start: Path) -> bool:
    """Move the checkpoints after `start` to the run's folder ``superseded``.

    Returns:
        Whether there were any.

    Raises:
        RunError: the disk refuses.
    """
    there = checkpoints.list_checkpoints(run.checkpoints)
    later = [path for path in there if path.name > start.name]
    if later:
        run.set_aside([file for path in later for file in checkpoints.files(path)])
    return bool(later)
