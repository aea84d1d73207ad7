"""How large gradients and updates are beside the weights."""

import copy
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from loopwise.diagnose.report import TensorReport


def tensors(model: nn.Module, optimizer: Optimizer | None) -> Iterator[TensorReport]:
    """One for each parameter that has a gradient; the model is as before afterwards.

    Args:
        model: after its backward pass.
        optimizer: over its parameters; asked for the step that it would take now.
    """
    named = [(name, p) for name, p in model.named_parameters() if p.grad is not None]
    updates: list[float | None] = [None] * len(named)
    if optimizer is not None:
        before = [p.detach().clone() for _, p in named]
        with _undone(optimizer):
            optimizer.step()
            updates = [_norm(p - old) for (_, p), old in zip(named, before, strict=True)]
    for (name, parameter), update in zip(named, updates, strict=True):
        assert parameter.grad is not None
        yield TensorReport(name, _norm(parameter), _norm(parameter.grad), update)


@contextmanager
def _undone(optimizer: Optimizer) -> Generator[None]:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    values = [p.detach().clone() for p in parameters]
    state = copy.deepcopy(optimizer.state_dict())
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, value in zip(parameters, values, strict=True):
                parameter.copy_(value)
        optimizer.load_state_dict(state)


def _norm(tensor: Tensor) -> float:
    return float(torch.linalg.vector_norm(tensor.detach(), dtype=torch.float64))
