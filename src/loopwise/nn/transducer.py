"""The loss of a recurrent transducer: how surprising transcripts are, over all their alignments.

The lattice of a row has a node for each frame and each number of labels said so far. From a node
the model either says the next label and stays in the frame, or says blank and goes to the next
frame; the last frame is left by blank when all has been said. The probability of the transcript is
the sum over all ways (Graves, "Sequence transduction with recurrent neural networks", 2012).
"""

from typing import Any

import torch
from torch import Tensor

from loopwise import engine
from loopwise.errors import ShapeError
from loopwise.nn.joiner import gradients_of, joint_log_probs, log_probs_of, native_takes, numbers
from loopwise.nn.targets import check_targets


def transducer_loss(
    encoded: Tensor,
    predicted: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    lengths: Tensor,
    target_lengths: Tensor,
) -> Tensor:
    """The loss of the joiner ``logits = W tanh(encoded[t] + predicted[u]) + b``.

    The engine never has all logits in memory, but some at a time, and takes nodes only: rows may
    differ in length at no cost. In its gradients no way through the lattice counts whose share is
    below 1e-13. Computed in float32 also under autocast, in float64 for float64 tensors.

    Args:
        encoded: [T, B, J] of the frames.
        predicted: [U + 1, B, J] of the labels before each place, none at first.
        weight: [V, J].
        bias: [V], or None.
        targets: [U, B] integers from 1 to V - 1, as 0 is blank; what lies beyond a row's target
            length is not looked at.
        lengths: [B] frames of each row, 1 to T.
        target_lengths: [B] labels of each row, 0 to U.

    Returns:
        [B] nats.

    Raises:
        ShapeError: shapes or types that do not fit.
        DataError: a length or target that is not allowed.
    """
    steps, rows, features = _shape("encoded", encoded, "T, B, J")
    classes = weight.shape[0]
    _expect("weight", weight, (classes, features))
    _expect("predicted", predicted, (len(targets) + 1, rows, features))
    if bias is not None:
        _expect("bias", bias, (classes,))
    _expect("targets", targets, (len(targets), rows))
    check_targets(targets, lengths, target_lengths, steps, classes)
    dtype = _wide(encoded, predicted, weight, bias)
    encoded, predicted, weight = encoded.to(dtype), predicted.to(dtype), weight.to(dtype)
    bias = None if bias is None else bias.to(dtype)
    targets, lengths, target_lengths = targets.long(), lengths.long(), target_lengths.long()
    with torch.autocast(encoded.device.type, enabled=False):
        log_probs = joint_log_probs(
            encoded, predicted, weight, bias, targets, lengths, target_lengths
        )
        return _lattice(log_probs, lengths, target_lengths)


def transducer_loss_from_logits(
    logits: Tensor, targets: Tensor, lengths: Tensor, target_lengths: Tensor
) -> Tensor:
    """The loss of any joiner, from all its logits.

    Args:
        logits: [T, U + 1, B, V]; log probabilities are as good.
        targets: [U, B], as `transducer_loss` has them, which says the rest.
        lengths: [B].
        target_lengths: [B].

    Returns:
        [B] nats.

    Raises:
        ShapeError: shapes or types that do not fit.
        DataError: a length or target that is not allowed.
    """
    steps, _, rows, classes = _shape("logits", logits, "T, U + 1, B, V")
    _expect("logits", logits, (steps, len(targets) + 1, rows, classes))
    _expect("targets", targets, (len(targets), rows))
    check_targets(targets, lengths, target_lengths, steps, classes)
    with torch.autocast(logits.device.type, enabled=False):
        log_probs = log_probs_of(logits.to(_wide(logits)), targets.long())
        return _lattice(log_probs, lengths.long(), target_lengths.long())


def _shape(name: str, tensor: Tensor, letters: str) -> torch.Size:
    if tensor.dim() != letters.count(",") + 1 or 0 in tensor.shape:
        raise ShapeError(
            f"{name}: expected shape ({letters}), none of them 0, given {tuple(tensor.shape)}"
        )
    return tensor.shape


def _expect(name: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    if tensor.shape != shape:
        raise ShapeError(f"{name}: expected shape {shape}, given {tuple(tensor.shape)}")


def _wide(*tensors: Tensor | None) -> torch.dtype:
    wide = any(part is not None and part.dtype == torch.float64 for part in tensors)
    return torch.float64 if wide else torch.float32


def _lattice(log_probs: Tensor, lengths: Tensor, target_lengths: Tensor) -> Tensor:
    if native_takes(log_probs):
        return _forward(log_probs, lengths, target_lengths)[0]
    return _definition(log_probs, lengths, target_lengths)


def _definition(log_probs: Tensor, lengths: Tensor, target_lengths: Tensor) -> Tensor:
    """By diagonals, whose nodes do not depend on each other; `log_probs` is [B, T, U + 1, 2]."""
    rows, steps, places, _ = log_probs.shape
    blank, label = log_probs.unbind(-1)
    reached = [blank.new_zeros(rows, 1)]  # log probabilities of the ways to a diagonal's nodes
    for d in range(1, steps + places - 1):
        first, before = max(0, d - steps + 1), max(0, d - steps)
        by_blank = torch.arange(first, min(places, d), device=blank.device)  # their places
        by_label = torch.arange(max(1, first), min(places, d + 1), device=blank.device)
        stay = reached[-1][:, by_blank - before] + blank[:, d - 1 - by_blank, by_blank]
        say = reached[-1][:, by_label - 1 - before] + label[:, d - by_label, by_label - 1]
        edge = int(first == 0)  # to the first place no label leads, to the last one no blank
        both = torch.logaddexp(stay[:, edge:], say[:, : stay.shape[1] - edge])
        reached.append(torch.cat([stay[:, :edge], both, say[:, both.shape[1] :]], 1))
    last = lengths - 1 + target_lengths
    starts = torch.arange(len(reached), device=blank.device).sub(steps - 1).clamp(min=0)
    offsets = torch.tensor([0, *(part.shape[1] for part in reached[:-1])]).cumsum(0)
    at = offsets.to(last.device)[last] + target_lengths - starts[last]
    every = torch.arange(rows, device=blank.device)
    return -(torch.cat(reached, 1)[every, at] + blank[every, lengths - 1, target_lengths])


@torch.library.custom_op(
    "loopwise::transducer_lattice",
    mutates_args=(),
    schema="(Tensor log_probs, Tensor lengths, Tensor target_lengths) -> Tensor[]",
)
def _forward(log_probs: Tensor, lengths: Tensor, target_lengths: Tensor) -> list[Tensor]:
    """Nats, and their gradient by the log probabilities."""
    nats, shares = _allocate(log_probs, lengths, target_lengths)
    engine.lattice(
        torch.get_num_threads(),
        log_probs=numbers(log_probs),
        lengths=numbers(lengths),
        target_lengths=numbers(target_lengths),
        nats=nats.numpy(),
        d_log_probs=shares.zero_().numpy(),
    )
    return [nats, shares]


@_forward.register_fake
def _allocate(log_probs: Tensor, *_: Tensor) -> list[Tensor]:
    rows = log_probs.shape[0]
    shares = torch.empty_like(log_probs, memory_format=torch.contiguous_format)
    return [log_probs.new_empty(rows), shares]


def _save(ctx: Any, inputs: Any, output: list[Tensor]) -> None:
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(*inputs, output[1])


def _differentiate(ctx: Any, grads: list[Tensor | None]) -> Any:
    log_probs, lengths, target_lengths, shares = ctx.saved_tensors
    grad = grads[0]
    if grad is None:
        return None, None, None
    if torch.is_grad_enabled() and not torch.compiler.is_compiling():
        nats = _definition(log_probs, lengths, target_lengths)
        return gradients_of(nats, [log_probs], grad)[0], None, None
    return grad[:, None, None, None] * shares, None, None


_forward.register_autograd(_differentiate, setup_context=_save)
