"""The table of cases that every layer must pass, and the problems they are given."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn

from loopwise.nn.layers import GRU, LSTM, RNN
from loopwise.nn.recurrent import Recurrent
from loopwise.nn.state import map_state

STEPS, ROWS, INPUT, HIDDEN, PROJECTED = 5, 3, 3, 4, 2


class Leaky(nn.Module):
    """A user's own cell, whose state is nested and whose output is not its state."""

    output_size = 2

    def __init__(self, input_size, device=None, dtype=None):
        super().__init__()
        factory = {"device": device, "dtype": dtype}
        self.inside = nn.Linear(input_size + HIDDEN, HIDDEN, **factory)
        self.out = nn.Linear(HIDDEN, self.output_size, **factory)

    def initial_state(self, x):
        zeros = x.new_zeros(x.shape[0], HIDDEN)
        return zeros, (zeros + 0.5,)

    def forward(self, x, state):
        h, (mean,) = state
        h = torch.tanh(self.inside(torch.cat((x, h), -1)) - mean)
        return self.out(h), (h, (0.75 * mean + 0.25 * h,))


@dataclass(frozen=True)
class Case:
    """One layer with one choice of options."""

    kind: type
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self):
        chosen = [f"{k}={v}" for k, v in self.options.items()]
        return "-".join([self.kind.__name__, *chosen])

    def make(self, *, input_size=INPUT, dtype=torch.float64, seed=0, **structure):
        """A layer in evaluation mode whose parameters are all drawn, none left at zero or one."""
        if self.kind is Recurrent:
            layer = Recurrent(partial(Leaky, dtype=dtype), input_size, **structure)
        else:
            layer = self.kind(input_size, HIDDEN, dtype=dtype, **self.options, **structure)
        return randomise(layer, seed).eval()

    @property
    def deterministic(self):
        """Whether training and evaluation do the same."""
        return not {"zoneout", "recurrent_dropout", "weight_drop"} & self.options.keys()


def randomise(module, seed=0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            values = torch.rand(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_(1.6 * values - 0.8)
    return module


SHARED = (
    {},
    {"bias": False},
    {"proj_size": PROJECTED},
    {"layer_norm": True},
    {"zoneout": 0.25},
    {"recurrent_dropout": 0.5},
    {"weight_drop": 0.5},
    {"learn_initial_state": True},
    {"init": "orthogonal"},
)
EVERYTHING = {
    "proj_size": PROJECTED,
    "layer_norm": True,
    "zoneout": 0.25,
    "recurrent_dropout": 0.5,
    "weight_drop": 0.5,
    "learn_initial_state": True,
}
LSTM_ALONE = (
    {"peephole": True},
    {"peephole": True, "layer_norm": True},
    {"zoneout": (0.25, 0.1)},
    {"forget_bias": 1.0},
    {"chrono": 20},
    {**EVERYTHING, "peephole": True, "bias": False},
    {**EVERYTHING, "peephole": True},
)
PLAIN = (Case(RNN), Case(RNN, {"nonlinearity": "relu"}), Case(LSTM), Case(GRU))
OWN = (
    *(Case(kind, options) for kind in (RNN, LSTM, GRU) for options in SHARED),
    *(Case(kind, EVERYTHING) for kind in (RNN, GRU)),
    *(Case(LSTM, options) for options in LSTM_ALONE),
    Case(RNN, {"nonlinearity": "relu"}),
    Case(RNN, {"nonlinearity": "relu", "layer_norm": True}),
    Case(GRU, {"forget_bias": 1.0}),
    Case(GRU, {"chrono": 20}),
)
USERS = Case(Recurrent)
CASES = (*OWN, USERS)
STRUCTURES = (
    {},
    {"num_layers": 2, "bidirectional": True},
)


class Sample(NamedTuple):
    """A batch for a layer."""

    x: torch.Tensor
    hx: Any
    lengths: torch.Tensor
    reset: torch.Tensor

    def to(self, dtype):
        hx = map_state(lambda s: s.to(dtype), self.hx)
        return self._replace(x=self.x.to(dtype), hx=hx)


def sample(layer, *, steps=STEPS, rows=ROWS, input_size=INPUT, seed=1):
    """A batch in float64: inputs, a state, lengths with a zero, resets (also at the first step)."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    dtype = next(layer.parameters()).dtype
    probe = torch.zeros(1, rows, input_size, dtype=dtype)
    _, state = layer(probe.transpose(0, 1) if layer.batch_first else probe)
    hx = map_state(lambda s: draw(*s.shape), state)
    x = draw(steps, rows, input_size)
    lengths = torch.randint(0, steps + 1, (rows,), generator=generator)
    if rows > 1 and steps > 1:
        lengths[0], lengths[-1] = 0, steps - 1
    reset = torch.rand(steps, rows, generator=generator) < 0.3
    return Sample(x, hx, lengths, reset)


def ids(values):
    """Names of parameters for pytest."""
    return [str(value) for value in values]
