"""The processes of a training, alone or under torchrun: Lightning Fabric behind a typed face.

Fabric types most of what it returns as Any; every cast stands here.
"""

import logging
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
import torch.distributed as distributed
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, nn
from torch.distributed import DistError

from loopwise.nn.state import State, map_state
from loopwise.train.config import TrainConfig
from loopwise.train.machine import require_machine

T = TypeVar("T")

# Must outlast a validation, during which the others wait for the first process. A process that dies
# is noticed at once by its closed connection, whatever this is.
TIMEOUT = timedelta(minutes=30)

_BROKEN = ("gloo", "nccl", "connection", "broken pipe", "socket", "timed out", "tcpstore")


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
        return cast(nn.Module, self._fabric.setup(model))

    def to_device(self, batch: T) -> T:
        """The tensors of `batch` on this process's device."""
        return cast(T, self._fabric.to_device(cast(Any, batch)))

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of `loss`; averaged over processes outside `unsynchronised`."""
        self._fabric.backward(loss)

    def unsynchronised(self, wrapped: nn.Module, enabled: bool) -> AbstractContextManager[Any]:
        """Within, gradients stay in their process: all micro-batches but a step's last."""
        enabled = enabled and self.world.size > 1
        return self._fabric.no_backward_sync(cast(Any, wrapped), enabled=enabled)

    def sum(self, values: Sequence[float]) -> list[float]:
        """Each value summed over processes."""
        if self.world.size == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        return cast(Tensor, self._fabric.all_reduce(tensor, reduce_op="sum")).tolist()

    def gather(self, state: State) -> State:
        """The states of all processes, stacked in front: each tensor ``[world, ...]``.

        Shapes must agree, as they do for lanes.
        """

        def stack(tensor: Tensor) -> Tensor:
            if self.world.size == 1:
                return tensor[None]
            parts = [torch.empty_like(tensor) for _ in range(self.world.size)]
            distributed.all_gather(parts, tensor.contiguous())
            return torch.stack(parts)

        return map_state(stack, state)

    def broadcast(self, value: T) -> T:
        """The first process's `value`, in every process."""
        return self._fabric.broadcast(value)

    def wait(self) -> None:
        """Until all processes are here."""
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

    def has_lost_one(self, error: RuntimeError) -> bool:
        """Whether `error` is what the death of another process looks like."""
        if self.world.size == 1:
            return False
        text = str(error).lower()
        return isinstance(error, DistError) or any(word in text for word in _BROKEN)


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
