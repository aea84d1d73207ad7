"""Dropout for sequences: masks that stay the same over time."""

from collections.abc import Callable, Generator, Hashable
from contextlib import contextmanager
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

Draw: TypeAlias = Callable[[], Tensor]
"""Draws a mask, or what has one on it."""


class DrawsOnce:
    """What a module is that draws something once a sequence, for `same_masks`."""

    drawn: dict[Hashable, Tensor] | None = None
    """in a `same_masks` block what was drawn, by its name"""

    def once(self, name: Hashable, draw: Draw) -> Tensor:
        """What `draw` gives; in a `same_masks` block what it gave first under this name."""
        if self.drawn is None:
            return draw()
        if name not in self.drawn:
            self.drawn[name] = draw()
        return self.drawn[name]


@contextmanager
def same_masks(model: nn.Module) -> Generator[None]:
    """Let `model` read a sequence in several calls inside the ``with`` block, as step by step.

    What is drawn once a sequence is drawn by the first of the calls that need it: the masks of
    locked dropout and of dropped embeddings, recurrent dropout, DropConnect. What is drawn each
    step, zoneout and plain dropout, is drawn each step. A block inside another one belongs to it.
    """
    modules = [m for m in model.modules() if isinstance(m, DrawsOnce) and m.drawn is None]
    for module in modules:
        module.drawn = {}
    try:
        yield
    finally:
        for module in modules:
            module.drawn = None


def locked_dropout(
    x: Tensor, p: float, training: bool, once: Callable[[Draw], Tensor] | None = None
) -> Tensor:
    """Dropout with one mask for all steps of a row (Gal and Ghahramani 2016; Merity et al. 2017).

    Args:
        x: [T, B, H].
        p: probability of dropping a feature, in [0, 1).
        training: whether to drop at all.
        once: gives the mask, [1, B, H], by the way to draw it; None draws it.
    """
    if not training or not p:
        return x
    return x * _mask(x, (1, *x.shape[1:]), p, once)


def drop_embeddings(
    table: Tensor,
    ids: Tensor,
    p: float,
    training: bool,
    once: Callable[[Draw], Tensor] | None = None,
) -> Tensor:
    """Look up `ids` with whole rows of the table dropped (Gal and Ghahramani 2016, section 4.2).

    A token that is dropped is zero wherever it stands in the batch.

    Args:
        table: [V, E].
        ids: [T, B].
        p: probability of dropping a token's row, in [0, 1).
        training: whether to drop at all.
        once: gives the mask, [V, 1], by the way to draw it; None draws it.

    Returns:
        [T, B, E].
    """
    looked_up = functional.embedding(ids, table)
    if not training or not p:
        return looked_up
    keep = _mask(table, (table.shape[0], 1), p, once)
    return looked_up * functional.embedding(ids, keep)


def _mask(
    like: Tensor, shape: tuple[int, ...], p: float, once: Callable[[Draw], Tensor] | None
) -> Tensor:
    def draw() -> Tensor:
        return like.new_empty(*shape).bernoulli_(1 - p) / (1 - p)

    return draw() if once is None else once(draw)


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
