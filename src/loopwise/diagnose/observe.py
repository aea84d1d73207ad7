"""Watch the recurrent layers of a model while it computes, whoever wrote it."""

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from loopwise.nn.accelerate import same_layer
from loopwise.nn.cells import SingleCell
from loopwise.nn.layers import Layer
from loopwise.nn.ops import observed
from loopwise.nn.problem import Problem
from loopwise.nn.recurrent import Recurrent
from loopwise.nn.reference import Scan


@dataclass
class Observation:
    """One layer in one direction in one call, and what the loss sent back to its results.

    Attributes:
        name: as its parameters are called, ``"encoder.l0_reverse"``.
        problem: what it was given; detached.
        d_output: gradient of its output, [T, B, P]; None until the backward pass, or where nothing
            comes back.
        d_state: of its final state, each [B, size].
    """

    name: str
    problem: Problem
    d_output: Tensor | None = None
    d_state: list[Tensor | None] = field(default_factory=list)

    @property
    def reached(self) -> bool:
        """Whether the loss depends on what the layer puts out."""
        return any(part is not None for part in (self.d_output, *self.d_state))


@dataclass
class Observations:
    """What was seen.

    Attributes:
        calls: every call of every layer, in their order.
        watched: names of the modules that are.
        skipped: recurrent modules that are not, each with the reason.
    """

    calls: list[Observation] = field(default_factory=list)
    watched: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def longest(self) -> list[Observation]:
        """One call of each layer: the one of most steps, the last of these."""
        best: dict[str, Observation] = {}
        for call in self.calls:
            known = best.get(call.name)
            if known is None or len(call.problem.x) >= len(known.problem.x):
                best[call.name] = call
        return list(best.values())


@contextmanager
def observe(model: nn.Module) -> Generator[Observations]:
    """Watch every `loopwise` and `torch.nn` RNN, LSTM and GRU inside `model`.

    Within the block the layers of `torch.nn` compute as loopwise's do, with the same parameters.
    The model itself is as before afterwards.
    """
    seen = Observations()
    running: list[list[Any]] = []  # layers at work: name, layer, recurrences so far
    with ExitStack() as stack:
        for name, module in model.named_modules():
            layer, reason = _layer_of(module)
            if reason is not None:
                seen.skipped[name or "model"] = reason
            if layer is None:
                continue
            seen.watched.append(name or "model")
            if layer is not module:
                stack.enter_context(_computing_as(module, layer))
            stack.enter_context(_announced(module, name, layer, running))

        def note(problem: Problem, scan: Scan) -> None:
            if not running:
                return
            name, layer, index = running[-1]
            running[-1][2] += 1
            seen.calls.append(_take(_name(name, layer, index), problem, scan))

        stack.enter_context(observed(note))
        yield seen


def _layer_of(module: nn.Module) -> tuple[Layer | None, str | None]:
    """The loopwise layer that does what `module` does, or why a recurrent one has none."""
    if isinstance(module, Layer):
        return module, None
    if type(module) in (nn.RNN, nn.LSTM, nn.GRU):
        return same_layer(module), None  # pyright: ignore[reportArgumentType]
    if isinstance(module, nn.RNNBase):
        return None, f"{type(module).__name__} is a subclass, whose changes are not known"
    if isinstance(module, Recurrent):
        return None, "a cell of one's own: only RNN, LSTM and GRU layers show their steps"
    if isinstance(module, nn.RNNCellBase | SingleCell):
        return None, "a single cell: only layers know which steps make a sequence"
    return None, None


@contextmanager
def _computing_as(module: nn.Module, layer: Layer) -> Generator[None]:
    names = [name for name, _ in layer.named_parameters()]

    def forward(*args: Any, **kwargs: Any) -> Any:
        layer.train(module.training)
        weights = {name: getattr(module, name) for name in names}
        return torch.func.functional_call(layer, weights, args, kwargs)

    module.forward = forward  # hooks of the module's go on around it
    try:
        yield
    finally:
        del module.forward


@contextmanager
def _announced(
    module: nn.Module, name: str, layer: Layer, running: list[list[Any]]
) -> Generator[None]:
    def begin(*_: object) -> None:
        running.append([name, layer, 0])

    def end(*_: object) -> None:
        running.pop()

    first = module.register_forward_pre_hook(begin)
    last = module.register_forward_hook(end, always_call=True)
    try:
        yield
    finally:
        first.remove()
        last.remove()


def _name(name: str, layer: Layer, index: int) -> str:
    number, direction = divmod(index, layer.num_directions)
    own = f"l{number}{'_reverse' if direction else ''}"
    return f"{name}.{own}" if name else own


def _take(name: str, problem: Problem, scan: Scan) -> Observation:
    like = torch.float64 if problem.x.dtype == torch.float64 else torch.float32
    taken = problem.over(iter([tensor.detach().to(like) for tensor in problem.tensors()]))
    mask = None if problem.mask is None else problem.mask.to(like)
    taken = taken._replace(mask=mask, keep=tuple(part.to(like) for part in problem.keep))
    observation = Observation(name, taken, None, [None] * len(scan.state))

    # where nothing comes back, torch may call a hook with None
    def keep_output(grad: Tensor | None) -> None:
        observation.d_output = None if grad is None else grad.detach().to(like)

    def keep_state(number: int) -> Callable[[Tensor | None], None]:
        def keep(grad: Tensor | None) -> None:
            observation.d_state[number] = None if grad is None else grad.detach().to(like)

        return keep

    if scan.output.requires_grad:
        scan.output.register_hook(keep_output)
        for number, part in enumerate(scan.state):
            part.register_hook(keep_state(number))
    return observation
