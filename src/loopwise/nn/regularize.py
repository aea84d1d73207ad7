"""Dropout for sequences: masks that stay the same over time."""

import torch
from torch import Tensor
from torch.nn import functional


def locked_dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """Dropout with one mask for all steps of a row (Gal and Ghahramani 2016; Merity et al. 2017).

    Args:
        x: [T, B, H].
        p: probability of dropping a feature, in [0, 1).
        training: whether to drop at all.
    """
    if not training or not p:
        return x
    mask = x.new_empty(1, *x.shape[1:]).bernoulli_(1 - p) / (1 - p)
    return x * mask


def drop_embeddings(table: Tensor, ids: Tensor, p: float, training: bool) -> Tensor:
    """Look up `ids` with whole rows of the table dropped (Gal and Ghahramani 2016, section 4.2).

    A token that is dropped is zero wherever it stands in the batch.

    Args:
        table: [V, E].
        ids: [T, B].
        p: probability of dropping a token's row, in [0, 1).
        training: whether to drop at all.

    Returns:
        [T, B, E].
    """
    looked_up = functional.embedding(ids, table)
    if not training or not p:
        return looked_up
    keep = table.new_empty(table.shape[0], 1).bernoulli_(1 - p) / (1 - p)
    return looked_up * functional.embedding(ids, keep)


def activation_penalty(dropped: Tensor, output: Tensor, ar: float, tar: float) -> Tensor:
    """AR and TAR (Merity et al. 2017, section 4.5), as mean squares.

    Args:
        dropped: [T, B, H], the last layer's output after dropout; AR keeps it small.
        output: [T, B, H], before dropout; TAR keeps its change from step to step small.
        ar: weight of AR.
        tar: weight of TAR.

    Returns:
        scalar.
    """
    penalty = ar * dropped.square().mean() if ar else torch.zeros((), device=output.device)
    if tar and output.shape[0] > 1:
        penalty = penalty + tar * (output[1:] - output[:-1]).square().mean()
    return penalty
