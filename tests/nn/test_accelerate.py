"""`accelerate`: the same model, with loopwise's layers in it."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import loopwise
from loopwise.nn.accelerate import accelerate
from loopwise.nn.state import leaves
from nn.oracle import assert_near

LAYERS = {
    "rnn": lambda: nn.RNN(3, 4, 2, nonlinearity="relu", bidirectional=True),
    "lstm": lambda: nn.LSTM(3, 4, 2, batch_first=True, proj_size=2),
    "gru": lambda: nn.GRU(3, 4, bias=False, dropout=0.0),
    "rnn cell": lambda: nn.RNNCell(3, 4, nonlinearity="relu"),
    "lstm cell": lambda: nn.LSTMCell(3, 4, bias=False),
    "gru cell": lambda: nn.GRUCell(3, 4),
}
# torch's own projected LSTM warns when it runs.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")


class Model(nn.Module):
    """Nested, in a list, and one layer under two names."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.ModuleDict({"rnn": nn.LSTM(3, 4)})
        self.stack = nn.ModuleList([nn.GRU(4, 4), nn.Linear(4, 4), nn.GRU(4, 4, 2)])
        self.shared = self.stack[0]
        self.cell = nn.GRUCell(4, 5)

    def forward(self, x):
        x = self.encoder["rnn"](x)[0]
        for part in self.stack:
            x = part(x)
            x = x[0] if isinstance(x, tuple) else x
        return self.cell(self.shared(x)[0][-1])


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_alone(name):
    theirs = LAYERS[name]().eval()
    parameters = dict(theirs.named_parameters())
    done = accelerate(theirs)
    assert done.replaced == ("",)
    assert not done.left
    assert type(done.module) is getattr(loopwise, type(theirs).__name__)
    assert not done.module.training
    found = dict(done.module.named_parameters())
    assert found.keys() == parameters.keys()
    assert all(found[key] is value for key, value in parameters.items())
    x = torch.randn(5, 3) if "cell" in name else torch.randn(5, 2, 3)
    for part, want in zip(leaves(done.module(x)), leaves(theirs(x)), strict=True):
        assert_near(part, want, 1e-6)


def test_a_model_in_place():
    model = Model()
    twin = copy.deepcopy(model)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    parameters = dict(model.named_parameters())
    x = torch.randn(6, 2, 3)
    done = accelerate(model)
    assert done.module is model
    assert set(done.replaced) == {"encoder.rnn", "stack.0", "stack.2", "shared", "cell"}
    assert done.left == {}
    assert model.shared is model.stack[0]
    assert not [m for m in model.modules() if isinstance(m, nn.RNNBase | nn.RNNCellBase)]
    assert list(model.state_dict()) == list(twin.state_dict())
    assert all(parameters[name] is value for name, value in model.named_parameters())
    for network in (model, twin):
        network(x).square().sum().backward()
    for (name, mine), (_, theirs) in zip(
        model.named_parameters(), twin.named_parameters(), strict=True
    ):
        assert_near(mine.grad, theirs.grad, 1e-5, name)
    before = model.encoder["rnn"].weight_hh_l0.clone()
    optimiser.step()
    assert not torch.equal(model.encoder["rnn"].weight_hh_l0, before)
    assert accelerate(model).replaced == ()  # nothing is left to do


class Louder(nn.GRU):
    def forward(self, input, hx=None):
        y, state = super().forward(input, hx)
        return 2 * y, state


def hooked(register):
    layer = nn.LSTM(3, 4)
    getattr(layer, register)(lambda *_: None)
    return layer


LEFT = {
    "subclass": (Louder(3, 4), "Louder is a subclass"),
    "parametrised": (parametrizations.weight_norm(nn.LSTM(3, 4), "weight_hh_l0"), "parametrised"),
    "forward hook": (hooked("register_forward_hook"), "hooks"),
    "forward pre-hook": (hooked("register_forward_pre_hook"), "hooks"),
    "backward hook": (hooked("register_full_backward_hook"), "hooks"),
}


@pytest.mark.parametrize("name", LEFT)
def test_what_would_lose_something_is_left(name):
    layer, reason = LEFT[name]
    model = nn.Sequential(layer, nn.ReLU())
    done = accelerate(model)
    assert model[0] is layer
    assert done.replaced == ()
    assert list(done.left) == ["0"]
    assert reason in done.left["0"]
    assert accelerate(layer).module is layer


def test_a_weight_that_is_no_parameter_is_left():
    """As DropConnect by hand leaves it, which puts a plain tensor in a weight's place."""
    layer = nn.LSTM(3, 4)
    raw = layer.weight_hh_l0
    del layer.weight_hh_l0
    layer.register_parameter("weight_hh_l0_raw", raw)
    layer.weight_hh_l0 = raw * 0.5
    done = accelerate(nn.Sequential(layer))
    assert "weight_hh_l0" in done.left["0"]


def test_types_and_devices_stay():
    layer = nn.LSTM(3, 4, dtype=torch.float64)
    layer.weight_ih_l0.requires_grad_(False)
    done = accelerate(layer).module
    assert done(torch.zeros(2, 1, 3, dtype=torch.float64))[0].dtype == torch.float64
    assert not done.weight_ih_l0.requires_grad
