"""An endless stream of sequences to train on, drawn as they are needed."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from loopwise.errors import DataError
from loopwise.tasks.synthetic.problems import Problem, training_generator


class SequenceBatch(NamedTuple):
    """Some sequences as tensors; see `loopwise.tasks.synthetic.problems.Sequences`."""

    inputs: Tensor
    targets: Tensor


class SequenceStream:
    """An endless stream of fresh sequences, a `loopwise.train.task.BatchStream`.

    Each batch is drawn by a generator of its own, seeded by the stream, the process and the number
    of the batch. So that number is all there is to the place in the stream.

    Args:
        problem: what is drawn.
        batch_size: sequences of a batch of one process.
        epoch_sequences: sequences of an epoch, in all processes; what does not fill a batch is
            left out.
        seed: equal in all processes.
        rank: index of this process, ``0 <= rank < world``.
        world: number of processes.

    Raises:
        DataError: an epoch has not one batch.
    """

    def __init__(
        self,
        problem: Problem,
        batch_size: int,
        epoch_sequences: int,
        *,
        seed: int = 1,
        rank: int = 0,
        world: int = 1,
    ):
        self.batches = epoch_sequences // (batch_size * world)
        if not self.batches:
            raise DataError(
                f"an epoch has {epoch_sequences} sequences (data.epoch_sequences); a step takes "
                f"{batch_size} x {world} processes: raise it, or lower train.batch_size"
            )
        self._problem, self._batch_size, self._world = problem, batch_size, world
        self._seed, self._rank, self._given_out = seed, rank, 0

    @property
    def epoch(self) -> int:
        """Index of the epoch that the next batch belongs to."""
        return self._given_out // self.batches

    @property
    def progress(self) -> float:
        """Epochs given out so far, with the fraction of the running one."""
        return self._given_out / self.batches

    @property
    def starts_epoch(self) -> bool:
        """Whether the next batch is the first of an epoch."""
        return self._given_out % self.batches == 0

    def next(self) -> SequenceBatch:
        """The next batch."""
        rng = training_generator(self._seed, self._rank, self._given_out)
        self._given_out += 1
        return SequenceBatch(*map(torch.from_numpy, self._problem.draw(rng, self._batch_size)))

    def state_dict(self) -> dict[str, Any]:
        """How many batches were given out, and of what, as JSON values."""
        return {
            "problem": repr(self._problem),
            "sequences": self._batch_size * self._world,
            "seed": self._seed,
            "batches": self._given_out,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Return to the place that `state_dict` gave.

        Raises:
            DataError: it is one in another stream.
        """
        for key, own in self.state_dict().items():
            if key != "batches" and state[key] != own:
                raise DataError(
                    f"the checkpoint is of other sequences: their {key} was {state[key]}, not "
                    f"{own}: continue with the same data.length, train.batch_size and train.seed"
                )
        self._given_out = int(state["batches"])
