"""States and gates of every recurrent layer of a model, whoever wrote it."""

from collections.abc import Callable

import torch
from torch import nn

from loopwise.diagnose.curves import GATES
from loopwise.diagnose.observe import observe
from loopwise.diagnose.states import LayerStates
from loopwise.errors import ConfigError
from loopwise.nn.adjoint import follow


def trace(
    model: nn.Module, run: Callable[[], object], *, gates: bool = True
) -> tuple[LayerStates, ...]:
    """Watch `model` while `run` computes with it.

    Args:
        model: with RNN, LSTM or GRU layers of loopwise or of torch; as before afterwards.
        run: calls it.
        gates: whether the gates are wanted, too.

    Returns:
        each layer's longest call.

    Raises:
        ConfigError: no such layer was at work.
    """
    with torch.no_grad(), observe(model) as seen:
        run()
    if not seen.calls:
        raise ConfigError("model: no RNN, LSTM or GRU layer was at work")
    found: list[LayerStates] = []
    for call in seen.longest():
        followed = follow(call.problem)
        parts = dict(zip(("hidden", "cell"), followed.states, strict=False))
        if gates:
            letters = GATES[call.problem.cell]
            split = followed.gates.chunk(len(letters), -1)
            parts |= {f"gate-{each}": gate for each, gate in zip(letters, split, strict=True)}
        arrays = {name: part.detach().float().cpu().numpy() for name, part in parts.items()}
        found.append(LayerStates(call.name, call.problem.cell, arrays))
    return tuple(found)
