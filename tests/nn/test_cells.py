"""Single cells: a step of the layer, alone and as what `Recurrent` runs."""

from unittest import mock

import pytest
import torch

from loopwise.nn.backend import backend
from loopwise.nn.cells import GRUCell, LSTMCell, RNNCell
from loopwise.nn.layers import GRU, LSTM, RNN
from loopwise.nn.recurrent import Recurrent
from loopwise.nn.stack import Stack
from loopwise.nn.state import leaves
from nn.cases import HIDDEN, INPUT, PROJECTED, Leaky, randomise, sample
from nn.oracle import assert_agree, assert_near, solve

PAIRS = [
    (RNNCell, RNN, {}),
    (RNNCell, RNN, {"nonlinearity": "relu"}),
    (RNNCell, RNN, {"layer_norm": True}),
    (LSTMCell, LSTM, {}),
    (LSTMCell, LSTM, {"peephole": True, "layer_norm": True}),
    (LSTMCell, LSTM, {"bias": False}),
    (GRUCell, GRU, {}),
    (GRUCell, GRU, {"layer_norm": True, "bias": False}),
]
every_pair = pytest.mark.parametrize(("cell", "layer", "options"), PAIRS)


@every_pair
def test_a_cell_is_a_layers_step(cell, layer, options):
    one = randomise(cell(INPUT, HIDDEN, dtype=torch.float64, **options))
    whole = layer(INPUT, HIDDEN, dtype=torch.float64, **options)
    whole.load_state_dict({f"{name}_l0": value for name, value in one.state_dict().items()})
    data = sample(whole)
    state = None
    for x_t, y_t in zip(data.x, whole(data.x)[0], strict=True):
        state = one(x_t, state)
        assert_near(next(leaves(state)), y_t)


@every_pair
def test_recurrent_over_a_cell_is_the_layer(cell, layer, options):
    structure = {"num_layers": 2, "bidirectional": True}
    whole = randomise(layer(INPUT, HIDDEN, dtype=torch.float64, **options, **structure))
    stack = Recurrent(lambda n: cell(n, HIDDEN, dtype=torch.float64, **options), INPUT, **structure)
    for index, part in enumerate(stack.cells):
        suffix = f"_l{index // 2}{'_reverse' if index % 2 else ''}"
        part.load_state_dict({n: getattr(whole, n + suffix) for n in part.state_dict()})
    data = sample(whole)
    request = {"lengths": data.lengths, "reset": data.reset, "return_all": "states"}
    found = solve(stack, data.x, data.hx, **request)
    expected = solve(whole, data.x, data.hx, **request)
    same = [name for name in expected if "weight" not in name and "bias" not in name]
    assert_agree({n: found[n] for n in same}, {n: expected[n] for n in same})


def test_one_module_is_copied_where_more_are_needed():
    cell = GRUCell(HIDDEN, HIDDEN)
    stack = Recurrent(cell, num_layers=3)
    assert stack.cells[0] is cell
    assert len({id(part) for part in stack.cells}) == 3
    values = {tuple(part.weight_hh.flatten().tolist()) for part in stack.cells}
    assert len(values) == 3, "copies must draw weights of their own"
    assert stack(torch.zeros(5, 2, HIDDEN))[0].shape == (5, 2, HIDDEN)


def test_a_function_makes_one_for_each_layer_and_direction():
    sizes = []

    def make(input_size):
        sizes.append(input_size)
        return Leaky(input_size)

    Recurrent(make, INPUT, num_layers=2, bidirectional=True)
    assert sizes == [INPUT, INPUT, 2 * Leaky.output_size, 2 * Leaky.output_size]


def test_hooks_of_a_cell_run_once():
    cell = LSTMCell(INPUT, HIDDEN)
    calls = []
    cell.register_forward_hook(lambda *_: calls.append(1))
    cell(torch.zeros(INPUT))
    cell(torch.zeros(1, INPUT))
    assert calls == [1, 1]


