"""Drop-ins: weights, initial values, outputs and gradients equal torch.nn's."""

import inspect

import pytest
import torch
from torch import nn

import loopwise
from loopwise.nn.layers import LSTM
from loopwise.nn.state import leaves, map_state
from nn.cases import HIDDEN, INPUT, PLAIN, sample
from nn.oracle import BACKENDS, assert_agree, assert_near, solve

STRUCTURES = (
    {},
    {"bias": False},
    {"num_layers": 3, "bidirectional": True},
    {"num_layers": 2, "bias": False, "batch_first": True},
)
LAYERS = [(case.kind, {**case.options, **s}) for case in PLAIN for s in STRUCTURES]
LAYERS += [(LSTM, {"proj_size": 2, **structure}) for structure in STRUCTURES]
every_layer = pytest.mark.parametrize(("kind", "options"), LAYERS)
CELLS = [("RNNCell", {}), ("RNNCell", {"nonlinearity": "relu"}), ("LSTMCell", {}), ("GRUCell", {})]
every_cell = pytest.mark.parametrize(("name", "options"), CELLS)


def both(name, options, seed=0, **factory):
    made = []
    for home in (loopwise, nn):
        torch.manual_seed(seed)
        made.append(getattr(home, name)(INPUT, HIDDEN, **options, **factory))
    return made


@every_layer
def test_same_seed_same_weights(kind, options):
    ours, theirs = both(kind.__name__, options)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value), name
    theirs.reset_parameters()
    torch.manual_seed(1)
    theirs.reset_parameters()
    torch.manual_seed(1)
    ours.reset_parameters()
    assert torch.equal(ours.weight_hh_l0, theirs.weight_hh_l0)


@every_layer
def test_state_dicts_go_both_ways(kind, options):
    ours, theirs = both(kind.__name__, options)
    nn.init.normal_(ours.weight_hh_l0)
    theirs.load_state_dict(ours.state_dict())
    assert torch.equal(theirs.weight_hh_l0, ours.weight_hh_l0)
    nn.init.normal_(theirs.weight_ih_l0)
    ours.load_state_dict(theirs.state_dict())
    assert torch.equal(theirs.weight_ih_l0, ours.weight_ih_l0)
    assert [[tuple(w.shape) for w in layer] for layer in ours.all_weights] == [
        [tuple(w.shape) for w in layer] for layer in theirs.all_weights
    ]


@pytest.mark.parametrize("on", BACKENDS)
@every_layer
def test_outputs_and_gradients(kind, options, on):
    ours, theirs = both(kind.__name__, options, dtype=torch.float64)
    data = sample(ours)
    x = data.x.transpose(0, 1) if ours.batch_first else data.x
    for hx in (None, data.hx):
        assert_agree(solve(ours, x, hx, on=on), solve(theirs, x, hx))


@every_layer
def test_unbatched(kind, options):
    ours, theirs = both(kind.__name__, options, dtype=torch.float64)
    x = torch.randn(5, INPUT, dtype=torch.float64)
    y, state = ours(x)
    expected, expected_state = theirs(x)
    assert_near(y, expected)
    for part, want in zip(leaves(state), leaves(expected_state), strict=True):
        assert_near(part, want)


@every_cell
def test_cells(name, options):
    for bias in (True, False):
        ours, theirs = both(name, {**options, "bias": bias}, dtype=torch.float64)
        assert list(ours.state_dict()) == list(theirs.state_dict())
        for key, value in theirs.state_dict().items():
            assert torch.equal(ours.state_dict()[key], value)
        x = torch.randn(2, INPUT, dtype=torch.float64)
        state = theirs(x)
        for hx in (None, state):
            for part, want in zip(leaves(ours(x, hx)), leaves(theirs(x, hx)), strict=True):
                assert_near(part, want)
        alone = map_state(lambda s: s[0], state)
        for hx in (None, alone):
            for part, want in zip(leaves(ours(x[0], hx)), leaves(theirs(x[0], hx)), strict=True):
                assert_near(part, want)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"])
def test_positional_arguments_stand_where_torchs_do(name):
    """torch's layers take ``*args``; their order is that of the documentation."""
    orders = {
        "RNN": "num_layers nonlinearity bias batch_first dropout bidirectional device dtype",
        "LSTM": "num_layers bias batch_first dropout bidirectional proj_size device dtype",
        "GRU": "num_layers bias batch_first dropout bidirectional device dtype",
        "RNNCell": "bias nonlinearity device dtype",
        "LSTMCell": "bias device dtype",
        "GRUCell": "bias device dtype",
    }
    order = ["input_size", "hidden_size", *orders[name].split()]
    parameters = inspect.signature(getattr(loopwise, name)).parameters.values()
    assert [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD] == order


@every_layer
def test_names_that_callers_of_torch_look_at(kind, options):
    ours, theirs = both(kind.__name__, options)
    assert ours.mode == theirs.mode
    assert len(ours._flat_weights) == len(theirs._flat_weights)
    for found, expected in zip(ours._flat_weights, theirs._flat_weights, strict=True):
        assert torch.equal(found, expected)
    assert not isinstance(ours, type(theirs))


def test_states_may_be_lists():
    x = torch.randn(2, 3, INPUT)
    layer, cell = loopwise.LSTM(INPUT, HIDDEN), loopwise.LSTMCell(INPUT, HIDDEN)
    for run, one, pair in ((layer, x, layer(x)[1]), (cell, x[0], cell(x[0]))):
        found, expected = run(one, list(pair)), run(one, pair)
        for part, want in zip(leaves(found), leaves(expected), strict=True):
            assert torch.equal(part, want)


@pytest.mark.parametrize("name", ["LSTM", "GRU", "LSTMCell", "GRUCell"])
def test_shapes_on_the_meta_device(name):
    """It has no autocast to ask for."""
    ours, theirs = both(name, {}, device="meta")
    x = torch.zeros(5, INPUT, device="meta")
    x = x if name.endswith("Cell") else x[:, None]
    state = theirs(x) if name.endswith("Cell") else theirs(x)[1]
    for hx in (None, state):
        for part, want in zip(leaves(ours(x, hx)), leaves(theirs(x, hx)), strict=True):
            assert (part.device, part.shape) == (want.device, want.shape)


def test_replicas_of_data_parallel():
    """Their weights are plain attributes, as `torch.nn.parallel.replicate` sets them."""
    layer = LSTM(INPUT, HIDDEN)
    replica = layer._replicate_for_data_parallel()
    for name, parameter in layer.named_parameters():
        setattr(replica, name, parameter * 1)
    x = torch.randn(5, 2, INPUT)
    assert not list(replica.parameters())
    assert torch.equal(replica(x)[0], layer(x)[0])


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("case", PLAIN, ids=str)
def test_jit_trace_passes_its_own_check(case):
    layer = case.make(num_layers=2)
    x = sample(layer).x
    traced = torch.jit.trace(layer, (x,))
    assert_near(traced(x)[0], layer(x)[0])
