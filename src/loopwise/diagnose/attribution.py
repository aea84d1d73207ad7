"""What a prediction is due to: integrated gradients and occlusion."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

STEPS = 32
"""Points of the path along which gradients are integrated."""
ROWS = 32
"""Sequences that are read at once; bounds memory."""


class Shares(NamedTuple):
    """What each input gives."""

    integrated: NDArray[np.float64]
    """[T]"""
    occlusion: NDArray[np.float64]
    """[T]"""


def attribute(
    score: Callable[[Tensor], Tensor], x: Tensor, baseline: Tensor, *, steps: int = STEPS
) -> Shares:
    """Weigh the inputs of a number.

    Args:
        score: from inputs [T, B, E] to one number a row, [B]; rows do not see each other.
        x: [T, E], the inputs.
        baseline: [E], what stands for an input that says nothing.
        steps: points of the path.

    Returns:
        integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365, equation 3, by the
        midpoint rule), which sum to ``score(x) - score(baseline everywhere)`` up to the rule's
        error; and occlusion (Zeiler and Fergus 2014): ``score(x)`` less the score with one input
        replaced by the baseline.
    """
    x, baseline = x.detach(), baseline.detach().expand_as(x)
    places = (torch.arange(steps, device=x.device, dtype=x.dtype) + 0.5) / steps
    total = torch.zeros_like(x)
    for some in places.split(ROWS):
        path = baseline.unsqueeze(1) + some[None, :, None] * (x - baseline).unsqueeze(1)
        path.requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(score(path).sum(), path)
        total += gradient.sum(1)
    integrated = ((x - baseline) * total / steps).sum(-1)
    with torch.no_grad():
        whole = score(x.unsqueeze(1))[0]
        lost: list[Tensor] = []
        for rows in torch.arange(len(x), device=x.device).split(ROWS):
            one = torch.nn.functional.one_hot(rows, len(x)).T.unsqueeze(-1).bool()  # [T, B, 1]
            lost.append(whole - score(torch.where(one, baseline.unsqueeze(1), x.unsqueeze(1))))
    return Shares(
        integrated.double().cpu().numpy(), torch.cat([*lost, x.new_zeros(0)]).double().cpu().numpy()
    )
