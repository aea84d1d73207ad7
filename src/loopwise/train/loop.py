"""`fit`: the training loop of every task."""

import math
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from loopwise.diagnose.report import Training as Context
from loopwise.errors import DataError, TrainingError
from loopwise.runs import Run
from loopwise.train import checkpoints
from loopwise.train.config import TrainConfig
from loopwise.train.console import Reporter
from loopwise.train.continuing import set_aside_after, starting_point
from loopwise.train.journal import Journal
from loopwise.train.optimizers import Averaging, averaged_weights, make_optimizer
from loopwise.train.policy import ADVICE, Policy, Stopped
from loopwise.train.processes import LostProcessError, Processes
from loopwise.train.progress import Interval, Progress
from loopwise.train.signals import Interrupted, Interrupts
from loopwise.train.step import Outcome, fraction_done, take_step
from loopwise.train.task import Task
from loopwise.train.training import Training
from loopwise.train.watch import Watch

MOST_FAILURES = 3
"""Steps in a row that may fail to be finite; the last of them ends the training."""


@dataclass(frozen=True)
class FitResult:
    """How a training ended.

    Attributes:
        steps: optimiser steps over all continuations, skipped ones included.
        epochs: passes over the data, with the fraction of the last.
        best: lowest value of the monitored metric; NaN if no validation gave one.
        stopped: why it ended.
        seconds: spent over all continuations.
        skipped_steps: steps that left the weights alone because something was not finite.
    """

    steps: int
    epochs: float
    best: float
    stopped: Stopped
    seconds: float
    skipped_steps: int


def fit(
    task: Task[Any],
    config: TrainConfig,
    run: Run,
    *,
    resume: bool = False,
    from_checkpoint: str | None = None,
    console: Console | None = None,
) -> FitResult:
    """Train the model of `task` and write `run`: records, checkpoints, the best bundle.

    Under torchrun every process calls it with its share of the data (`World.current`), and N
    processes train as one would with N times the batch. Ctrl-C and SIGTERM end it after the step
    with a checkpoint. A continued training repeats an uninterrupted one bit for bit, on the same
    machine and number of threads, where torch's kernels are deterministic (on the CPU they are).

    Args:
        task: what is trained.
        config: how.
        run: where to; its configuration is the caller's to write, its lock the caller's to hold.
        resume: continue from the latest checkpoint of `run`, or start if there is none yet.
        from_checkpoint: continue from this one (name, step or path); later ones are set aside.
        console: for messages; None for standard output.

    Raises:
        CheckpointError: a checkpoint is damaged or missing, or cannot be written.
        ConfigError, DataError: the checkpoint is of another model, optimiser or data.
        MissingExtraError: TensorBoard is asked for and not installed.
        RunError: `run` holds checkpoints and neither `resume` nor `from_checkpoint` is given.
        TrainingError: three steps in a row were not finite, or another process died.
    """
    processes = Processes(config)
    first, alone = processes.first, processes.world.size == 1
    with Interrupts(first, alone) as interrupts, Reporter(console, first) as reporter:
        loop = _Loop(task, config, run, processes, interrupts, reporter)
        try:
            return loop.run(resume, from_checkpoint)
        except LostProcessError as error:
            interrupts.let_speak()
            traceback.clear_frames(error.__traceback__)  # they hold the wrapped model
            raise loop.abandon() from error
        finally:
            loop.close()
            processes.close()


