"""Batches of sequences of like length, cut anew in each epoch."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from loopwise.errors import DataError

CHUNK = 100
"""Batches' worth of sequences that are sorted by length together."""

B = TypeVar("B")
Counts = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Buckets:
    """How batches are cut.

    Attributes:
        most: of what a sequence is measured in, in a batch of one process; a longer one is a batch
            of its own.
        size: sequences of a batch, at most.
        seed: equal in all processes.
        rank: index of this process.
        world: number of processes.
    """

    most: float
    size: int
    seed: int = 1
    rank: int = 0
    world: int = 1


class Lengths(NamedTuple):
    """Of an epoch's sequences."""

    sizes: NDArray[Any]
    """[N], what a batch has at most `Buckets.most` of"""
    order: tuple[Counts, ...]
    """[N] each, what they are sorted by, the last first"""


class BucketStream(ABC, Generic[B]):
    """An endless stream of batches of like length, a `loopwise.train.task.BatchStream`.

    An epoch's sequences are shuffled, sorted by length within chunks and cut into batches, whose
    order is shuffled. All of it follows from the seed and the epoch, so the number of batches that
    were given out is all there is to the place in the stream.

    Args:
        buckets: how batches are cut.
        what: names the sequences, for messages.
        identity: what a place in this stream is worth nothing without, as JSON values.
        options: the names of what must stay for a run to be continued, for messages.

    Raises:
        DataError: an epoch has fewer batches than processes.
    """

    def __init__(self, buckets: Buckets, what: str, identity: Mapping[str, Any], options: str):
        self._buckets, self._options = buckets, options
        self._identity = {**identity, "seed": buckets.seed, "world": buckets.world}
        self._epoch, self._place = 0, 0
        self._plan = self._cut(0)
        if not self._plan:
            raise DataError(
                f"{what} make no batch for each of {buckets.world} processes: lower what a batch "
                f"has at most ({options})"
            )

    @abstractmethod
    def _measure(self, epoch: int) -> Lengths:
        """Make an epoch's sequences ready, and measure them."""

    @abstractmethod
    def _take(self, rows: Counts) -> B:
        """A batch of some of the epoch's sequences."""

    @property
    def epoch(self) -> int:
        """Index of the epoch that the next batch belongs to."""
        return self._epoch

    @property
    def progress(self) -> float:
        """Epochs given out so far, with the fraction of the running one."""
        return self._epoch + self._place / len(self._plan)

    @property
    def starts_epoch(self) -> bool:
        """Whether the next batch is the first of an epoch."""
        return self._place == 0

    def next(self) -> B:
        """The next batch."""
        batch = self._take(self._plan[self._place])
        self._place += 1
        if self._place == len(self._plan):
            self._begin(self._epoch + 1, 0)
        return batch

    def state_dict(self) -> dict[str, Any]:
        """The place in the stream, and in which, as JSON values."""
        return {**self._identity, "epoch": self._epoch, "place": self._place}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Return to a place that `state_dict` gave.

        Raises:
            DataError: it is one in another stream.
        """
        for key, own in self._identity.items():
            if (theirs := state.get(key)) != own:
                raise DataError(
                    f"the checkpoint is of other batches: its {key} were {theirs}, not {own}: "
                    f"continue with the same {self._options}"
                )
        self._begin(int(state["epoch"]), int(state["place"]))

    def _begin(self, epoch: int, place: int) -> None:
        if epoch != self._epoch:
            self._plan = self._cut(epoch)
        self._epoch, self._place = epoch, place

    def _cut(self, epoch: int) -> list[NDArray[np.int64]]:
        """This process's batches of an epoch, as rows."""
        cut, (sizes, keys) = self._buckets, self._measure(epoch)
        rng = np.random.default_rng([cut.seed, epoch])
        order = rng.permutation(len(sizes))
        mean = max(float(sizes.mean()), 1e-9) if len(sizes) else 1.0
        chunk = CHUNK * max(min(int(cut.most / mean), cut.size), 1)
        batches: list[NDArray[np.int64]] = []
        for begin in range(0, len(order), chunk):
            rows = order[begin : begin + chunk]
            rows = rows[np.lexsort([key[rows] for key in keys])]
            batches += _split(rows, sizes[rows], cut.most, cut.size)
        batches = [batches[i] for i in rng.permutation(len(batches))]
        whole = len(batches) - len(batches) % cut.world
        return batches[cut.rank : whole : cut.world]


def _split(
    rows: NDArray[np.int64], sizes: NDArray[Any], most: float, size: int
) -> list[NDArray[np.int64]]:
    """Rows in a line, cut where the next would be one too many."""
    cuts, count, taken = [0], 0, 0
    for i, length in enumerate(sizes.tolist()):
        if taken and (count + length > most or taken == size):
            cuts.append(i)
            count, taken = 0, 0
        count, taken = count + length, taken + 1
    return [part for part in np.split(rows, cuts[1:]) if len(part)]


def pad(rows: Any, value: int) -> NDArray[np.int64]:
    """Rows of ids as a table [T, B], filled up with `value`."""
    table = np.full((max(map(len, rows), default=0), len(rows)), value, np.int64)
    for i, row in enumerate(rows):
        table[: len(row), i] = row
    return table
