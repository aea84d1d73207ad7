"""The loss of each target under what the network put out, in torch.

The formulas are those of `loopwise.codec.series.distributions`, where they are written down.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from loopwise.codec.series.distributions import FLOOR, Output, middle

LOG_2PI = math.log(2 * math.pi)


def target_loss(output: Output, raw: Tensor, y: Tensor, scale: Tensor, point: str) -> Tensor:
    """The loss of each target.

    Args:
        output: what `raw` means.
        raw: [..., P].
        y: [...], in the origin's scale; counts are divided by `scale`.
        scale: of the counts, broadcasts with `y`.
        point: ``"mae"``, ``"mse"`` or ``"huber"``, for an output that is a point.

    Returns:
        [...], twice the mean pinball loss of quantiles, the negative log likelihood in nats of a
        distribution, or the loss of a point.
    """
    match output.name:
        case "quantiles":
            return _pinball(output, raw, y)
        case "point":
            return _point(raw[..., 0], y, point)
        case "normal":
            return _normal(raw[..., 0], _positive(raw[..., 1]), y)
        case "student-t":
            return _student(raw, y)
        case "mixture":
            return _mixture(raw, y)
        case "bernoulli":
            return functional.binary_cross_entropy_with_logits(raw[..., 0], y, reduction="none")
        case "poisson":
            counts, mean = y * scale, _positive(raw[..., 0]) * scale
            return mean - counts * torch.log(mean) + torch.lgamma(counts + 1)
        case "negative-binomial":
            return _negative_binomial(raw, y, scale)


def _positive(raw: Tensor) -> Tensor:
    return functional.softplus(raw) + FLOOR


def _pinball(output: Output, raw: Tensor, y: Tensor) -> Tensor:
    levels = torch.tensor(output.levels, dtype=raw.dtype, device=raw.device)
    m = middle(output.levels)
    gaps = torch.diff(torch.special.ndtri(levels))
    steps = _positive(torch.cat([raw[..., :m], raw[..., m + 1 :]], -1)) * gaps
    up = steps[..., m:].cumsum(-1)
    down = steps[..., :m].flip(-1).cumsum(-1).flip(-1)
    centre = raw[..., m : m + 1]
    error = y.unsqueeze(-1) - torch.cat([centre - down, centre, centre + up], -1)
    return 2 * torch.maximum(levels * error, (levels - 1) * error).mean(-1)


def _point(centre: Tensor, y: Tensor, loss: str) -> Tensor:
    if loss == "mse":
        return (y - centre).square()
    if loss == "mae":
        return (y - centre).abs()
    return functional.huber_loss(centre, y, reduction="none")


def _normal(loc: Tensor, sd: Tensor, y: Tensor) -> Tensor:
    return 0.5 * ((y - loc) / sd).square() + torch.log(sd) + 0.5 * LOG_2PI


def _student(raw: Tensor, y: Tensor) -> Tensor:
    scale, df = _positive(raw[..., 1]), 2 + _positive(raw[..., 2])
    t = (y - raw[..., 0]) / scale
    norm = torch.log(df * math.pi) / 2 + torch.lgamma(df / 2) - torch.lgamma((df + 1) / 2)
    return (df + 1) / 2 * torch.log1p(t * t / df) + torch.log(scale) + norm


def _mixture(raw: Tensor, y: Tensor) -> Tensor:
    logits, loc, spread = raw.chunk(3, dim=-1)
    each = _normal(loc, _positive(spread), y.unsqueeze(-1))
    return -torch.logsumexp(torch.log_softmax(logits, -1) - each, -1)


def _negative_binomial(raw: Tensor, y: Tensor, scale: Tensor) -> Tensor:
    counts, mean = y * scale, _positive(raw[..., 0]) * scale
    spread = _positive(raw[..., 1]) / torch.sqrt(scale)
    n = 1 / spread
    return (
        torch.lgamma(n)
        + torch.lgamma(counts + 1)
        - torch.lgamma(counts + n)
        + (n + counts) * torch.log1p(spread * mean)
        - counts * torch.log(spread * mean)
    )
