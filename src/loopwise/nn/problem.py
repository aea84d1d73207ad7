"""One recurrence as a value: all that a kernel needs to know."""

from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import NamedTuple

import torch
from torch import Tensor

from loopwise.nn.reference import Hidden, Scan, Weights


class Problem(NamedTuple):
    """One layer, one direction, one batch."""

    cell: str
    """a key of `reference.STEPS`"""
    x: Tensor
    """[T, B, I]"""
    state: Hidden
    """before the first step, each [B, size]"""
    weights: Weights
    restart: Hidden
    """what a reset row starts from, each [B, size]; empty where nothing is reset"""
    lengths: Tensor | None = None
    """[B] int"""
    reset: Tensor | None = None
    """[T, B] bool"""
    reverse: bool = False
    mask: Tensor | None = None
    """recurrent dropout, [B, P]"""
    keep: tuple[Tensor, ...] = ()
    """zoneout, each [T, B, size]"""
    trace: bool = False
    """whether to return the states and gates of every step"""
    checkpoint: bool = False
    """whether the backward pass is to compute the forward pass again, instead of keeping it"""

    def learns(self) -> bool:
        """Whether autograd may ask for gradients."""
        return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in self.tensors())

    def tensors(self) -> list[Tensor]:
        """The tensors that have gradients, in a fixed order."""
        weights = [tensor for tensor in self.weights if tensor is not None]
        return [self.x, *self.state, *weights, *self.restart]

    def over(self, tensors: Iterator[Tensor]) -> "Problem":
        """The same problem over other tensors, given in the order of `tensors`."""
        x = next(tensors)
        state = tuple([next(tensors) for _ in self.state])
        weights = Weights._make([None if part is None else next(tensors) for part in self.weights])
        restart = tuple([next(tensors) for _ in self.restart])
        return Problem(self.cell, x, state, weights, restart, *self[5:])

    def fixed(self) -> list[Tensor]:
        """The tensors that have none."""
        single = (self.lengths, self.reset, self.mask)
        return [*[tensor for tensor in single if tensor is not None], *self.keep]

    def over_fixed(self, tensors: Iterator[Tensor]) -> "Problem":
        """The same problem with other `fixed` tensors."""
        lengths = None if self.lengths is None else next(tensors)
        reset = None if self.reset is None else next(tensors)
        mask = None if self.mask is None else next(tensors)
        keep = tuple([next(tensors) for _ in self.keep])
        return Problem(*self[:5], lengths, reset, self.reverse, mask, keep, *self[10:])

    def scan(self, tensors: Sequence[Tensor]) -> Scan:
        """What solves this problem, from `Scan.tensors`; there may be others behind them."""
        y, *rest = tensors
        size = len(self.state)
        if not self.trace:
            return Scan(y, tuple(rest[:size]), (), None)
        return Scan(y, tuple(rest[:size]), tuple(rest[size : 2 * size]), rest[2 * size])

    def without_tensors(self) -> "Problem":
        """The same over empty tensors, for those who keep the tensors themselves."""
        nothing = repeat(torch.empty(0))
        return self.over(nothing).over_fixed(nothing)
