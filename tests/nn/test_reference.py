"""The reference against the equations in NumPy."""

import numpy as np
import pytest
import torch

from loopwise.nn.backend import backend
from loopwise.nn.state import leaves
from nn.cases import INPUT, OWN, ROWS, STEPS, ids, sample
from nn.definitions import CELLS, run
from nn.oracle import assert_near

RNG = np.random.default_rng(0)


def named(layer, suffix="_l0"):
    """The parameters of one cell, as `definitions` takes them."""
    own = {k.removesuffix(suffix): v for k, v in layer.named_parameters() if k.endswith(suffix)}
    return {name: value.detach().numpy() for name, value in own.items()}


@pytest.mark.parametrize("case", OWN, ids=ids(OWN))
def test_layer_computes_its_equations(case):
    layer = case.make()
    data = sample(layer)
    state = [part[0].numpy() for part in leaves(data.hx)]
    zoneout = layer.options.zoneout if any(layer.options.zoneout) else ()
    y, final, states, gates = run(
        layer.options.cell, data.x.numpy(), state, named(layer), zoneout=zoneout
    )
    with backend("reference"):
        found, found_state, history = layer(data.x, data.hx, return_all="gates")
    assert_near(found, torch.from_numpy(y))
    for part, want in zip(leaves(found_state), final, strict=True):
        assert_near(part[0], torch.from_numpy(want))
    for part, want in zip(leaves(history.states), states, strict=True):
        assert_near(part[0], torch.from_numpy(want))
    assert_near(history.gates[0], torch.from_numpy(np.stack(gates)))


@pytest.mark.parametrize("cell", CELLS)
def test_absent_state_is_zero_and_learned_state_is_used(cell):
    kind = {"lstm": "LSTM", "gru": "GRU"}.get(cell, "RNN")
    extra = {"nonlinearity": cell[4:]} if kind == "RNN" else {}
    case = next(c for c in OWN if c.kind.__name__ == kind and c.options.get("learn_initial_state"))
    layer = case.kind(INPUT, 4, learn_initial_state=True, dtype=torch.float64, **extra)
    x = RNG.normal(size=(STEPS, ROWS, INPUT))
    sizes = layer.options.state_sizes
    for value in (0.0, 0.5):
        for name in ("initial_h", "initial_c")[: len(sizes)]:
            torch.nn.init.constant_(getattr(layer, name), value)
        state = [np.full((ROWS, size), value) for size in sizes]
        y, *_ = run(cell, x, state, named(layer))
        assert_near(layer(torch.from_numpy(x))[0], torch.from_numpy(y))
