"""Truncated backpropagation through time over one long token sequence.

The text is cut into as many contiguous lanes as there are rows in the batches of all processes;
a window takes the next tokens of every lane, so a state carried from window to window has read its
lane from the start of the epoch (Mikolov et al. 2010; Zaremba et al. 2014, arXiv:1409.2329).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from loopwise.errors import DataError


class Window(NamedTuple):
    """One window of all lanes of a process; `targets` are `inputs` shifted by one token.

    Attributes:
        inputs: ``[T, B]``, int64.
        targets: ``[T, B]``, int64.
        scale: ``T`` over the nominal window where lengths vary, else 1; see `Lanes`.
    """

    inputs: Tensor
    targets: Tensor
    scale: float


class Lanes:
    """An endless stream of windows over `tokens`, a `BatchStream`.

    Every pair of a token and its successor is given out once per epoch, apart from the fewer than
    ``batch_size * world`` at the end that do not fill the lanes. The last window of an epoch may
    be shorter.

    Args:
        tokens: ``[N]`` token ids.
        batch_size: lanes of this process.
        window: tokens per window.
        vary: draw the lengths as AWD-LSTM does (Merity et al. 2017, arXiv:1708.02182, section 5):
            the mean is `window` in 95 % of draws, else half of it, with standard deviation 5 and
            at least 5 tokens. Learning rates then are to be scaled by `Window.scale`.
        seed: of the lengths; every process must be given the same.
        rank: index of this process, ``0 <= rank < world``.
        world: number of processes.
        name: what the tokens are, for messages.

    Raises:
        DataError: the text is too short to give each lane one token and its successor.
    """

    def __init__(
        self,
        tokens: NDArray[np.integer[Any]],
        batch_size: int,
        window: int,
        *,
        vary: bool = False,
        seed: int = 1,
        rank: int = 0,
        world: int = 1,
        name: str = "the text",
    ):
        lanes = batch_size * world
        self.length = (len(tokens) - 1) // lanes
        if self.length < 1:
            raise DataError(
                f"{name} has {len(tokens)} tokens; {lanes} lanes (batch_size {batch_size} "
                f"x {world} processes) need at least {lanes + 1}: lower train.batch_size"
            )
        used = lanes * self.length
        mine = slice(rank * batch_size, (rank + 1) * batch_size)
        self._inputs = tokens[:used].reshape(lanes, self.length)[mine].T
        self._targets = tokens[1 : used + 1].reshape(lanes, self.length)[mine].T
        self._lanes, self._window, self._vary = lanes, window, vary
        self._rng = np.random.Generator(np.random.PCG64(seed))
        self._epoch, self._position = 0, 0

    @property
    def epoch(self) -> int:
        """Index of the epoch that the next window belongs to."""
        return self._epoch

    @property
    def progress(self) -> float:
        """Epochs given out so far, with the fraction of the running one."""
        return self._epoch + self._position / self.length

    @property
    def starts_epoch(self) -> bool:
        """Whether the next window is the first of an epoch."""
        return self._position == 0

    def next(self) -> Window:
        """The next window, at most as long as the rest of the lanes."""
        length = self._draw_length() if self._vary else self._window
        scale = length / self._window
        start, end = self._position, min(self._position + length, self.length)
        self._position = end
        if end == self.length:
            self._epoch, self._position = self._epoch + 1, 0
        return Window(_tensor(self._inputs[start:end]), _tensor(self._targets[start:end]), scale)

    def state_dict(self) -> dict[str, Any]:
        """Epoch, position and generator as JSON values."""
        return {
            "lanes": self._lanes,
            "length": self.length,
            "epoch": self._epoch,
            "position": self._position,
            "rng": self._rng.bit_generator.state,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Return to the place that `state_dict` gave.

        Raises:
            DataError: the place is one in other lanes: the text, batch size or processes changed.
        """
        if (state["lanes"], state["length"]) != (self._lanes, self.length):
            raise DataError(
                f"the checkpoint was made on {state['lanes']} lanes of {state['length']} tokens, "
                f"the text now gives {self._lanes} of {self.length}: continue with the same text, "
                "train.batch_size and number of processes"
            )
        self._epoch, self._position = int(state["epoch"]), int(state["position"])
        self._rng.bit_generator.state = state["rng"]

    def _draw_length(self) -> int:
        mean = self._window if self._rng.random() < 0.95 else self._window / 2
        return max(5, int(self._rng.normal(mean, 5)))


def _tensor(rows: NDArray[Any]) -> Tensor:
    return torch.from_numpy(rows.astype(np.int64))
