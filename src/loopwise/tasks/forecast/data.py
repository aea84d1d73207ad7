"""Windows to learn from, drawn from a panel, and those that are held out."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from loopwise.codec.series.spaces import Space
from loopwise.codec.series.windows import Prepared, Windows, cut, following
from loopwise.errors import DataError
from loopwise.runtime.description import ForecasterDescription

Integers = NDArray[np.int64]


class ForecastBatch(NamedTuple):
    """Windows of each member with what follows their origins.

    Attributes:
        windows: of each member.
        targets: [B, K, n, C] of each, in the window's space; NaN where nothing is known.
        chosen: which n of the h targets after an origin these are; None for all.
        scale: [B, 1, 1, C] of each, what counts are divided by.
        weight: [B] of each.
    """

    windows: list[Windows]
    targets: list[Tensor]
    scale: list[Tensor]
    weight: list[Tensor]
    chosen: Integers | None


class WindowStream:
    """An endless stream of windows, a `loopwise.train.task.BatchStream`.

    Rows are drawn with equal chances, then a place in each. Each batch has a generator of its own,
    seeded by the stream, the process, the member and the number of the batch, so that number is all
    there is to the place in the stream.

    Args:
        prepared: the panel.
        until: points of each row that may be targets, [R], of one row at least 2; those after are
            held out.
        weight: of each row, [R].
        description: of the network.
        length: points of a window, whole patches.
        origins: K, targets after so many last patches.
        batch_size: windows of a batch, of each member, of one process.
        targets: n, how many targets after an origin are drawn; 0 for all.
        epoch_windows: windows of an epoch in all processes; 0 by the data.
        epochs: passes that are to come, by which 0 chooses.
        seed: equal in all processes.
        rank: index of this process.
        world: number of processes.
    """

    def __init__(
        self,
        prepared: Prepared,
        until: Integers,
        weight: NDArray[np.float64],
        description: ForecasterDescription,
        length: int,
        origins: int,
        batch_size: int,
        *,
        targets: int = 0,
        epoch_windows: int = 0,
        epochs: int = 1,
        seed: int = 1,
        rank: int = 0,
        world: int = 1,
    ):
        self._prepared, self.until, self._weight = prepared, until, weight
        self._description, self._length, self._origins = description, length, origins
        # at least one point before the last origin, and one target after it
        self._rows = np.flatnonzero(until >= 2)
        places = int(np.maximum(until[self._rows] - 1, 1).sum())
        self.batches = _batches(epoch_windows, places, batch_size * world, epochs)
        self._batch_size, self._seed, self._rank, self._world = batch_size, seed, rank, world
        self._targets, self._given_out = targets, 0

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

    def next(self) -> ForecastBatch:
        """The next batch."""
        chosen = self._choose()
        members = [self._draw(n, chosen) for n in range(self._description.members)]
        self._given_out += 1
        windows, targets, scale, weight = (list(part) for part in zip(*members, strict=True))
        return ForecastBatch(windows, targets, scale, weight, chosen)

    def state_dict(self) -> dict[str, Any]:
        """How many batches were given out, and of what, as JSON values."""
        return {
            "points": int(self.until.sum()),
            "rows": len(self._rows),
            "windows": self._batch_size * self._world,
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
                    f"the checkpoint is of other data: its {key} were {state[key]}, not {own}: "
                    "continue with the same table, train.batch_size and train.seed"
                )
        self._given_out = int(state["batches"])

    def places(
        self, rng: np.random.Generator, count: int, length: int
    ) -> tuple[Integers, Integers]:
        """Rows and ends of `count` windows of `length` points.

        They have whole horizons and are whole where a row has room for that; else they end at the
        last place that is left.
        """
        rows = self._rows[rng.integers(0, len(self._rows), count)]
        last = np.maximum(self.until[rows] - self._description.horizon, 1)
        first = np.minimum(length, last)
        return rows, first + (rng.random(count) * (last - first + 1)).astype(np.int64)

    def _choose(self) -> Integers | None:
        """Places in the horizon, equal in all processes."""
        horizon = self._description.horizon
        if not 0 < self._targets < horizon:
            return None
        rng = np.random.default_rng([self._seed, self._given_out])
        return np.sort(rng.choice(horizon, self._targets, replace=False)).astype(np.int64)

    def _draw(self, member: int, chosen: Integers | None) -> tuple[Windows, Tensor, Tensor, Tensor]:
        rng = np.random.default_rng([self._seed, self._rank, self._given_out, member])
        rows, ends = self.places(rng, self._batch_size, self._length)
        until = self.until[rows]
        windows, space, targets = take(
            self._prepared, rows, ends, self._length, self._origins, self._description, until
        )
        if chosen is not None:
            targets = targets[:, :, chosen]
        scale = torch.from_numpy(space.spread.astype(np.float32))[:, None, None, :]
        weight = torch.from_numpy(self._weight[rows].astype(np.float32))
        return as_tensors(windows), targets, scale, weight


def take(
    prepared: Prepared,
    rows: Integers,
    ends: Integers,
    length: int,
    origins: int,
    description: ForecasterDescription,
    until: Integers | None = None,
) -> tuple[Windows, Space, Tensor]:
    """Windows of NumPy, their space, and the targets [B, K, h, C] after their origins in it."""
    d = description
    windows, space = cut(prepared, rows, ends, length, d.horizon, d.patch, origins=origins)
    places = ends[:, None] - d.patch * np.arange(origins - 1, -1, -1)
    found = following(prepared, rows, places, d.horizon)
    if until is not None:
        ahead = places[..., None] + np.arange(d.horizon)
        found = np.where((ahead < until[:, None, None])[..., None], found, np.nan)
    found = np.where((places >= 1)[..., None, None], found, np.nan)
    return windows, space, torch.from_numpy(space.over(1, 2).into(found).astype(np.float32))


def as_tensors(windows: Windows) -> Windows:
    """Windows of NumPy as windows of torch."""
    return Windows(*map(torch.from_numpy, windows))


def _batches(epoch_windows: int, places: int, step: int, epochs: int) -> int:
    """Steps of an epoch: by default more for more windows, by their cube root, within bounds."""
    if epoch_windows:
        return max(epoch_windows // step, 1)
    return max(int(np.clip(PER_ROOT * np.cbrt(places), FEWEST, MOST)) // epochs, 1)


PER_ROOT, FEWEST, MOST = 20, 200, 1200
"""Steps of a training, unless something else is asked for; measured on six kinds of series."""
