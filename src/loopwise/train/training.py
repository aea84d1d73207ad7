"""All that changes in the course of a training: what steps update and checkpoints hold."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from loopwise.errors import ConfigError
from loopwise.nn.state import State, leaves, map_state, rebuild
from loopwise.train.checkpoints import Checkpoint
from loopwise.train.config import TrainConfig
from loopwise.train.optimizers import Averaging
from loopwise.train.processes import World
from loopwise.train.progress import Progress
from loopwise.train.task import BatchStream


@dataclass
class Training:
    """The state of a training after a whole number of steps.

    During a step nothing of this changes but the stream, whose place before the step is kept in
    `place`, and the model's buffers, kept in `buffers`. So a checkpoint is exact even when it is
    written because a step failed half-way. Random numbers are no state at all: see `seed_step`.

    Attributes:
        config: of the training.
        world: this process among all.
        model: bare, on its device.
        optimizer: over its parameters.
        stream: of batches; a step is ahead of `place` while it runs.
        carried: the recurrent states of all processes, ``[world, ...]``; None at the start.
        progress: counters.
    """

    config: TrainConfig
    world: World
    model: nn.Module
    optimizer: Optimizer
    stream: BatchStream[Any]
    carried: State | None = None
    progress: Progress = field(default_factory=Progress)
    place: dict[str, Any] = field(init=False)
    buffers: list[Tensor] = field(init=False)

    def __post_init__(self) -> None:
        self.hold()

    def hold(self) -> None:
        """Make the present state of stream and buffers that of the last whole step."""
        self.place = self.stream.state_dict()
        self.buffers = [buffer.clone() for buffer in self.model.buffers()]

    def release(self) -> None:
        """Undo what an unfinished or skipped step did to the buffers."""
        with torch.no_grad():
            for buffer, held in zip(self.model.buffers(), self.buffers, strict=True):
                buffer.copy_(held)

    def own_state(self) -> State | None:
        """This process's part of `carried`; None where the next batch starts an epoch."""
        if self.carried is None or self.stream.starts_epoch:
            return None
        return map_state(self._own_part, self.carried)

    def _own_part(self, tensor: Tensor) -> Tensor:
        return tensor[self.world.rank]

    def checkpoint(self, judge: str, extra: Mapping[str, Any]) -> Checkpoint:
        """The training, validated by `judge`, as a checkpoint; `extra` goes into its JSON state."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        scalars: dict[str, Any] = {}
        for index, values in self.optimizer.state_dict()["state"].items():
            for key, value in values.items():
                into = tensors if isinstance(value, Tensor) else scalars
                into[f"optimizer.{index}.{key}"] = value
        if self.carried is not None:
            tensors |= {f"carried.{i}": t for i, t in enumerate(leaves(self.carried))}
        state = {
            **extra,
            "processes": self.world.size,
            "optimizer": self.config.optimizer,
            "optimizer_scalars": scalars,
            "optimizer_extra": _extra(self.optimizer),
            "carried": _outline(self.carried),
            "stream": self.place,
            "progress": self.progress.to_json(),
        }
        progress = self.progress
        metric = progress.metric if progress.validated == progress.step else None
        return Checkpoint(progress.step, metric, tensors, state, judge)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Become what `checkpoint` holds.

        Raises:
            ConfigError: it is of another model, optimiser or number of processes.
            DataError: the stream does not know the place (see the stream).
        """
        state, tensors = checkpoint.state, checkpoint.tensors
        self._check(state)
        load_weights(self.model, tensors)
        load_optimizer(self.optimizer, checkpoint)
        carried = _under("carried.", tensors)
        parts = iter([carried[str(i)].to(_device(self.model)) for i in range(len(carried))])
        self.carried = _from_outline(state["carried"], parts)
        self.stream.load_state_dict(state["stream"])
        self.progress = Progress.from_json(state["progress"])
        self.hold()

    def forget_validations(self) -> None:
        """Drop all that metrics decided later validations by; averages that NT-ASGD began stay."""
        self.progress.forget_validations()
        if isinstance(self.optimizer, Averaging):
            self.optimizer.forget()

    def _check(self, state: Mapping[str, Any]) -> None:
        if state["processes"] != self.world.size:
            raise ConfigError(
                f"the checkpoint is of {state['processes']} processes, not {self.world.size}: "
                f"continue with torchrun --nproc-per-node {state['processes']}"
            )
        if state["optimizer"] != self.config.optimizer:
            raise ConfigError(
                f"the checkpoint is of train.optimizer={state['optimizer']}, not "
                f"{self.config.optimizer}: continue with the same one"
            )


def load_optimizer(optimizer: Optimizer, checkpoint: Checkpoint) -> None:
    """Give `optimizer` what a checkpoint of one of its kind holds."""
    state = checkpoint.state
    values: dict[int, dict[str, Any]] = {}
    flat = {
        **_under("optimizer.", checkpoint.tensors),
        **_under("optimizer.", state["optimizer_scalars"]),
    }
    for name, value in flat.items():
        index, _, key = name.partition(".")
        values.setdefault(int(index), {})[key] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": values, "param_groups": groups})
    if isinstance(optimizer, Averaging):
        optimizer.load_extra_state(state["optimizer_extra"])


def load_weights(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give `model` the weights among a checkpoint's tensors.

    Raises:
        ConfigError: they are of another model.
    """
    put_weights(model, _under("model.", tensors), "the checkpoint")


def put_weights(model: nn.Module, weights: Mapping[str, Tensor], origin: str) -> None:
    """Give `model` weights by the names that it has for them.

    Args:
        model: gets them.
        weights: all of them.
        origin: what they come from, as the subject of a sentence.

    Raises:
        ConfigError: they are of another model.
    """
    saved = {k: tuple(v.shape) for k, v in weights.items()}
    built = {k: tuple(v.shape) for k, v in model.state_dict().items()}
    for name in sorted(saved.keys() | built.keys()):
        if saved.get(name) != built.get(name):
            raise ConfigError(
                f"{origin} is of another model: {name} is {saved.get(name, 'absent')} "
                f"in it and {built.get(name, 'absent')} here"
            )
    model.load_state_dict(dict(weights))


def seed_step(seed: int, rank: int, step: int) -> None:
    """Make torch's random numbers within a step a function of `seed`, process and step alone.

    So a continued training draws what an uninterrupted one would have, in every process, with no
    generator state to save, and nothing that happens between steps can shift it.
    """
    mixed = np.random.SeedSequence([seed, rank, step]).generate_state(1, np.uint64)[0]
    torch.manual_seed(int(mixed))


def _extra(optimizer: Optimizer) -> dict[str, Any]:
    return optimizer.extra_state() if isinstance(optimizer, Averaging) else {}


def _under(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)}


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def _outline(state: State | None) -> Any:
    """How a state is nested: a tensor is 0, a tuple a list, no state None."""
    if state is None:
        return None
    return 0 if isinstance(state, Tensor) else [_outline(part) for part in state]


def _from_outline(outline: Any, tensors: Any) -> State | None:
    if outline is None:
        return None
    return rebuild(_like(outline), tensors)


def _like(outline: Any) -> State:
    if outline == 0:
        return torch.empty(0)
    return tuple(_like(part) for part in cast(list[Any], outline))
