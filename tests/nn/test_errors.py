"""Every refusal says what was given and what is allowed."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence

from loopwise.errors import ConfigError, LoopwiseError, ShapeError
from loopwise.nn.cells import GRUCell, LSTMCell, RNNCell
from loopwise.nn.layers import GRU, LSTM, RNN
from loopwise.nn.recurrent import Recurrent
from nn.cases import HIDDEN, INPUT, Leaky

OPTIONS = {
    "hidden_size zero": (lambda: LSTM(3, 0), ["hidden_size=0", "at least 1"]),
    "hidden_size fraction": (lambda: GRU(3, 2.5), ["hidden_size=2.5", "integer"]),
    "input_size negative": (lambda: RNN(-1, 4), ["input_size=-1", "at least 0"]),
    "input_size bool": (lambda: RNN(True, 4), ["input_size=True", "integer"]),
    "num_layers": (lambda: LSTM(3, 4, 0), ["num_layers=0", "at least 1"]),
    "num_layers fraction": (lambda: LSTM(3, 4, 1.5), ["num_layers=1.5", "integer"]),
    "dropout": (lambda: LSTM(3, 4, dropout=1.5), ["dropout=1.5", "[0, 1]"]),
    "dropout bool": (lambda: LSTM(3, 4, dropout=True), ["dropout=True", "[0, 1]"]),
    "nonlinearity": (lambda: RNN(3, 4, nonlinearity="gelu"), ["'gelu'", "'tanh' or 'relu'"]),
    "cell nonlinearity": (lambda: RNNCell(3, 4, nonlinearity="x"), ["'x'", "'tanh' or 'relu'"]),
    "proj_size": (lambda: LSTM(3, 4, proj_size=4), ["proj_size=4", "hidden_size=4"]),
    "proj_size negative": (lambda: GRU(3, 4, proj_size=-1), ["proj_size=-1", "at least 0"]),
    "zoneout": (lambda: GRU(3, 4, zoneout=-0.1), ["zoneout=-0.1", "[0, 1]"]),
    "zoneout bool": (lambda: GRU(3, 4, zoneout=False), ["zoneout=False", "[0, 1]"]),
    "zoneout nan": (lambda: GRU(3, 4, zoneout=float("nan")), ["zoneout=nan", "[0, 1]"]),
    "zoneout text": (lambda: GRU(3, 4, zoneout="a"), ["zoneout='a'", "[0, 1]"]),
    "zoneout pair": (lambda: GRU(3, 4, zoneout=(0.1, 0.2)), ["zoneout=(0.1, 0.2)", "1 for GRU"]),
    "zoneout one": (lambda: LSTM(3, 4, zoneout=(0.1,)), ["zoneout=(0.1,)", "2 for LSTM"]),
    "recurrent_dropout": (
        lambda: RNN(3, 4, recurrent_dropout=1.0),
        ["recurrent_dropout=1.0", "[0, 1)"],
    ),
    "weight_drop": (lambda: LSTM(3, 4, weight_drop=1), ["weight_drop=1", "[0, 1)"]),
    "init": (lambda: LSTM(3, 4, init="ortogonal"), ["'ortogonal'", "torch, orthogonal", "mean"]),
    "unknown": (lambda: LSTM(3, 4, layernorm=True), ["'layernorm'", "peephole", "'layer_norm'?"]),
    "peephole of a GRU": (lambda: GRU(3, 4, peephole=True), ["GRU", "'peephole'", "layer_norm"]),
    "forget_bias of an RNN": (lambda: RNN(3, 4, forget_bias=1.0), ["forget_bias", "LSTM or GRU"]),
    "forget_bias without bias": (
        lambda: LSTM(3, 4, bias=False, forget_bias=1.0),
        ["forget_bias", "bias=True"],
    ),
    "forget_bias nan": (
        lambda: LSTM(3, 4, forget_bias=float("nan")),
        ["forget_bias=nan", "finite number"],
    ),
    "forget_bias text": (lambda: GRU(3, 4, forget_bias="1"), ["forget_bias='1'", "finite number"]),
    "chrono": (lambda: LSTM(3, 4, chrono=1), ["chrono=1", "at least 2"]),
    "chrono and forget_bias": (
        lambda: GRU(3, 4, chrono=9, forget_bias=1.0),
        ["forget_bias", "chrono", "one of them"],
    ),
    "function without input_size": (lambda: Recurrent(Leaky), ["input_size", "function"]),
    "no cell": (lambda: Recurrent(nn.Linear(3, 3)), ["Linear", "output_size", "initial_state"]),
    "no cell from a function": (
        lambda: Recurrent(lambda n: nn.Linear(n, 3), 3),
        ["Linear", "output_size", "initial_state"],
    ),
    "bias": (lambda: GRU(3, 4, bias=0), ["bias=0", "True or False"]),
    "layer_norm": (lambda: LSTM(3, 4, layer_norm="no"), ["layer_norm='no'", "True or False"]),
    "peephole": (lambda: LSTMCell(3, 4, peephole=1), ["peephole=1", "True or False"]),
    "learn_initial_state": (
        lambda: RNN(3, 4, learn_initial_state="no"),
        ["learn_initial_state='no'", "True or False"],
    ),
    "batch_first": (lambda: GRU(3, 4, batch_first="no"), ["batch_first='no'", "True or False"]),
    "bidirectional": (lambda: GRU(3, 4, bidirectional=2), ["bidirectional=2", "True or False"]),
    "stack of no layers": (lambda: Recurrent(Leaky, 3, num_layers=0), ["num_layers=0"]),
}

x = torch.zeros(5, 3, INPUT)
h = torch.zeros(1, 3, HIDDEN)
true = torch.ones(5, 3, dtype=torch.bool)
packed = pack_sequence([x[:, 0]])


def lstm(*arguments, **options):
    layer = LSTM(INPUT, HIDDEN, batch_first=options.pop("batch_first", False))
    return lambda: layer(*arguments, **options)


def gru(*arguments, **options):
    return lambda: GRU(INPUT, HIDDEN)(*arguments, **options)


CALLS = {
    "features": (gru(x[..., :2]), ShapeError, ["3 features", "given 2", "(5, 3, 2)"]),
    "features, batch first": (
        lstm(torch.zeros(7, 5, 2), batch_first=True),
        ShapeError,
        ["3 features", "(7, 5, 2)"],
    ),
    "four dimensions": (gru(x[None]), ShapeError, ["2 or 3", "(1, 5, 3, 3)"]),
    "one dimension": (gru(x[0, 0]), ShapeError, ["2 or 3", "(3,)"]),
    "type": (gru(x.double()), ShapeError, ["float32", "float64"]),
    "integers": (gru(x.long()), ShapeError, ["float32", "int64"]),
    "device": (gru(x.to("meta")), ShapeError, ["meta", "cpu"]),
    "state's rows": (gru(x, h[:, :2]), ShapeError, ["hx", "(1, 3, 4)", "(1, 2, 4)"]),
    "state's layers": (gru(x, h.repeat(2, 1, 1)), ShapeError, ["(1, 3, 4)", "(2, 3, 4)"]),
    "state's type": (gru(x, h.double()), ShapeError, ["float32 (1", "float64 (1"]),
    "state's device": (gru(x, h.to("meta")), ShapeError, ["expected float32", "on meta"]),
    "pair for a GRU": (gru(x, (h, h)), ShapeError, ["given a tuple of [float32"]),
    "one for an LSTM": (lstm(x, h), ShapeError, ["expected a tuple of [float32"]),
    "triple for an LSTM": (lstm(x, (h, h, h)), ShapeError, ["hx", "expected a tuple"]),
    "state of None": (lstm(x, (None, None)), ShapeError, ["(1, 3, 4)", "of [NoneType, NoneType]"]),
    "number for a state": (lstm(x, 1.0), ShapeError, ["expected a tuple", "given float"]),
    "single state of None": (lstm(x[:, 0], (None, None)), ShapeError, ["hx", "given NoneType"]),
    "cell's state of None": (
        lambda: LSTMCell(3, 4)(x[0], (None, None)),
        ShapeError,
        ["of [NoneType, NoneType]"],
    ),
    "lengths, too few": (gru(x, lengths=[1, 2]), ShapeError, ["each of 3 rows", "(2,)"]),
    "lengths, too long": (gru(x, lengths=[1, 2, 6]), ShapeError, ["0 to T=5", "1 to 6"]),
    "lengths, negative": (gru(x, lengths=[1, -2, 5]), ShapeError, ["0 to T=5", "-2 to 5"]),
    "lengths, fractions": (gru(x, lengths=[1.0, 2.0, 3.0]), ShapeError, ["integers", "float32"]),
    "lengths, bool": (gru(x, lengths=true[0]), ShapeError, ["integers", "bool"]),
    "lengths of packed": (gru(packed, lengths=[5]), ShapeError, ["PackedSequence", "one or"]),
    "reset's shape": (gru(x, reset=true.T), ShapeError, ["(5, 3)", "(3, 5)"]),
    "reset's dimensions": (gru(x, reset=true[0]), ShapeError, ["(5, 3)", "(3,)"]),
    "reset, batch first": (
        lstm(x, batch_first=True, reset=true.T),
        ShapeError,
        ["bool (5, 3)", "(3, 5)"],
    ),
    "reset's type": (gru(x, reset=true.float()), ShapeError, ["bool", "float32"]),
    "return_all": (gru(x, return_all="all"), ConfigError, ["'all'", "'states' or 'gates'"]),
    "return_all of a user's cell": (
        lambda: Recurrent(Leaky, INPUT)(x, return_all="gates"),
        ConfigError,
        ["'gates'", "'states'"],
    ),
    "unknown of a user's cell": (
        lambda: Recurrent(Leaky, INPUT)(x, return_all="all"),
        ConfigError,
        ["'all'", "'states' or 'gates'"],
    ),
    "nested state": (
        lambda: Recurrent(Leaky, INPUT)(x, (h, h)),
        ShapeError,
        ["a tuple of [float32 (1, 3, 4), a tuple of", "given a tuple of [float32 (1, 3, 4), float"],
    ),
    "cell's features": (
        lambda: LSTMCell(3, 4)(x[0, :, :2]),
        ShapeError,
        ["[B, 3] or [3]", "(3, 2)"],
    ),
    "cell's features alone": (lambda: GRUCell(3, 4)(x[0, 0, :2]), ShapeError, ["[B, 3]", "(1, 2)"]),
    "cell's dimensions": (lambda: GRUCell(3, 4)(x), ShapeError, ["[B, 3] or [3]", "(5, 3, 3)"]),
    "cell's state": (lambda: GRUCell(3, 4)(x[0], h[0, :2]), ShapeError, ["(3, 4)", "(2, 4)"]),
    "cell's pair": (
        lambda: LSTMCell(3, 4)(x[0], h[0]),
        ShapeError,
        ["a tuple", "given float32"],
    ),
    "cell in a stack": (
        lambda: Recurrent(LSTMCell(2, 4))(x),
        ShapeError,
        ["[B, 2]", "(3, 3)"],
    ),
}


def check(call, kind, fragments):
    with pytest.raises(kind) as raised:
        call()
    message = str(raised.value)
    assert isinstance(raised.value, LoopwiseError)
    assert all(fragment in message for fragment in fragments), message


@pytest.mark.parametrize("name", OPTIONS)
def test_options(name):
    call, fragments = OPTIONS[name]
    check(call, ConfigError, fragments)


@pytest.mark.parametrize("name", CALLS)
def test_calls(name):
    check(*CALLS[name])


def test_errors_are_value_errors():
    """As in torch, whoever catches ValueError goes on."""
    with pytest.raises(ValueError, match="hidden_size"):
        LSTM(3, 0)


def test_misfits_are_runtime_errors_too():
    """Torch raises RuntimeError for some of them and ValueError for others."""
    with pytest.raises(RuntimeError, match="hx"):
        GRU(INPUT, HIDDEN)(x, h[:, :2])


@pytest.mark.parametrize("kind", [RNN, LSTM, GRU])
def test_dropout_without_a_layer_above_warns(kind):
    """As torch does."""
    with pytest.warns(UserWarning, match="dropout=0.5 acts between layers"):
        kind(INPUT, HIDDEN, dropout=0.5)
