"""Which models can be looked at, and that looking leaves no trace."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

import loopwise
from loopwise.diagnose.dependence import dependence
from loopwise.diagnose.report import Report
from loopwise.errors import ConfigError, DataError, ShapeError


class Tagger(nn.Module):
    """A module of a user's: torch's layers, both ways, stacked, packed."""

    def __init__(self, cell=nn.LSTM, **options):
        super().__init__()
        self.embedding = nn.Embedding(20, 6)
        self.rnn = cell(6, 5, 2, bidirectional=True, batch_first=True, **options)
        self.head = nn.Linear(10, 20)

    def forward(self, ids, lengths=None):
        x = self.embedding(ids)
        if lengths is not None:
            x = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        y = self.rnn(x)[0]
        return self.head(y.data if lengths is not None else y).logsumexp(-1).mean()


def layers_of(module):
    names = [f"l{n}{side}" for n in range(2) for side in ("", "_reverse")]
    return [f"{module}.{name}" for name in names]


@pytest.mark.parametrize("cell", [nn.LSTM, nn.GRU, nn.RNN, loopwise.LSTM, loopwise.GRU])
@pytest.mark.parametrize("lengths", [None, [9, 3, 7]])
def test_layers_inside_of_modules(cell, lengths):
    torch.manual_seed(0)
    model, ids = Tagger(cell), torch.randint(0, 20, (3, 9))
    report = loopwise.diagnose(model, ids if lengths is None else (ids, lengths))
    assert [layer.name for layer in report.layers] == layers_of("rnn")
    assert all((layer.steps, layer.rows) == (9, 3) for layer in report.layers)
    loss = model(ids, lengths)
    assert report.loss == pytest.approx(loss.item(), rel=1e-5)
    loss.backward()
    gradients = {name: float(p.grad.norm()) for name, p in model.named_parameters()}
    found = {each.name: each.gradient for each in report.tensors}
    assert found == pytest.approx(gradients, rel=1e-3)


def test_torch_and_loopwise_layers_get_the_same_report():
    torch.manual_seed(0)
    theirs = nn.LSTM(4, 8)
    ours = loopwise.LSTM(4, 8)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(15, 3, 4)
    assert loopwise.diagnose(theirs, x) == loopwise.diagnose(ours, x)


@pytest.mark.parametrize("lengths", [[9, 3, 7], [1, 9, 9]])
def test_rows_of_different_lengths_are_those_rows_alone(lengths):
    """The norm over a batch is the root of the sum of squares over its rows."""
    torch.manual_seed(0)
    layer, x = loopwise.GRU(3, 5), torch.randn(9, 3, 3)
    batch = {"input": x, "lengths": torch.tensor(lengths)}
    whole = loopwise.diagnose(layer, batch)["l0"].gradients
    squares = np.zeros(9)
    for row, length in enumerate(lengths):
        alone = loopwise.diagnose(layer, x[:length, row : row + 1])["l0"].gradients
        squares[:length] += np.square(alone.h)
    np.testing.assert_allclose(whole.h, np.sqrt(squares), rtol=1e-4)


def test_the_reverse_direction_is_the_forward_one_of_a_turned_input():
    torch.manual_seed(0)
    both = nn.RNN(3, 4, bidirectional=True)
    one = nn.RNN(3, 4)
    names = dict(both.named_parameters())
    with torch.no_grad():
        for name, parameter in one.named_parameters():
            parameter.copy_(names[f"{name}_reverse"])
    x = torch.randn(12, 2, 3)
    back = loopwise.diagnose(both, x)["l0_reverse"]
    forth = loopwise.diagnose(one, x.flip(0))["l0"]
    np.testing.assert_allclose(back.gradients.h, forth.gradients.h[::-1], rtol=1e-5)
    assert back.gradients.slope_h == pytest.approx(forth.gradients.slope_h, rel=1e-5)
    np.testing.assert_allclose(back.influence.h, forth.influence.h, rtol=1e-5)
    np.testing.assert_allclose(back.spectrum.lyapunov, forth.spectrum.lyapunov, rtol=1e-4)


def test_nothing_is_changed():
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(3)
            self.rnn = nn.LSTM(3, 4, 2, dropout=0.5)

        def forward(self, x):
            return self.rnn(self.norm(x.flatten(0, 1)).view_as(x))[0].mean()

    model, x = Noisy(), torch.randn(6, 2, 3)
    optimizer = torch.optim.Adam(model.parameters())
    model(x).backward()
    optimizer.step()
    state = copy.deepcopy(model.state_dict())
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    settings = copy.deepcopy(optimizer.state_dict())
    numbers = torch.get_rng_state()
    loopwise.diagnose(model, x, optimizer=optimizer)
    assert torch.equal(torch.get_rng_state(), numbers)
    torch.testing.assert_close(model.state_dict(), state, rtol=0, atol=0)
    torch.testing.assert_close({n: p.grad for n, p in model.named_parameters()}, gradients)
    after = optimizer.state_dict()
    assert after["param_groups"] == settings["param_groups"]
    torch.testing.assert_close(after["state"], settings["state"], rtol=0, atol=0)
    assert model.training
    assert "forward" not in vars(model.rnn)
    assert not model.rnn._forward_hooks


def test_updates_are_those_that_the_optimiser_makes():
    model, x = loopwise.LSTM(3, 4), torch.randn(6, 2, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for each in loopwise.diagnose(model, x, optimizer=optimizer).tensors:
        assert each.update == pytest.approx(0.1 * each.gradient, rel=1e-3)
        assert each.update_ratio == pytest.approx(each.update / each.weight)
    assert loopwise.diagnose(model, x).tensors[0].update_ratio is None


def test_options_precision_and_projections():
    torch.manual_seed(0)
    options = {"layer_norm": True, "zoneout": 0.1, "recurrent_dropout": 0.2, "peephole": True}
    model = loopwise.LSTM(3, 8, proj_size=4, num_layers=2, checkpoint=True, **options)
    x = torch.randn(10, 2, 3)
    report = loopwise.diagnose(model, x)
    assert [layer.units for layer in report.layers] == [8, 8]
    assert len(report["l1"].gradients.c) == 10
    with torch.autocast("cpu", torch.bfloat16):
        half = loopwise.diagnose(loopwise.GRU(3, 8), x)
    assert half["l0"].cell == "gru"
    assert loopwise.diagnose(loopwise.GRU(3, 8, proj_size=4), x)["l0"].units == 8
    assert loopwise.diagnose(loopwise.GRU(3, 8), x[:1]).layers[0].steps == 1


def test_a_report_survives_json():
    model, x = loopwise.RNN(3, 4, 2), torch.randn(10, 2, 3)
    report = loopwise.diagnose(model, x)
    again = Report.from_json(report.to_json())
    assert again == report
    assert list(again.findings) == list(report.findings)
    with pytest.raises(DataError, match="not a report"):
        Report.from_json("{}")
    with pytest.raises(KeyError, match="the layers are l0, l1"):
        report["l7"]


def test_findings_are_sentences():
    report = loopwise.diagnose(loopwise.RNN(3, 4), torch.randn(100, 2, 3))
    assert report.findings.names() == ["vanishing"]
    assert str(report.findings[0]).endswith(".")
    assert len(str(report.findings).splitlines()) == len(report.findings)


@pytest.mark.parametrize(
    ("model", "batch", "loss", "error", "message"),
    [
        (nn.Linear(3, 3), torch.randn(4, 3), None, ConfigError, "has no RNN, LSTM or GRU layer"),
        (nn.LSTMCell(3, 3), torch.randn(4, 3), None, ConfigError, "a single cell"),
        (nn.LSTM(3, 3), torch.randn(0, 4, 3), None, DataError, r"is empty.*\(0, 4, 3\)"),
        (nn.LSTM(3, 3), torch.randn(4, 0, 3), None, DataError, "is empty"),
        (nn.LSTM(3, 3), torch.randn(5, 4, 3), lambda out: out[0], ShapeError, "one number"),
        (
            nn.LSTM(3, 3),
            torch.randn(5, 4, 3),
            lambda out: torch.zeros(()),
            ConfigError,
            "does not depend on the model's parameters",
        ),
    ],
)
def test_what_cannot_be_diagnosed(model, batch, loss, error, message):
    with pytest.raises(error, match=message):
        loopwise.diagnose(model, batch, loss)


def test_a_loss_that_passes_by_the_recurrent_layer():
    class Split(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.GRU(3, 4)
            self.head = nn.Linear(3, 1)

        def forward(self, x):
            self.rnn(x)
            return self.head(x).sum()

    with pytest.raises(ConfigError, match="recurrent layers"):
        loopwise.diagnose(Split(), torch.randn(5, 2, 3))


def test_layers_that_are_not_looked_into_are_named():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.idle = nn.GRU(3, 4), nn.GRU(3, 4)
            self.cell = nn.GRUCell(3, 4)

        def forward(self, x):
            return self.rnn(x)[0].sum()

    skipped = loopwise.diagnose(Two(), torch.randn(5, 2, 3)).skipped
    assert skipped["idle"] == "it took no part in the loss"
    assert "single cell" in skipped["cell"]


def test_dependence_of_data_on_its_past():
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 5, (3000, 2))
    assert dependence(noise).reach == 0
    assert dependence(np.roll(noise, 7, axis=0) + 5 * (noise % 2)).reach == 0
    repeated = np.tile(generator.integers(0, 5, (12, 1)), (300, 1))
    found = dependence(repeated, longest=12)
    assert found.values[found.lags.index(12)] == pytest.approx(max(found.values))
    echo = noise.copy()
    echo[6:] = np.where(generator.random((2994, 2)) < 0.5, echo[:-6], echo[6:])
    assert dependence(echo, longest=8).reach == 6
    assert dependence(generator.standard_normal((500, 4, 3))).reach == 0
    smooth = np.cumsum(generator.standard_normal((2000, 1)), 0)
    found = dependence(smooth, longest=64)
    assert found.kind == "autocorrelation"
    assert found.reach >= 32
