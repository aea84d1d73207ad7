"""Every rule is met where it should be, and only there."""

from dataclasses import replace

import pytest
import torch

import loopwise
from loopwise.diagnose.dependence import known
from loopwise.diagnose.report import NotFinite, Report, Training
from loopwise.diagnose.rules import RULES, judge
from loopwise.errors import ConfigError
from loopwise.tasks.registry import config_class


@pytest.fixture(scope="module")
def healthy() -> Report:
    """A network that keeps what it sees: h' = h + x."""
    layer = loopwise.RNN(4, 4, nonlinearity="relu", bias=False)
    with torch.no_grad():
        layer.weight_hh_l0.copy_(torch.eye(4))
        layer.weight_ih_l0.copy_(torch.eye(4))
    x = torch.rand(50, 3, 4)
    return replace(loopwise.diagnose(layer, x), dependence=known(40), training=Training(9, 0.1))


def names(report: Report) -> list[str]:
    return [finding.rule for finding in judge(report)]


def influence(report: Report, **changes) -> Report:
    layer = report.layers[0]
    changed = replace(layer, influence=replace(layer.influence, **changes))
    return replace(report, layers=(changed,))


def activity(report: Report, cell: str | None = None, **changes) -> Report:
    layer = replace(report.layers[0], cell=cell or report.layers[0].cell)
    return replace(report, layers=(replace(layer, activity=replace(layer.activity, **changes)),))


def tensors(report: Report, update: float) -> Report:
    each = [replace(part, weight=1.0, update=update) for part in report.tensors]
    return replace(report, tensors=tuple(each))


GATES = {
    "low": {"i": 0.95, "f": 0.0, "g": 0.0, "o": 0.0},
    "high": {"i": 0.0, "f": 0.99, "g": 0.0, "o": 0.0},
    "histogram": dict.fromkeys("ifgo", (1.0,)),
}
ILL = {
    "not finite": lambda r: replace(r, not_finite=NotFinite("head", 3, "Linear")),
    "exploding": lambda r: influence(r, h=(1.0, 3.0, 9.0, 27.0)),
    "short memory for this data": lambda r: influence(r, h=tuple(0.5**k for k in range(50))),
    "vanishing": lambda r: replace(
        influence(r, h=tuple(0.5**k for k in range(50)), horizon_1_percent=7), dependence=None
    ),
    "saturated gates": lambda r: activity(r, "lstm", **GATES),
    "dead units": lambda r: activity(r, dead=(2,)),
    "constant units": lambda r: activity(r, constant=(2,)),
    "clipping too often": lambda r: replace(r, training=Training(9, 0.9, 1.0, 0.01)),
    "large updates": lambda r: tensors(r, 0.2),
    "small updates": lambda r: replace(tensors(r, 1e-9), training=Training(9, 0.1, 1.0, 0.01)),
}


def test_all_rules_are_tried_here():
    assert list(ILL) == [rule.name for rule in RULES]
    assert all(rule.reason for rule in RULES)


def test_a_healthy_model_is_called_so(healthy):
    assert names(healthy) == ["healthy"]
    assert "1 recurrent layer " in judge(healthy)[0].sentence


@pytest.mark.parametrize("name", ILL)
def test_each_illness_is_found_and_nothing_else(healthy, name):
    ill = ILL[name](healthy)
    assert names(ill) == [name]
    (finding,) = judge(ill)
    rule = next(rule for rule in RULES if rule.name == name)
    assert finding.threshold == rule.threshold
    assert (finding.evidence < rule.threshold) == rule.below
    assert str(finding).endswith(".")


@pytest.mark.parametrize("name", ILL)
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_remedies_are_settings_of_a_configuration(healthy, name, cell):
    kind = "rnn_relu" if cell == "rnn" else cell
    ill = ILL[name](replace(healthy, layers=(replace(healthy.layers[0], cell=kind),)))
    config = config_class("lm").load(None, [f"model.cell={cell}"])
    for finding in judge(ill):
        for remedy in finding.remedies:
            try:
                config.changed(remedy.split())
            except ConfigError as error:
                pytest.fail(f"{remedy}: {error}")


def test_the_clip_that_is_too_low_is_raised_and_the_rate_lowered(healthy):
    (finding,) = judge(ILL["clipping too often"](healthy))
    assert finding.remedies == ("train.clip=4", "train.lr=0.00333")


def test_longer_windows_where_they_are_shorter_than_the_data_reaches(healthy):
    report = replace(
        influence(healthy, h=tuple(0.5**k for k in range(50))),
        training=Training(9, 0.0, 1.0, 0.01, window=16),
    )
    assert "train.window=80" in judge(report)[0].remedies
