"""Gradients: their norm, clipping in three ways, and the search for what is not finite."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from loopwise.nn.ensemble import Ensemble
from loopwise.train.config import TrainConfig

SMALLEST_WEIGHT_NORM = 1e-3
"""Adaptive clipping takes smaller weights for this large, so that zeros can learn (Brock 2021)."""


def gradient_norm(parameters: Sequence[Tensor]) -> Tensor:
    """Euclidean norm of all gradients taken as one vector; scalar."""
    return get_total_norm([p.grad for p in parameters if p.grad is not None])


def clipped_together(model: nn.Module) -> list[list[Tensor]]:
    """The parameters with gradients, those of each network of an `Ensemble` for themselves."""
    ensembles = [module for module in model.modules() if isinstance(module, Ensemble)]
    own = {
        parameter: number
        for number, network in enumerate((each for many in ensembles for each in many), start=1)
        for parameter in network.parameters()
    }
    groups: dict[int, list[Tensor]] = {}
    for parameter in model.parameters():
        if parameter.grad is not None:
            groups.setdefault(own.get(parameter, 0), []).append(parameter)
    return list(groups.values())


@torch.no_grad()
def clip_gradients(parameters: Sequence[Tensor], norm: Tensor, config: TrainConfig) -> Tensor:
    """Clip the gradients in place to ``c`` = `config.clip`.

    - norm: all gradients times ``min(1, c / norm)`` (Pascanu et al. 2013, arXiv:1211.5063)
    - value: each entry into ``[-c, c]``
    - adaptive: each row ``g`` of a matrix with weights ``w`` times
      ``min(1, c * max(|w|, 1e-3) / |g|)``, vectors as one row (Brock et al. 2021,
      arXiv:2102.06171, equation 3; there the output layer is left out, here nothing is)

    Args:
        parameters: with gradients or without.
        norm: of all gradients, `gradient_norm`.
        config: `clip` (0 = off) and `clip_mode` are read.

    Returns:
        Whether anything was clipped: scalar, bool, on the gradients' device.
    """
    pairs = [(p, p.grad) for p in parameters if p.grad is not None]
    if not config.clip:
        return torch.zeros_like(norm, dtype=torch.bool)
    if config.clip_mode == "norm":
        clip_grads_with_norm_([p for p, _ in pairs], config.clip, norm)
        return norm > config.clip
    clip = _clip_value if config.clip_mode == "value" else _clip_rows
    return torch.stack([clip(p, grad, config.clip) for p, grad in pairs]).any()


def first_not_finite(named: Iterable[tuple[str, Tensor | None]]) -> str | None:
    """The name of the first tensor that holds NaN or infinity; None if there is none."""
    for name, tensor in named:
        if tensor is not None and not bool(torch.isfinite(tensor).all()):
            return name
    return None


def _clip_value(_: Tensor, grad: Tensor, limit: float) -> Tensor:
    clipped = grad.abs().max() > limit
    grad.clamp_(-limit, limit)
    return clipped


def _clip_rows(weight: Tensor, grad: Tensor, limit: float) -> Tensor:
    largest = _row_norm(weight).clamp_min(SMALLEST_WEIGHT_NORM) * limit
    norm = _row_norm(grad)
    grad.mul_(torch.where(norm > largest, largest / norm, 1.0))
    return (norm > largest).any()


def _row_norm(tensor: Tensor) -> Tensor:
    dims = tuple(range(1 if tensor.ndim > 1 else 0, tensor.ndim))
    return torch.linalg.vector_norm(tensor, dim=dims, keepdim=True)
