"""Find the first number that is NaN or infinite, and where it came from."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from loopwise.diagnose.curves import GATES
from loopwise.diagnose.observe import Observation, observe
from loopwise.diagnose.report import NotFinite
from loopwise.nn.adjoint import follow
from loopwise.nn.rows import turn


def first_not_finite(model: nn.Module, run: Callable[[], Tensor]) -> NotFinite | None:
    """Compute once more and look at every module's output, then at what flows back.

    Args:
        model: as it was before the step that went wrong.
        run: computes the loss, with the same random numbers as before.
    """
    for name, parameter in model.named_parameters():
        if not _good(parameter):
            return NotFinite(name, None, "the parameter, before the step")
    found: list[NotFinite] = []
    with ExitStack() as stack:
        seen = stack.enter_context(observe(model))
        for name, module in model.named_modules():
            if any(module.children()):
                continue
            for hook in (_look_before, _look_after):
                stack.enter_context(_hooked(module, hook, name or "model", found))
        loss = run()
        if not found and not _good(loss):
            found.append(NotFinite("loss", None, "the loss function"))
        if not found:
            loss.backward()
    for call in seen.calls:  # inside of a layer it is told more exactly
        inside = _in_layer(call)
        layer = call.name.rpartition(".")[0] or "model"
        if inside is not None and (not found or found[0].tensor in (layer, f"input of {layer}")):
            return inside
    return next(iter(found), None) or next(_backwards(model, seen.calls), None)


def _hooked(module: nn.Module, look: Any, name: str, found: list[NotFinite]) -> Any:
    def hook(module: nn.Module, *given: Any) -> None:
        if not found:
            look(module, given, name, found)

    register = module.register_forward_pre_hook
    if look is _look_after:
        register = module.register_forward_hook
    return _Handle(register(hook))


class _Handle(ExitStack):
    def __init__(self, handle: Any):
        super().__init__()
        self.callback(handle.remove)


def _look_before(module: nn.Module, given: Any, name: str, found: list[NotFinite]) -> None:
    if not all(_good(tensor) for tensor in _tensors(given[0])):
        found.append(NotFinite(f"input of {name}", None, "what came before it"))


def _look_after(module: nn.Module, given: Any, name: str, found: list[NotFinite]) -> None:
    if not all(_good(tensor) for tensor in _tensors(given[1])):
        found.append(NotFinite(name, None, type(module).__name__))


def _in_layer(call: Observation) -> NotFinite | None:
    """The first step of a layer at which something is not finite."""
    problem = call.problem
    if 0 in problem.x.shape:
        return None
    followed = follow(problem)
    width = problem.weights.hh.shape[0] // len(GATES[problem.cell])
    states = dict(zip("hc", followed.states, strict=False))
    gates = dict(zip(GATES[problem.cell], followed.gates.split(width, -1), strict=True))
    parts = {
        f"input of {call.name}": (problem.x, "what came before it"),
        **{f"{call.name}, gate {name}": (part, "its activation") for name, part in gates.items()},
        **{f"{call.name}, {name}": (part, "the state's step") for name, part in states.items()},
    }
    first: tuple[int, int, NotFinite] | None = None
    for rank, (name, (part, operation)) in enumerate(parts.items()):
        bad = ~part.isfinite().flatten(1).all(1)
        if not bool(bad.any()):
            continue
        steps = bad.nonzero().flatten()
        step = int(steps[-1] if problem.reverse else steps[0])
        order = len(problem.x) - 1 - step if problem.reverse else step
        if first is None or (order, rank) < first[:2]:
            first = order, rank, NotFinite(name, step, operation)
    return None if first is None else first[2]


def _backwards(model: nn.Module, calls: list[Observation]) -> Iterator[NotFinite]:
    """Where all was finite forwards: layers from the last, then gradients of parameters."""
    for call in reversed(calls):
        if call.d_output is not None and not _good(call.d_output):
            bad = ~call.d_output.isfinite().flatten(1).all(1)
            step = int(bad.nonzero().flatten()[-1])
            yield NotFinite(f"gradient of {call.name}'s output", step, "what comes after it")
        if call.reached:
            adjoint = follow(call.problem).back(call.d_output, call.d_state)
            h = adjoint.h if not call.problem.reverse else turn(adjoint.h, call.problem.lengths)
            bad = ~h.isfinite().flatten(1).all(1)
            if bool(bad.any()):
                step = int(bad.nonzero().flatten()[-1])
                step = len(h) - 1 - step if call.problem.reverse else step
                yield NotFinite(f"gradient of {call.name}, h", step, "the step's backward pass")
    for name, parameter in model.named_parameters():
        if parameter.grad is not None and not _good(parameter.grad):
            yield NotFinite(f"gradient of {name}", None, "the backward pass")


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for part in value:  # pyright: ignore[reportUnknownVariableType]
            yield from _tensors(part)
    elif isinstance(value, dict):
        yield from _tensors(tuple(value.values()))


def _good(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())
