"""Rows of unequal length, restarts in mid-sequence and the reverse direction, for any runner.

A runner only knows how to take a block of whole rows through time. This module cuts the work into
such blocks: rows are sorted by length, so that those still running are a prefix; time is cut where
a row ends or restarts. There is no padded work and there are no masks. The reverse direction is the
same run over rows that were each turned round within their own length.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from loopwise.errors import ShapeError
from loopwise.nn.state import State, map_state

Run = Callable[[Sequence[Tensor], Sequence[Tensor], State], tuple[Sequence[Tensor], State]]
"""``run(inputs, fixed, state) -> (outputs, state)`` over a block: inputs and outputs are
[t, b, ...], what is fixed over time [b, ...]."""


def run_rows(
    run: Run,
    inputs: Sequence[Tensor],
    fixed: Sequence[Tensor],
    state: State,
    *,
    restart: State,
    lengths: Tensor | None = None,
    reset: Tensor | None = None,
    reverse: bool = False,
) -> tuple[Sequence[Tensor], State]:
    """Take a batch through time with `run`.

    Args:
        run: takes a block of rows that all live from its first step to its last.
        inputs: each [T, B, ...].
        fixed: what a row has at every step, each [B, ...].
        state: before the first step, each [B, ...].
        restart: the state that a reset row starts from, each [B, ...].
        lengths: [B] int from 0 to T, best on the CPU; the steps of each row. None: all T.
        reset: [T, B] bool; where true, the sequence starts anew at that step.
        reverse: from each row's end to its beginning.

    Returns:
        outputs, each [T, B, ...], zero beyond a row's length; and each row's state at its end.

    Raises:
        ShapeError: a length is out of range.
    """
    if lengths is not None:
        check_range(lengths, inputs[0].shape[0])
    if reverse:
        inputs = [turn(tensor, lengths) for tensor in inputs]
        reset = None if reset is None else restarts_in_reverse(reset, lengths)
    if lengths is None and reset is None:
        outputs, state = run(inputs, fixed, state)
    else:
        outputs, state = _run_ragged(run, inputs, fixed, state, restart, lengths, reset)
    return [turn(tensor, lengths) for tensor in outputs] if reverse else outputs, state


def check_range(lengths: Tensor, steps: int) -> None:
    """Raise `ShapeError` unless all `lengths` are from 0 to `steps`.

    Checked where the recurrence runs: there compiled and exported programs see the numbers too.
    """
    if not lengths.numel():
        return
    low, high = int(lengths.min()), int(lengths.max())
    if low < 0 or high > steps:
        raise ShapeError(f"lengths: expected values from 0 to T={steps}, given {low} to {high}")


def _run_ragged(
    run: Run,
    inputs: Sequence[Tensor],
    fixed: Sequence[Tensor],
    state: State,
    restart: State,
    lengths: Tensor | None,
    reset: Tensor | None,
) -> tuple[Sequence[Tensor], State]:
    """`run_rows` forwards, where rows end or restart: sorted by length, cut into blocks."""
    steps, rows = inputs[0].shape[:2]
    counts = torch.full((rows,), steps, device="cpu") if lengths is None else lengths.cpu()
    counts, order = counts.sort(descending=True, stable=True)
    order = order.to(inputs[0].device)
    inputs = [tensor.index_select(1, order) for tensor in inputs]
    fixed = [tensor.index_select(0, order) for tensor in fixed]
    state, restart = _take(state, order), _take(restart, order)
    if reset is not None:  # beyond a row's end it means nothing, and must not cost a cut
        time = torch.arange(steps, device=order.device)[:, None]
        reset = reset.to(order.device).index_select(1, order) & (time < counts.to(order.device))

    blocks: list[Sequence[Tensor]] = []
    for begin, end, live in _blocks(steps, counts.tolist(), reset):
        now = _first(state, live)
        if reset is not None:
            now = _restarted(now, _first(restart, live), reset[begin, :live])
        block = [tensor[begin:end, :live] for tensor in inputs]
        outputs, now = run(block, [tensor[:live] for tensor in fixed], now)
        blocks.append([_pad_rows(tensor, rows) for tensor in outputs])
        state = _followed(now, state)
    if not blocks:  # no row has a step: the runner still knows the outputs' shapes
        outputs, _ = run([tensor[:0] for tensor in inputs], fixed, state)
        blocks.append(outputs)
    back = order.argsort()
    joined = [_pad_steps(torch.cat(parts), steps) for parts in zip(*blocks, strict=True)]
    return [tensor.index_select(1, back) for tensor in joined], _take(state, back)


def _blocks(steps: int, counts: list[int], reset: Tensor | None) -> Iterator[tuple[int, int, int]]:
    """(first step, end, rows alive) of each block; `counts` falls."""
    cuts = {0, *counts}
    if reset is not None:
        cuts.update(reset.any(1).nonzero().flatten().tolist())
    for begin, end in pairwise(sorted(cut for cut in cuts if cut <= max(counts, default=0))):
        yield begin, min(end, steps), sum(count > begin for count in counts)


def _take(state: State, rows: Tensor) -> State:
    return map_state(lambda s: s.index_select(0, rows), state)


def _first(state: State, rows: int) -> State:
    return map_state(lambda s: s[:rows], state)


def _restarted(state: State, restart: State, where: Tensor) -> State:
    return map_state(lambda s, r: torch.where(_like(where, s), r, s), state, restart)


def _followed(state: State, whole: State) -> State:
    """`whole` with its first rows replaced by those of `state`."""
    return map_state(lambda s, w: torch.cat((s, w[s.shape[0] :])), state, whole)


def turn(tensor: Tensor, lengths: Tensor | None) -> Tensor:
    """Turn each row of [T, B, ...] round within its length; its own inverse."""
    if lengths is None:
        return tensor.flip(0)
    time = torch.arange(tensor.shape[0], device=tensor.device)[:, None]
    lengths = lengths.to(tensor.device)
    index = torch.where(time < lengths, lengths - 1 - time, time)
    return tensor.gather(0, _like(index, tensor).expand_as(tensor))


def restarts_in_reverse(reset: Tensor, lengths: Tensor | None) -> Tensor:
    """A sequence that starts at t ends at t-1: there the reverse run starts anew."""
    turned = turn(reset, lengths)
    return torch.cat((torch.zeros_like(turned[:1]), turned[:-1]))


def _like(tensor: Tensor, other: Tensor) -> Tensor:
    return tensor.reshape(*tensor.shape, *[1] * (other.dim() - tensor.dim()))


def _pad_rows(tensor: Tensor, rows: int) -> Tensor:
    missing = rows - tensor.shape[1]
    if not missing:
        return tensor
    return torch.cat((tensor, tensor.new_zeros(tensor.shape[0], missing, *tensor.shape[2:])), 1)


def _pad_steps(tensor: Tensor, steps: int) -> Tensor:
    missing = steps - tensor.shape[0]
    if not missing:
        return tensor
    return torch.cat((tensor, tensor.new_zeros(missing, *tensor.shape[1:])))
