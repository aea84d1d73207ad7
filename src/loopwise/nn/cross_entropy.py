"""A linear layer and the cross-entropy of its logits in one: what a language model ends with."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from loopwise import engine
from loopwise.nn.autocast import autocast_active
from loopwise.nn.backend import current_backend
from loopwise.nn.transforms import transforms_active

LOGITS_AT_ONCE = 1 << 23
"""Logits that are in memory together; enough for products to run at full speed."""


def linear_cross_entropy(x: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
    """``cross_entropy(linear(x, weight, bias), targets)``, summed over the targets.

    The engine takes the rows in chunks and finds the gradients in the same pass, so that the
    logits never are in memory as a whole. Under autocast the products have autocast's type;
    exponentials and sums are float32 in any case.

    Args:
        x: [..., F] features.
        weight: [V, F].
        bias: [V], or None.
        targets: [...] class indices below V; a negative one counts nothing.

    Returns:
        the sum of surprisals in nats, a float32 scalar (float64 for float64 features).
    """
    if autocast_active(x.device) and x.dtype != torch.float64:
        dtype = torch.get_autocast_dtype(x.device.type)
        x, weight = x.to(dtype), weight.to(dtype)
        bias = None if bias is None else bias.to(dtype)
    x, targets = x.flatten(0, -2), targets.flatten()
    with torch.autocast(x.device.type, enabled=False):
        if _engine_can(x, weight, bias):
            inputs = (x, weight) if bias is None else (x, weight, bias)
            if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs):
                return _LinearCrossEntropy.apply(x, weight, bias, targets)
            return _solve(x, weight, bias, targets, learns=False)[0]
        return _definition(x, weight, bias, targets)


def _definition(x: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
    logits = functional.linear(x, weight, bias)
    if logits.dtype != torch.float64:
        logits = logits.float()
    # torch leaves out one class; all negative ones are to be it
    return functional.cross_entropy(logits, targets.clamp(min=-1), ignore_index=-1, reduction="sum")


def _engine_can(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    tensors = [x, weight] if bias is None else [x, weight, bias]
    return (
        current_backend() == "native"
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]
        and not transforms_active()
        and all(t.device.type == "cpu" and t.dtype == x.dtype for t in tensors)
        and x.dtype in (torch.float32, torch.bfloat16)
        and 0 not in (*x.shape, *weight.shape)
    )


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Any:
        total, ctx.found = _solve(x, weight, bias, targets, learns=True)
        ctx.save_for_backward(x, weight, bias, targets)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        (grad,), (x, weight, bias, targets) = grads, ctx.saved_tensors
        # given away, not kept: autograd then need not copy them
        found, ctx.found = ctx.found, None
        if found is None or torch.is_grad_enabled():  # once more, or to be differentiated again
            return *_differentiate(x, weight, bias, targets, grad), None
        scaled = [
            None if part is None else _times(part, grad).to(like.dtype)
            for part, like in zip(found, (x, weight, bias), strict=True)
        ]
        return *scaled, None


def _solve(
    x: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, *, learns: bool
) -> tuple[Tensor, list[Tensor | None]]:
    """The sum, and where something learns the gradients of `x`, `weight` and `bias`."""
    if _tiles_pay(x, weight):
        found = _solve_by_tiles(x, weight, bias, targets, learns=learns)
        if found is not None:
            return found
    nats = torch.empty(x.shape[0])
    d_x = torch.empty_like(x) if learns else None
    d_weight = torch.zeros_like(weight, dtype=torch.float32) if learns else None
    d_bias = torch.zeros(weight.shape[0]) if learns and bias is not None else None
    for rows in _chunks(x.shape[0], weight.shape[0]):
        logits = functional.linear(x[rows], weight, bias)
        engine.surprisal(
            torch.get_num_threads(),
            1.0,
            logits=_numbers(logits),
            targets=targets[rows].contiguous().numpy(),
            nats=nats[rows].numpy(),
        )
        if d_x is None or d_weight is None:
            continue
        torch.mm(logits, weight, out=d_x[rows])
        if logits.dtype == torch.float32:
            d_weight.addmm_(logits.t(), x[rows])
        else:
            d_weight += logits.t() @ x[rows]
        if d_bias is not None:
            d_bias += logits.sum(0, dtype=torch.float32)
    return nats.sum(), [d_x, d_weight, d_bias]


def _tiles_pay(x: Tensor, weight: Tensor) -> bool:
    """Whether the engine's products are faster than torch's: on tiles, with work for all threads.

    The engine shares groups of 256 classes out among threads, and torch multiplies by vectors.
    """
    rows, classes = x.shape[0], weight.shape[0]
    return (
        x.dtype == torch.float32
        and rows >= 32
        and classes >= 256 * torch.get_num_threads()
        and engine.isa() == "amx"
    )


def _solve_by_tiles(
    x: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, *, learns: bool
) -> tuple[Tensor, list[Tensor | None]] | None:
    """As `_solve`, or nothing where numbers were met that are not finite."""
    nats = torch.empty(x.shape[0])
    given = {"x": x, "weight": weight, "bias": bias}
    given = {name: part.contiguous() for name, part in given.items() if part is not None}
    found = {name: _empty(part) for name, part in given.items()} if learns else {}
    finite = engine.head(
        torch.get_num_threads(),
        max(1, LOGITS_AT_ONCE // weight.shape[0]),
        targets=targets.contiguous().numpy(),
        nats=nats.numpy(),
        **{name: part.detach().numpy() for name, part in given.items()},
        **{f"d_{name}": part.numpy() for name, part in found.items()},
    )
    if not finite:
        return None
    return nats.sum(), [found.get(name) for name in ("x", "weight", "bias")]


def _empty(like: Tensor) -> Tensor:
    return torch.from_numpy(engine.empty(like.shape))


def _differentiate(
    x: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, grad: Tensor
) -> list[Tensor | None]:
    again = torch.is_grad_enabled()
    inputs = [x, weight] if bias is None else [x, weight, bias]
    with torch.enable_grad():
        total = _definition(x, weight, bias, targets)
    wanted = [tensor for tensor in inputs if tensor.requires_grad]
    parts = iter(torch.autograd.grad(total, wanted, grad, create_graph=again))
    return [
        next(parts) if tensor is not None and tensor.requires_grad else None
        for tensor in (x, weight, bias)
    ]


def _chunks(rows: int, classes: int) -> Iterator[slice]:
    step = max(1, LOGITS_AT_ONCE // classes)
    for begin in range(0, rows, step):
        yield slice(begin, begin + step)


def _numbers(logits: Tensor) -> Any:
    """The memory of `logits`; NumPy has no bfloat16, so as its bits."""
    return (logits.view(torch.uint16) if logits.dtype == torch.bfloat16 else logits).numpy()


def _times(part: Tensor, grad: Tensor) -> Tensor:
    return part if float(grad) == 1 else part.mul_(grad)