class _Loop:
    def __init__(
        self,
        task: Task[Any],
        config: TrainConfig,
        run: Run,
        processes: Processes,
        interrupts: Interrupts,
        reporter: Reporter,
    ):
        self.task, self.config, self.run_folder = task, config, run
        self.processes, self.interrupts, self.reporter = processes, interrupts, reporter
        self.journal = Journal(run, config, processes.first)
        model = self.wrapped = task.model.to(processes.device).train()
        optimizer = make_optimizer(config, model)
        self.training = Training(config, processes.world, model, optimizer, task.batches)
        self.policy = Policy(self.training)
        watching = config.watch if processes.first else 0
        self.watch = Watch(watching, task.dependence() if watching else None)
        self.clock = time.monotonic()

    @property
    def progress(self) -> Progress:
        return self.training.progress

    def run(self, resume: bool, from_checkpoint: str | None) -> FitResult:
        # the first process alone looks: what the others see, it may be about to clear away
        start = self.processes.ask_first(
            lambda: starting_point(self.run_folder, resume, from_checkpoint)
        )
        if start is not None:
            self._restore(start)
        # waits for all processes, so that none reads what the first one now clears away
        self._require_same_data()
        self.wrapped = self.processes.wrap(self.training.model)
        stopped = self.policy.stopped()
        if start is not None and stopped and not self.policy.validation_due():
            self.reporter.say(f"nothing left to do: {self._ending(stopped)}")
        else:
            if start is not None:
                self._go_on_from(start)
            elif resume:
                self.reporter.say("no checkpoint yet: training from the start")
                self.journal.rewind(0, step=0)
            stopped = self._steps()
            self.reporter.say(self._ending(stopped))
        self.processes.wait()
        return self._result(stopped)

    def abandon(self) -> TrainingError:
        """Save what there is after another process died."""
        if self.processes.first:
            self.training.release()
            self._save()
        last = checkpoints.list_checkpoints(self.run_folder.checkpoints)
        where = f"from {last[-1].stem} with --resume" if last else "from the start: no checkpoint"
        return TrainingError(
            f"a worker process ended after step {self.progress.step}; continue {where}"
        )

    def close(self) -> None:
        """Finish the journal and let go of the wrapped model."""
        self.journal.close()
        self.wrapped = self.training.model

    def _restore(self, path: Path) -> None:
        checkpoint = checkpoints.load(path)
        self.training.restore(checkpoint)
        self.log_size = int(checkpoint.state["log_size"])
        if checkpoint.judge != self.task.judge:
            self.training.forget_validations()
            self.reporter.say("validation has changed: its next result counts as the first")
        self.policy.note_saved()
        self.policy.over_time = self.policy.time_is_up()

    def _require_same_data(self) -> None:
        own = (self.training.stream.state_dict(), self.task.judge)
        differ = self.processes.broadcast(own) != own
        # all raise it: none must wait for one that left
        if any(self.processes.sum([float(differ)])):
            raise DataError(
                "the processes read different data: give all the same files in the same order"
            )

    def _go_on_from(self, start: Path) -> None:
        self.reporter.say(f"continuing from {start.stem}")
        if self.processes.first and set_aside_after(self.run_folder, start):
            self.reporter.say(f"later checkpoints are in {self.run_folder.superseded}")
        self.journal.rewind(self.log_size, step=self.progress.step)

    def _steps(self) -> Stopped:
        while True:
            if self.policy.validation_due() and not self._validate():
                self.policy.interrupted = True
            if self.policy.checkpoint_due():
                self._save()
            if stopped := self.policy.stopped():
                return stopped
            self._step()

    def _step(self) -> None:
        before = time.monotonic()
        with self.watch.over(self.progress.step, self.training.model):
            outcome = take_step(self.training, self.task, self.wrapped, self.processes, self._votes)
        interrupted, over_time = outcome.votes
        self.policy.interrupted, self.policy.over_time = interrupted > 0, over_time > 0
        self._tick()
        if outcome.problem is None:
            self._count(outcome, time.monotonic() - before)
        else:
            self._skip(outcome.problem)
        if self.watch.saw:
            self._log_watch(outcome)
        if self.progress.step % self.config.log_every == 0:
            self._log_train(outcome.lr)

    def _votes(self) -> tuple[float, float]:
        """Reasons to stop, which all processes must see after the same step."""
        self._tick()
        over_time = self.processes.first and self.policy.time_is_up()
        return float(self.interrupts.requested), float(over_time)

    def _tick(self) -> None:
        now = time.monotonic()
        self.progress.seconds += now - self.clock
        self.clock = now

    def _count(self, outcome: Outcome, seconds: float) -> None:
        self.progress.failures = 0
        self.progress.interval.add(
            outcome.loss, outcome.count, outcome.norm, outcome.clipped, seconds
        )
        self.reporter.show_step(
            fraction_done(self.training),
            self.training.stream.progress,
            outcome.loss / max(outcome.count, 1),
        )

    def _skip(self, problem: str) -> None:
        progress = self.progress
        progress.skipped += 1
        progress.failures += 1
        if progress.failures < MOST_FAILURES:
            self.reporter.say(f"step {progress.step}: {problem} is not finite; step skipped")
            return
        raise TrainingError(
            f"step {progress.step}: {problem} is not finite, like something in each of the last "
            f"{MOST_FAILURES} steps; lower train.lr or train.clip and continue with --resume"
        )

    def _log_train(self, lr: float) -> None:
        record = {**self._place(), "lr": lr, **self.progress.interval.record(self.task.unit)}
        if self.watch.memory is not None:
            record["memory"] = self.watch.memory
        self.progress.interval = Interval()
        self.journal.write("train", record)
        self.reporter.show_train(record)

    def _log_watch(self, outcome: Outcome) -> None:
        interval = self.progress.interval
        clipped = interval.clipped / interval.steps if interval.steps else None
        context = Context(
            self.progress.step, clipped, self.config.clip, outcome.lr, self.task.window
        )
        record, fresh = self.watch.record(outcome.loss / max(outcome.count, 1), context)
        self.journal.write("watch", {"step": self.progress.step, **record})
        for finding in fresh:
            self.reporter.say(f"step {self.progress.step}: {finding}")

    def _place(self) -> dict[str, Any]:
        progress = self.progress
        epoch = self.training.stream.progress
        return {"step": progress.step, "epoch": epoch, "seconds": progress.seconds}

    def _validate(self) -> bool:
        """Validate and take note; False if a signal cut it short, so that it is still due."""
        metrics = self.processes.broadcast(self._measure())
        self._tick()
        if metrics is None:
            return False
        metric = metrics[self.task.monitor]
        best = self.progress.observe(metric, self.config)
        if best and self.processes.first:
            with averaged_weights(self.training.optimizer):
                self.task.export(self.run_folder.bundle_path)
        if isinstance(self.training.optimizer, Averaging):
            self.training.optimizer.observe(metric)
        record = self._place()
        self.journal.write("validation", {**record, **metrics})
        self.reporter.show_validation(record, metrics, best)
        return True

    def _measure(self) -> Mapping[str, float] | None:
        if not self.processes.first:
            return None
        model = self.training.model.eval()
        try:
            with (
                # outermost, so that no signal cuts short the swap back
                averaged_weights(self.training.optimizer),
                self.interrupts.at_once(),
                torch.no_grad(),
            ):
                return self.task.validate(model)
        except Interrupted:
            return None
        finally:
            model.train()

    def _save(self) -> None:
        self.policy.note_saved()
        if not self.processes.first:
            return
        self._tick()
        checkpoint = self.training.checkpoint(self.task.judge, {"log_size": self.journal.size})
        checkpoints.save(self.run_folder.checkpoints, checkpoint)
        checkpoints.prune(self.run_folder.checkpoints, self.config.keep)

    def _ending(self, stopped: Stopped) -> str:
        where = f"{stopped} at step {self.progress.step}, epoch {self.training.stream.progress:.2f}"
        return f"{where}; {ADVICE[stopped]}"

    def _result(self, stopped: Stopped) -> FitResult:
        progress = self.progress
        return FitResult(
            steps=progress.step,
            epochs=self.training.stream.progress,
            best=math.nan if progress.best is None else progress.best,
            stopped=stopped,
            seconds=progress.seconds,
            skipped_steps=progress.skipped,
        )
