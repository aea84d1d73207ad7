"""When a training stops, validates and saves."""

from typing import Literal

from loopwise.train.training import Training

Stopped = Literal["finished", "early stopping", "interrupted", "time limit"]

ADVICE: dict[Stopped, str] = {
    "interrupted": "continue with --resume",
    "finished": "to train on, raise train.epochs or train.max_steps",
    "early stopping": "to train on, raise train.patience",
    "time limit": "to train on, raise train.max_minutes",
}
"""What to do after each end."""


class Policy:
    """Decides by the options and the progress of `training`, alike in every process.

    Attributes:
        interrupted: whether somebody asked for the end.
        over_time: whether the time limit was reached, as the first process saw it.
    """

    def __init__(self, training: Training):
        self.interrupted = self.over_time = False
        self._training, self._config = training, training.config
        self._saved: tuple[int, int] | None = None

    def stopped(self) -> Stopped | None:
        """Why to stop now; None to go on."""
        config, progress = self._config, self._training.progress
        if self.interrupted:
            return "interrupted"
        if self._training.stream.epoch >= config.epochs or (
            config.max_steps and progress.step >= config.max_steps
        ):
            return "finished"
        if config.patience and progress.waited >= config.patience:
            return "early stopping"
        return "time limit" if self.over_time else None

    def time_is_up(self) -> bool:
        """Whether the time limit is reached by the clock of this process."""
        return 0 < self._config.max_minutes * 60 <= self._training.progress.seconds

    def validation_due(self) -> bool:
        """Whether to validate now: at each interval, and at every end but an interruption."""
        progress, stopped = self._training.progress, self.stopped()
        if progress.validated == progress.step or stopped == "interrupted":
            return False
        every = self._config.validate_every
        regular = progress.step % every == 0 if every else self._training.stream.starts_epoch
        return regular or stopped is not None

    def checkpoint_due(self) -> bool:
        """Whether to save now: at each interval, after the best validation so far, at the end."""
        progress, every = self._training.progress, self._config.checkpoint_every
        if self._saved == self._point():
            return False
        if self.stopped():
            return True
        validated = progress.validated == progress.step
        best = validated and progress.waited == 0
        regular = progress.step % every == 0 if every else validated
        return progress.step > 0 and (best or regular)

    def note_saved(self) -> None:
        """Take note that a checkpoint holds the training as it is now."""
        self._saved = self._point()

    def _point(self) -> tuple[int, int]:
        return self._training.progress.step, self._training.progress.validated
