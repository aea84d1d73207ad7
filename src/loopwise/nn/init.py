"""Initial values of recurrent weights."""

import torch
from torch import Tensor, nn


@torch.no_grad()
def orthogonal_(weight: Tensor, gates: int) -> None:
    """Fill recurrent weights [G*H, P] with one orthogonal block a gate (Saxe et al. 2014).

    An orthogonal matrix keeps the length of what passes through it, so a gradient neither vanishes
    nor explodes by the matrix alone.
    """
    # torch orthogonalises float32 and wider alone
    wide = torch.promote_types(weight.dtype, torch.float32)
    for block in weight.chunk(gates, 0):
        block.copy_(nn.init.orthogonal_(torch.empty_like(block, dtype=wide)))


@torch.no_grad()
def forget_bias_(cell: str, bias_ih: Tensor, bias_hh: Tensor, value: float) -> None:
    """Set the bias of the gate that keeps the state (Jozefowicz et al. 2015): LSTM f, GRU z.

    Both biases [G*H] are changed, so that their sum is `value`.
    """
    _keep_gate(cell, bias_ih).fill_(value)
    _keep_gate(cell, bias_hh).zero_()


@torch.no_grad()
def chrono_(cell: str, bias_ih: Tensor, bias_hh: Tensor, longest: int) -> None:
    """Chrono initialisation (Tallec and Ollivier 2018, eq. 16 and 18).

    The gate that keeps the state gets ``log(U(1, longest - 1))``, so that memories last from one
    step to `longest` steps; the input gate of an LSTM gets the opposite.
    """
    keep = _keep_gate(cell, bias_ih)
    keep.uniform_(1, max(longest - 1, 1)).log_()
    _keep_gate(cell, bias_hh).zero_()
    if cell == "lstm":
        size = keep.shape[0]
        bias_ih[:size].copy_(-keep)
        bias_hh[:size].zero_()


def _keep_gate(cell: str, bias: Tensor) -> Tensor:
    return bias.chunk(4 if cell == "lstm" else 3)[1]
