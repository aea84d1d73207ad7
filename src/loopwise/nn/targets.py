"""What losses over alignments are told of a batch: targets and lengths, checked before use."""

import torch
from torch import Tensor

from loopwise.errors import DataError, ShapeError


def check_targets(
    targets: Tensor, lengths: Tensor, target_lengths: Tensor, steps: int, classes: int
) -> None:
    """Refuse what no alignment can be made of.

    In a compiled program shapes and types are checked, but no values.

    Args:
        targets: [U, B] classes from 1 to `classes` - 1, as 0 is blank; what lies beyond a row's
            target length is not looked at.
        lengths: [B] from 1 to `steps`.
        target_lengths: [B] from 0 to U.
        steps: T, of the batch.
        classes: V, with blank.

    Raises:
        ShapeError: other shapes, or numbers that are not integers.
        DataError: a value that is not allowed; the message names the row.
    """
    named = {"targets": targets, "lengths": lengths, "target_lengths": target_lengths}
    for name, part in named.items():
        if part.is_floating_point() or part.is_complex() or part.dtype == torch.bool:
            raise ShapeError(f"{name}: expected integers, given {part.dtype}")
    if targets.dim() != 2:
        raise ShapeError(f"targets: expected shape (U, B), given {tuple(targets.shape)}")
    places, rows = targets.shape
    for name, part in (("lengths", lengths), ("target_lengths", target_lengths)):
        if part.shape != (rows,):
            raise ShapeError(f"{name}: expected shape ({rows},), given {tuple(part.shape)}")
    if torch.compiler.is_compiling():
        return
    _refuse_outside("lengths", lengths, 1, steps)
    _refuse_outside("target_lengths", target_lengths, 0, places)
    used = torch.arange(places, device=targets.device)[:, None] < target_lengths
    wrong = used & ((targets < 1) | (targets >= classes))
    if wrong.any():
        place, row = wrong.nonzero()[0].tolist()
        raise DataError(
            f"targets: row {row} has {int(targets[place, row])} in place {place}; "
            f"allowed are 1 to {classes - 1} (0 is blank)"
        )


def _refuse_outside(name: str, numbers: Tensor, least: int, most: int) -> None:
    for row, number in enumerate(numbers.tolist()):
        if not least <= number <= most:
            raise DataError(f"{name}: row {row} has {number}; allowed are {least} to {most}")