@pytest.mark.parametrize("module", [LSTM(INPUT, HIDDEN), LSTM(
    INPUT, HIDDEN, 2, batch_first=True, dropout=0.5, bidirectional=True, proj_size=PROJECTED,
    layer_norm=True, zoneout=(0.1, 0.0), chrono=9,
)])  # fmt: skip
def test_repr_says_what_is_not_default(module):
    """It is the call that makes the layer."""
    again = eval(repr(module), {"LSTM": LSTM})
    assert again.options == module.options
    assert repr(again) == repr(module)
    assert (again.num_layers, again.batch_first, again.dropout, again.bidirectional) == (
        module.num_layers, module.batch_first, module.dropout, module.bidirectional,
    )  # fmt: skip


def test_repr_without_surprises():
    assert repr(LSTM(3, 4)) == "LSTM(3, 4)"
    assert repr(LSTM(3, 4, zoneout=(0.0, 0))) == "LSTM(3, 4)"
    assert repr(RNN(3, 4, nonlinearity="relu")) == "RNN(3, 4, nonlinearity='relu')"
    assert repr(GRU(3, 4, init="orthogonal")) == "GRU(3, 4, init='orthogonal')"


def test_repr_of_cells():
    assert repr(RNNCell(3, 4, nonlinearity="relu")) == "RNNCell(3, 4, nonlinearity='relu')"
    rich = LSTMCell(3, 4, layer_norm=True, peephole=True)
    assert repr(rich) == "LSTMCell(3, 4, layer_norm=True, peephole=True)"

    assert repr(GRUCell(3, 4)) == "GRUCell(3, 4)"
    assert repr(LSTMCell(3, 4, bias=False)) == "LSTMCell(3, 4, bias=False)"


def test_a_copy_without_reset_keeps_its_weights():
    cell = Leaky(Leaky.output_size)
    stack = Recurrent(cell, num_layers=2)
    assert torch.equal(stack.cells[1].out.weight, cell.out.weight)


@pytest.mark.parametrize(
    ("cell", "options", "kernel"),
    [
        (RNNCell, {}, "rnn_tanh_cell"),
        (RNNCell, {"nonlinearity": "relu"}, "rnn_relu_cell"),
        (LSTMCell, {}, "lstm_cell"),
        (LSTMCell, {"bias": False}, "lstm_cell"),
        (GRUCell, {}, "gru_cell"),
    ],
)
def test_plain_cells_run_on_torchs_kernels(cell, options, kernel):
    """And agree with the definition to the second derivative."""
    one = randomise(cell(INPUT, HIDDEN, dtype=torch.float64, **options))
    x = torch.randn(2, INPUT, dtype=torch.float64, requires_grad=True)
    found = []
    for on, calls in (("torch", 1), ("reference", 0)):
        with backend(on), mock.patch.object(torch, kernel, wraps=getattr(torch, kernel)) as spy:
            state = list(leaves(one(x)))
        assert spy.call_count == calls
        (first,) = torch.autograd.grad(sum(s.sin().sum() for s in state), x, create_graph=True)
        second = torch.autograd.grad(first.square().sum(), [x, one.weight_hh, one.weight_ih])
        found.append([*state, first, *second])
    for part, want in zip(*found, strict=True):
        assert_near(part, want)


def test_cells_under_transforms_and_options_use_the_definition():
    with mock.patch.object(torch, "lstm_cell", side_effect=AssertionError):
        LSTMCell(INPUT, HIDDEN, peephole=True)(torch.zeros(2, INPUT))
        LSTMCell(INPUT, HIDDEN, layer_norm=True)(torch.zeros(2, INPUT))
        torch.func.vmap(LSTMCell(INPUT, HIDDEN))(torch.zeros(2, INPUT))


def test_layers_and_stacks_share_their_base():
    """A layer is no `Recurrent`: it has no cells."""
    assert isinstance(LSTM(INPUT, HIDDEN), Stack)
    assert isinstance(Recurrent(Leaky, INPUT), Stack)
    assert not isinstance(LSTM(INPUT, HIDDEN), Recurrent)
