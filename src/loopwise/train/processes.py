"""The processes of a training, alone or under torchrun: Lightning Fabric behind a typed face.

Fabric types most of what it returns as Any; every cast stands here.
"""

import logging
import os
import traceback
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
import torch.distributed as distributed
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, nn
from torch.distributed import DistError

from loopwise.errors import LoopwiseError
from loopwise.nn.state import State, map_state
from loopwise.train.config import TrainConfig
from loopwise.train.machine import require_machine

T = TypeVar("T")

# Must outlast a validation, during which the others wait for the first process. A process that dies
# is noticed at once by its closed connection, whatever this is.
TIMEOUT = timedelta(minutes=30)

# gloo raises nothing but RuntimeError, as a model does that waits in the midst of its own work
_BROKEN = ("gloo", "nccl", "connection", "broken pipe", "socket", "timed out")


class LostProcessError(Exception):
    """Another process died or no longer answers."""


@dataclass(frozen=True)
class World:
    """Which process this is, and of how many: what a task needs to take its share of the data.

    Attributes:
        rank: index, ``0 <= rank < size``.
        size: number of processes.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def current(cls) -> "World":
        """What torchrun says in the environment; one process without it."""
        return cls(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))


class Processes:
    """Runs the same training in each process: device, precision, sums and broadcasts.

    What waits for the other processes raises LostProcessError if one of them is gone.

    Args:
        config: `device`, `precision` and `threads` are read.

    Raises:
        ConfigError: `device` is cuda and there is none.
    """

    def __init__(self, config: TrainConfig):
        require_machine(config)
        if config.threads:
            torch.set_num_threads(config.threads)
        self.world = World.current()
        cuda = config.device != "cpu" and torch.cuda.is_available()
        self._fabric = _fabric("cuda" if cuda else "cpu", config.precision, self.world)
        self._fabric.launch()

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and prints."""
        return self.world.rank == 0

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        return self._fabric.device

    def wrap(self, model: nn.Module) -> nn.Module:
        """`model` with the precision of the training and gradients averaged over processes."""
        with self.together():
            return cast(nn.Module, self._fabric.setup(model))

    def to_device(self, batch: T) -> T:
        """The tensors of `batch` on this process's device."""
        return cast(T, self._fabric.to_device(cast(Any, batch)))

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of `loss`; averaged over processes outside `unsynchronised`.

        As with a wrapped model, `together` is to be held around it.
        """
        self._fabric.backward(loss)

    @contextmanager
    def together(self) -> Generator[None]:
        """To be held around all that waits for the other processes, as a wrapped model does.

        Raises:
            LostProcessError: instead of torch's error where one of them is gone.
        """
        try:
            yield
        except RuntimeError as error:
            text = str(error).lower()
            broken = isinstance(error, DistError) or any(word in text for word in _BROKEN)
            if self.world.size == 1 or not broken:
                raise
            traceback.clear_frames(error.__traceback__)  # they hold the wrapped model
            raise LostProcessError from error

    def unsynchronised(self, wrapped: nn.Module, enabled: bool) -> AbstractContextManager[Any]:
        """Within, gradients stay in their process: all micro-batches but a step's last."""
        enabled = enabled and self.world.size > 1
        return self._fabric.no_backward_sync(cast(Any, wrapped), enabled=enabled)

    def sum(self, values: Sequence[float]) -> list[float]:
        """Each value summed over processes."""
        if self.world.size == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        with self.together():
            return cast(Tensor, self._fabric.all_reduce(tensor, reduce_op="sum")).tolist()

    def gather(self, state: State) -> State:
        """The states of all processes, stacked in front: each tensor ``[world, ...]``.

        Shapes must agree, as they do for lanes.
        """

        def stack(tensor: Tensor) -> Tensor:
            if self.world.size == 1:
                return tensor[None]
            parts = [torch.empty_like(tensor) for _ in range(self.world.size)]
            with self.together():
                distributed.all_gather(parts, tensor.contiguous())
            return torch.stack(parts)

        return map_state(stack, state)

    def broadcast(self, value: T) -> T:
        """The first process's `value`, in every process."""
        with self.together():
            return self._fabric.broadcast(value)

    def ask_first(self, question: Callable[[], T]) -> T:
        """What `question` returns in the first process, in every process.

        Where it raises LoopwiseError the others leave without a word: the first one says it all.
        """
        answer, error = None, None
        if self.first:
            try:
                answer = question()
            except LoopwiseError as raised:
                error = raised
        answer, failed = self.broadcast((answer, error is not None))
        if error is not None:
            raise error
        if failed:
            raise SystemExit(1)
        return cast(T, answer)

    def wait(self) -> None:
        """Until all processes are here."""
        with self.together():
            self._fabric.barrier()

    def close(self) -> None:
        """Leave the other processes; `Processes` made later meet anew.

        Nothing that `wrap` returned may be alive: it would keep gloo's threads, and its own
        deletion, which holds the interpreter's lock, can wait forever for a thread that wants it.
        """
        # left to the end of the interpreter, those threads abort it; nccl, which would wait here
        # for a process that died, is closed by Fabric at exit
        if distributed.is_initialized() and distributed.get_backend() == "gloo":
            distributed.destroy_process_group()


def _fabric(accelerator: str, precision: str, world: World) -> Fabric:
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it greets every process
    plugin = "bf16-mixed" if precision == "bf16" else "32-true"
    if world.size == 1:
        return Fabric(accelerator=accelerator, devices=1, precision=plugin)
    local = int(os.environ.get("LOCAL_WORLD_SIZE", world.size))
    strategy = DDPStrategy(
        process_group_backend="nccl" if accelerator == "cuda" else "gloo", timeout=TIMEOUT
    )
    return Fabric(
        accelerator=accelerator,
        devices=local,
        num_nodes=world.size // local,
        strategy=strategy,
        precision=plugin,
    )
