"""The joiner of a transducer: what it expects at each node, a frame and the labels before it.

A node's logits are ``W tanh(encoded[t] + predicted[u]) + b``. The loss asks for the log probability
of blank and of the next label only, so the engine computes logits a few nodes at a time, and once
more for their gradients: [T, U + 1, B, V] never is in memory.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from loopwise import engine
from loopwise.nn.backend import AVAILABLE, current_backend
from loopwise.nn.transforms import transforms_active

LOGITS_AT_ONCE = 1 << 20
"""Logits that are in memory together in the backward pass."""


def joint_log_probs(
    encoded: Tensor,
    predicted: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    lengths: Tensor,
    target_lengths: Tensor,
) -> Tensor:
    """The log probabilities of blank (class 0) and of the next label at each node.

    Args:
        encoded: [T, B, J] of each frame.
        predicted: [U + 1, B, J] of the labels before each place.
        weight: [V, J].
        bias: [V], or None.
        targets: [U, B] the labels.
        lengths: [B] frames of each row.
        target_lengths: [B] labels of each row.

    Returns:
        [B, T, U + 1, 2]. Where a row has no such frame, place or next label the number means
        nothing.
    """
    if native_takes(encoded, predicted, weight, bias):
        return _forward(encoded, predicted, weight, bias, targets, lengths, target_lengths)
    return _definition(encoded, predicted, weight, bias, targets)


def log_probs_of(logits: Tensor, targets: Tensor) -> Tensor:
    """The same from the `logits` [T, U + 1, B, V] of any joiner."""
    log_probs = logits.log_softmax(-1).permute(2, 0, 1, 3)
    # blank stands in beyond the last label
    following = functional.pad(targets, (0, 0, 0, 1)).clamp(0, logits.shape[-1] - 1).t()
    chosen = following[:, None, :, None].expand(*log_probs.shape[:3], 1)
    return torch.cat([log_probs[..., :1], log_probs.gather(-1, chosen)], -1)


def native_takes(*tensors: Tensor | None) -> bool:
    """Whether the engine computes with these: float32 on the CPU, something of each.

    In a compiled program it does so whatever the backend: a compiler cannot read that.
    """
    compiling = torch.compiler.is_compiling()
    return (
        ("native" in AVAILABLE if compiling else current_backend() == "native")
        and not transforms_active()
        and all(
            t is None or (t.device.type == "cpu" and t.dtype == torch.float32 and 0 not in t.shape)
            for t in tensors
        )
    )


def _definition(
    encoded: Tensor, predicted: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor
) -> Tensor:
    hidden = torch.tanh(encoded[:, None] + predicted[None])
    return log_probs_of(functional.linear(hidden, weight, bias), targets)


_ARGUMENTS = (
    "Tensor encoded, Tensor predicted, Tensor weight, Tensor? bias, "
    "Tensor targets, Tensor lengths, Tensor target_lengths"
)


@torch.library.custom_op(
    "loopwise::joint_log_probs", mutates_args=(), schema=f"({_ARGUMENTS}) -> Tensor"
)
def _forward(*arguments: Tensor | None) -> Tensor:
    log_probs = _allocate(*arguments).zero_()
    arrays = _arrays(*arguments)
    engine.joiner(torch.get_num_threads(), 1, log_probs=log_probs.numpy(), **arrays)
    return log_probs


@_forward.register_fake
def _allocate(*arguments: Any) -> Tensor:
    encoded, predicted = arguments[:2]
    steps, rows = encoded.shape[:2]
    return encoded.new_empty(rows, steps, predicted.shape[0], 2)


@torch.library.custom_op(
    "loopwise::joint_log_probs_backward",
    mutates_args=(),
    schema=f"(Tensor grad, bool[] wanted, {_ARGUMENTS}) -> Tensor[]",
)
def _backward(grad: Tensor, wanted: list[bool], *arguments: Tensor | None) -> list[Tensor]:
    found = _allocate_gradients(grad, wanted, *arguments)
    names = ("d_encoded", "d_predicted", "d_weight", "d_bias")
    kept = {name: g.numpy() for name, g, want in zip(names, found, wanted, strict=True) if want}
    weight = arguments[2]
    assert weight is not None
    engine.joiner(
        torch.get_num_threads(),
        max(1, LOGITS_AT_ONCE // weight.shape[0]),
        d_log_probs=numbers(grad),
        **_arrays(*arguments),
        **kept,
    )
    return found


@_backward.register_fake
def _allocate_gradients(_: Tensor, wanted: list[bool], *arguments: Any) -> list[Tensor]:
    parts = zip(arguments, wanted, strict=False)
    return [torch.empty(part.shape if want else 0) for part, want in parts]


def _save(ctx: Any, inputs: Any, output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _differentiate(ctx: Any, grad: Tensor) -> Any:
    arguments, wanted = ctx.saved_tensors, list(ctx.needs_input_grad[:4])
    if torch.is_grad_enabled() and not torch.compiler.is_compiling():
        # views tell apart what is one tensor in two places
        parts: list[Any] = [part if part is None else part.view_as(part) for part in arguments[:4]]
        encoded, predicted, weight, bias = parts
        value = _definition(encoded, predicted, weight, bias, arguments[4])
        found = gradients_of(value, parts, grad)
    else:
        found = _backward(grad, wanted, *arguments)
        found = [part if want else None for part, want in zip(found, wanted, strict=True)]
    return *found, None, None, None


_forward.register_autograd(_differentiate, setup_context=_save)


def gradients_of(
    value: Tensor, inputs: Sequence[Tensor | None], grad: Tensor
) -> list[Tensor | None]:
    """Gradients as part of the graph, None where an input needs none."""
    needed = [part for part in inputs if part is not None and part.requires_grad]
    found = iter(torch.autograd.grad(value, needed, grad, create_graph=True))
    return [next(found) if part is not None and part.requires_grad else None for part in inputs]


def numbers(tensor: Tensor) -> Any:
    """The memory of a tensor on the CPU, row by row."""
    return tensor.detach().contiguous().numpy()


def _arrays(*arguments: Tensor | None) -> dict[str, Any]:
    names = ("encoded", "predicted", "weight", "bias", "targets", "lengths", "target_lengths")
    given = zip(names, arguments, strict=True)
    return {name: numbers(part) for name, part in given if part is not None}
