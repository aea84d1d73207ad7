"""Inspection: units that copy a feature are found, attributions are what they are defined as."""

import numpy as np
import pytest
import torch

from loopwise.diagnose import heatmaps, inspect_page, strip
from loopwise.diagnose.attribution import attribute
from loopwise.diagnose.features import text_features
from loopwise.diagnose.states import Attribution, Inspection, LayerStates, Unit
from loopwise.diagnose.telling import telling
from loopwise.diagnose.trace import trace
from loopwise.errors import ConfigError
from loopwise.nn.layers import GRU, LSTM

TEXT = 'He said "so (or not)" and\n  left 12 "other" things (to do).\n'


def layer(values, name="l0"):
    return LayerStates(name, "gru", {"hidden": values.astype(np.float32)})


def planted(feature, units=16, at=11, sign=1.0, seed=0):
    """Noisy units, one of which copies a feature."""
    rng = np.random.default_rng(seed)
    states = rng.normal(size=(len(feature), 1, units))
    states[:, 0, at] = sign * (feature + 0.1 * rng.normal(size=len(feature)))
    return layer(states)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_unit_that_copies_a_feature_is_found_first(sign):
    features = text_features(list(TEXT * 20))
    found = telling([planted(features["inside quotes"], sign=sign)], features, "a text")
    first = found.scores[0]
    assert (first.feature, first.unit) == ("inside quotes", Unit("l0", "hidden", 11))
    assert first.tells
    assert sign * first.r > 0.9
    assert found.typical["l0", "hidden"].best.argmax() == 11


def test_the_score_is_the_correlation():
    features = text_features(list(TEXT * 20))
    known = planted(features["position in line"])
    found = {s.feature: s for s in telling([known], features, "").scores}
    score = found["position in line"]
    values = known.parts["hidden"][:, 0, score.unit.index]
    expected = np.corrcoef(values, features["position in line"])[0, 1]
    assert score.r == pytest.approx(expected, abs=1e-5)


def test_noise_is_not_told():
    rng = np.random.default_rng(1)
    features = {f"noise {k}": (rng.random(3000) < 0.3).astype(float) for k in range(40)}
    slow = np.cumsum(rng.normal(size=(3000, 1, 8)), 0)
    found = telling([layer(slow)], features, "noise")
    assert sum(score.tells for score in found.scores) <= 8  # 40/21 are expected


def test_what_never_changes_is_no_feature():
    found = telling([layer(np.ones((50, 1, 2)))], {"a": np.ones(50), "b": np.eye(50)[0]}, "")
    assert found.scores == ()


def test_features_of_a_text_by_hand():
    text = 'a "b(c)\nD 1'
    found = {k: v.astype(int).tolist() for k, v in text_features(list(text)).items()}
    assert found["inside quotes"] == [0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1]
    assert found["inside brackets"] == [0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
    assert found["position in line"] == [1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3]
    assert found["capital"] == [0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]
    assert found["digit"][-1] == 1
    assert found["line end next"] == [0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]
    assert text_features(["  x", "", "y\n"])["indentation"].tolist() == [2, 2, 0]
    assert text_features(list("it's"))["inside quotes"].sum() == 0
    assert not text_features(['"a\n', "\n", "b"])["inside quotes"][1:].any()


def test_attribution_of_a_linear_model_is_its_closed_form():
    torch.manual_seed(0)
    weight, x, base = torch.randn(7, 3).double(), torch.randn(7, 3).double(), torch.randn(3)
    found = attribute(
        lambda z: torch.einsum("tbe,te->b", z, weight) + 5.0, x, base.double(), steps=3
    )
    expected = ((x - base.double()) * weight).sum(-1).numpy()
    np.testing.assert_allclose(found.integrated, expected, rtol=1e-12)
    np.testing.assert_allclose(found.occlusion, expected, rtol=1e-12)


def test_integrated_gradients_are_complete_and_occlusion_is_its_definition():
    torch.manual_seed(0)
    gru = GRU(3, 5).double()
    x, base = torch.randn(6, 3).double(), torch.randn(3).double()

    def score(z):
        return gru(z)[0][-1].sum(-1).exp()

    found = attribute(score, x, base, steps=200)
    ends = score(torch.stack([x, base.expand_as(x)], 1)).detach()
    assert found.integrated.sum() == pytest.approx(float(ends[0] - ends[1]), rel=1e-4)
    other = x.clone()
    other[2] = base
    alone = float(score(other.unsqueeze(1)).detach()[0])
    assert found.occlusion[2] == pytest.approx(float(ends[0]) - alone, rel=1e-9)
    assert all(parameter.grad is None for parameter in gru.parameters())


def test_a_trace_is_what_the_layer_says_itself():
    torch.manual_seed(0)
    lstm, x = LSTM(3, 4, num_layers=2), torch.randn(6, 1, 3)
    _, _, history = lstm(x, return_all="gates")
    found = trace(lstm, lambda: lstm(x))
    assert [each.name for each in found] == ["l0", "l1"]
    for k, each in enumerate(found):
        for number, part in enumerate(("hidden", "cell")):
            expected = history.states[number][k].detach().numpy()
            np.testing.assert_allclose(each.parts[part], expected, atol=1e-6)
        gates = np.concatenate([each.parts[f"gate-{g}"] for g in "ifgo"], -1)
        np.testing.assert_allclose(gates, history.gates[k].detach().numpy(), atol=1e-6)


def inspection(tokens, kind="text"):
    count = len(tokens)
    features = text_features(list(tokens)) if kind == "text" else {"a": np.arange(count) * 1.0}
    rng = np.random.default_rng(0)
    values = {"hidden": rng.normal(size=(count, 1, 6)), "gate-r": rng.random((count, 1, 6))}
    states = LayerStates("l0", "gru", values)
    told = telling([layer(values["hidden"])], features, "these <b>")
    shares = rng.normal(size=(2, count))
    due = Attribution(count - 1, 0, "log-probability of '<i>'", -0.5, *shares, (("<i>", 0.6),))
    return Inspection(kind, tuple(tokens), (states,), features, told, due, ("<script>x",))


def test_tokens_are_only_tokens_on_the_page():
    found = inspection(list("a<b>&\x00$x$ c") * 5)
    page = inspect_page.page(found, heatmaps.figures(found), "<script>t")
    assert "<script>x" not in page
    assert "<script>t" not in page
    assert "<b>" not in page
    assert "<i>" not in page
    assert "\x00" not in page
    assert "http://" not in page


@pytest.mark.parametrize("kind", ["text", "symbols", "numbers"])
def test_every_part_of_every_layer_has_a_picture(kind):
    found = inspection(["1", "2", "⏎", "<unk>"] * 60, kind)
    drawn = heatmaps.figures(found)
    assert {"attribution", "hidden.l0", "gate-r.l0"} <= set(drawn)
    assert set(heatmaps.figures(found, "l0", "gate-r", 2)) <= set(drawn) - {"hidden.l0"}


def test_the_strip_can_be_said_in_ascii():
    rows = strip.lines(inspection(list("a·b⏎") * 4), "ascii")
    assert all(row.isascii() for row in rows)
    assert any("[" in row for row in rows)
    assert any("\x1b[" in row for row in strip.lines(inspection(list("ab")), "utf-8", colour=True))


def test_an_unknown_layer_names_the_nearest():
    with pytest.raises(ConfigError, match="there are l0; did you mean 'l0'"):
        inspection(list("ab"))["l1"]
