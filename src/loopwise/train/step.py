"""One optimiser step: micro-batches forward and backward, one clipped update."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from loopwise.nn.state import State, detach, leaves
from loopwise.train.clip import (
    clip_gradients,
    clipped_together,
    first_not_finite,
    gradient_norm,
)
from loopwise.train.processes import Processes
from loopwise.train.schedules import lr_factor
from loopwise.train.task import BatchStream, Task
from loopwise.train.training import Training, seed_step


@dataclass(frozen=True)
class Outcome:
    """What came of a step, equal in all processes.

    Attributes:
        loss: sum over targets.
        count: targets.
        lr: learning rate.
        norm: of the gradient, before clipping.
        clipped: whether it was clipped.
        problem: what was not finite, so that the weights were left alone; None if all was well.
        votes: the sums over processes of the values given as `votes`.
    """

    loss: float
    count: int
    lr: float
    norm: float
    clipped: bool
    problem: str | None
    votes: list[float]


@dataclass(frozen=True)
class _Sums:
    loss: float
    count: int
    lr_scale: float
    state: State | None


def take_step(
    training: Training,
    task: Task[Any],
    wrapped: nn.Module,
    processes: Processes,
    votes: Callable[[], Sequence[float]],
) -> Outcome:
    """Take one step.

    The loss that is differentiated is the mean over all targets of all micro-batches of all
    processes. Everything that needs the other processes comes before the first change to
    `training`, so a process that dies leaves the others at the last whole step.

    Args:
        training: is brought up to date.
        task: gives the loss.
        wrapped: the model as the processes wrapped it.
        processes: to sum over.
        votes: called after the backward pass for numbers to be summed over processes besides.
    """
    config, progress = training.config, training.progress
    seed_step(config.seed, training.world.rank, progress.step)
    epoch, state = training.stream.epoch, training.own_state()
    batches = list(_pull(training.stream, config.accumulate))
    own = _accumulate(task, wrapped, processes, batches, state)

    loss, count, *summed = processes.sum([own.loss, own.count, *votes()])
    carried = None if own.state is None else processes.gather(own.state)
    named = [(name, p) for name, p in training.model.named_parameters() if p.grad is not None]
    for _, parameter in named:
        # processes average their gradients; the sum over all targets becomes their mean
        _grad(parameter).mul_(training.world.size / max(count, 1))
    groups = clipped_together(training.model)
    norms = [gradient_norm(group) for group in groups]
    norm = norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms))
    problem = _problem(loss, float(norm), named)

    lr = config.lr * own.lr_scale * progress.plateau.factor
    lr *= lr_factor(config, fraction_done(training), epoch)
    clipped = False
    if problem is None:
        each = [clip_gradients(*group, config) for group in zip(groups, norms, strict=True)]
        clipped = any(map(bool, each))
        _update(training, lr)
    else:
        training.release()
        carried = _if_finite(carried)
    training.optimizer.zero_grad()
    training.carried = carried
    training.hold()
    progress.step += 1
    return Outcome(loss, int(count), lr, float(norm), clipped, problem, summed)


def fraction_done(training: Training) -> float:
    """How much of the training is done by the batches given out and the steps begun.

    A time limit is no part of it: learning rates must not depend on the machine's speed.
    """
    config = training.config
    done = training.stream.progress / config.epochs
    if config.max_steps:
        done = max(done, (training.progress.step + 1) / config.max_steps)
    return min(done, 1.0)


def _pull(stream: BatchStream[Any], most: int) -> Iterator[Any]:
    """The micro-batches of a step: up to `most`, and none past the end of an epoch."""
    yield stream.next()
    for _ in range(most - 1):
        if stream.starts_epoch:
            return
        yield stream.next()


def _accumulate(
    task: Task[Any],
    wrapped: nn.Module,
    processes: Processes,
    batches: list[Any],
    state: State | None,
) -> _Sums:
    loss, count, scale = torch.zeros((), dtype=torch.float64, device=processes.device), 0, 0.0
    for number, batch in enumerate(batches, start=1):
        with processes.together(), processes.unsynchronised(wrapped, number < len(batches)):
            result = task.loss(wrapped, processes.to_device(batch), state)
            whole = result.loss if result.penalty is None else result.loss + result.penalty
            processes.backward(whole * result.count)
        state = None if result.state is None else detach(result.state)
        loss += result.loss.detach() * result.count
        count += result.count
        scale += result.lr_scale
    return _Sums(float(loss), count, scale / len(batches), state)


def _problem(loss: float, norm: float, named: Sequence[tuple[str, Tensor]]) -> str | None:
    if math.isfinite(loss) and math.isfinite(norm):
        return None
    weight = first_not_finite(named)
    if weight is not None:
        return f"the parameter {weight}"
    name = first_not_finite((name, p.grad) for name, p in named)
    if not math.isfinite(loss):
        return f"the loss, and with it the gradient of {name}," if name else "the loss"
    return f"the gradient of {name}" if name else "the norm of the gradient"


def _update(training: Training, lr: float) -> None:
    for group in training.optimizer.param_groups:
        group["lr"] = lr
    training.optimizer.step()


def _if_finite(state: State | None) -> State | None:
    if state is None or all(bool(torch.isfinite(tensor).all()) for tensor in leaves(state)):
        return state
    return None


def _grad(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad
