"""Connectionist temporal classification: the loss of labels whose times are not known."""

import torch
from torch import Tensor
from torch.nn import functional

from loopwise.errors import DataError, ShapeError
from loopwise.nn.targets import check_targets


def ctc_loss(logits: Tensor, targets: Tensor, lengths: Tensor, target_lengths: Tensor) -> Tensor:
    """How surprising each transcript is: minus the log of the sum over all its alignments.

    An alignment says a class at each frame; the transcript is what remains when repetitions are
    merged and then blanks, which are class 0, are left out (Graves et al., "Connectionist temporal
    classification", ICML 2006). Computed in float32, or in float64 for float64 logits.

    Args:
        logits: [T, B, V]; log probabilities are as good.
        targets: [U, B] integers from 1 to V - 1; what lies beyond a row's target length is not
            looked at.
        lengths: [B] frames of each row, 1 to T.
        target_lengths: [B] labels of each row, 0 to U.

    Returns:
        [B] nats. What lies beyond a row's length has gradient zero.

    Raises:
        ShapeError: shapes or types that do not fit.
        DataError: a length or target that is not allowed, or a row with too few frames for its
            labels; it needs one for each, and a blank between equal neighbours.
    """
    if logits.dim() != 3 or logits.shape[1:2] != targets.shape[1:]:
        raise ShapeError(
            f"logits: expected shape (T, B, V) for targets of shape {tuple(targets.shape)} (U, B), "
            f"given {tuple(logits.shape)}"
        )
    check_targets(targets, lengths, target_lengths, logits.shape[0], logits.shape[2])
    if not torch.compiler.is_compiling():
        _refuse_short(lengths, frames_needed(targets, target_lengths), target_lengths)
    with torch.autocast(logits.device.type, enabled=False):
        if logits.dtype != torch.float64:
            logits = logits.float()
        return functional.ctc_loss(
            logits.log_softmax(-1), targets.t(), lengths, target_lengths, reduction="none"
        )


def frames_needed(targets: Tensor, target_lengths: Tensor) -> Tensor:
    """The fewest frames that can say each row of `targets` [U, B]; [B]."""
    if not len(targets):
        return target_lengths
    places = torch.arange(1, len(targets), device=targets.device)[:, None]
    repeated = (targets[1:] == targets[:-1]) & (places < target_lengths)
    return target_lengths + repeated.sum(0)


def _refuse_short(lengths: Tensor, needed: Tensor, target_lengths: Tensor) -> None:
    short = lengths < needed
    if short.any():
        row = int(short.nonzero()[0])
        raise DataError(
            f"lengths: row {row} has {int(lengths[row])} frames, too few for its "
            f"{int(target_lengths[row])} labels: they need {int(needed[row])}, "
            "one each and a blank between equal neighbours"
        )
