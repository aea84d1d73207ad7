"""A translator seen from inside: attention, alignment, and what a token is due to."""

import numpy as np
import pytest

from loopwise.codec.pairs import list_pairs
from loopwise.diagnose import heatmaps, inspect_page, strip
from loopwise.errors import DataError
from loopwise.runtime.load import load
from loopwise.tasks.translation import inspection
from loopwise.tasks.translation.inspection import Sentences, inspect_sentence
from loopwise.tasks.translation.training import train
from tasks.translation.texts import config, sentences

TEXT, TARGET = "eins  zwei drei", "one two three"


@pytest.fixture(scope="module", params=["whole", "waiting", "stepwise"])
def model(request, tmp_path_factory):
    settings = {
        "whole": {},
        "waiting": {"wait": 1, "bidirectional": False},
        "stepwise": {"coverage": True, "input_feeding": True},
    }[request.param]
    out = tmp_path_factory.mktemp("run")
    learned = list_pairs(sentences(60))
    train(config(max_steps=3, **settings), out / "run", learned)
    return load(out / "run")


def test_states_are_of_the_encoder(model):
    found = inspect_sentence(model, TEXT, TARGET, None)
    names = [layer.name for layer in found.layers]
    assert names[0] == "encoder.0.l0"
    assert names[1:] == ([] if model.wait else ["encoder.0.l0_reverse"])
    assert found.tokens == ("·eins", "·zwei", "·drei")
    for layer in found.layers:
        assert layer.parts["hidden"].shape == (3, 1, 12)


def test_attention_is_the_models(model):
    found = inspect_sentence(model, TEXT, TARGET, None)
    seen = found.attention
    assert seen.target == ("·one", "·two", "·three")
    assert seen.given
    np.testing.assert_allclose(seen.weights.sum(1), 1, atol=1e-5)
    if model.wait:  # the first word has seen the first alone
        np.testing.assert_allclose(seen.weights[0], [1, 0, 0], atol=1e-6)
        assert seen.weights[1, 2] < 1e-6
    else:
        alignment = model.align(TEXT, TARGET)
        np.testing.assert_allclose(seen.weights, alignment.weights, atol=1e-5)
        assert seen.alignment == str(alignment)
    pairs = [pair.split("-") for pair in seen.alignment.split()]
    words = TEXT.split()
    assert [(t, s) for t, s, _ in seen.words] == [
        (TARGET.split()[int(t)], words[int(s)]) for s, t in pairs
    ]


def test_a_token_is_explained_by_the_source(model):
    for at in range(3):
        found = inspect_sentence(model, TEXT, TARGET, at).attribution
        assert found.place == f"at token {at} of the translation"
        assert found.what == f"the log-probability of {'·' + TARGET.split()[at]!r}"
        assert found.occlusion.shape == found.integrated.shape == (3,)
        if not model.wait:
            expected = model.log_probs(TEXT, TARGET)[0][at]
            assert found.value == pytest.approx(float(expected), abs=1e-4)
        elif at == 0:  # what was not read gives nothing
            np.testing.assert_allclose(found.occlusion[1:], 0, atol=1e-6)
    last = inspect_sentence(model, TEXT, TARGET, -1).attribution
    np.testing.assert_array_equal(last.occlusion, found.occlusion)


def test_the_least_sure_token_is_explained_unless_told_otherwise(model):
    values = [inspect_sentence(model, TEXT, TARGET, at).attribution.value for at in range(3)]
    found = inspect_sentence(model, TEXT, TARGET, None).attribution
    assert found.value == pytest.approx(min(values))


def test_lines_pictures_and_page(model):
    found = inspect_sentence(model, TEXT, TARGET, 0)
    shown = strip.lines(found)
    assert "given translation: one two three" in shown
    assert f"alignment: {found.attention.alignment}" in shown
    assert any(" at token 0 of the translation: " in line for line in shown)
    drawn = heatmaps.figures(found)
    assert "attention" in drawn
    assert {"hidden.encoder.0.l0", "gate-f.encoder.0.l0"} <= drawn.keys()
    (axis,) = drawn["attention"].axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["·one", "·two", "·three"]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["·eins", "·zwei", "·drei"]
    page = inspect_page.page(found, drawn)
    assert "Where each word looks" in page
    assert "Why at token 0 of the translation" in page


def test_its_own_translation_is_looked_at_without_another(model, monkeypatch):
    if model.wait:
        stream = model.stream()
        monkeypatch.setattr(model, "stream", lambda: stream)
        monkeypatch.setattr(stream, "finish", lambda: ["two", "six"])
        monkeypatch.setattr(stream, "push", lambda text: ["one"] if text == TEXT else [])
        expected = "one two six"
    else:
        expected = "six"
        monkeypatch.setattr(model, "translate", lambda text: expected if text == TEXT else "")
    seen = inspect_sentence(model, TEXT, None, None).attention
    assert (seen.text, seen.given) == (expected, False)


def test_units_are_measured_on_the_states_of_sentences(model, monkeypatch):
    limit = 50
    monkeypatch.setattr(inspection, "MEASURED", limit)
    monkeypatch.setattr(inspection, "FEWEST", 40)
    texts = ["", *(source for source, _ in sentences(30, seed=3))]
    found = inspect_sentence(model, TEXT, TARGET, None, Sentences("these", texts))
    lengths = np.cumsum([len(text.split()) for text in texts])
    taken = int((lengths < limit).sum()) + 1
    told = found.telling
    assert (told.source, told.steps) == ("these", lengths[:taken][-1])
    score = next(score for score in told.scores if score.feature == "position in line")
    states, places = [], []
    for text in filter(str.split, texts[:taken]):  # each read alone
        alone = inspect_sentence(model, text, TARGET, None)
        states.append(alone.values(score.unit))
        places.append(alone.features["position in line"])
    expected = np.corrcoef(np.concatenate(states), np.concatenate(places))[0, 1]
    assert score.r == pytest.approx(expected, abs=1e-4)
    assert found.notes == ()


def test_few_sentences_tell_nothing(model):
    for measured in (None, Sentences("none", []), Sentences("few", [TEXT] * 166)):
        found = inspect_sentence(model, TEXT, TARGET, None, measured)
        assert found.telling is None
        assert found.notes == ("telling units need 500 tokens: give --data FILE, more sentences",)


def test_mistakes(model):
    with pytest.raises(DataError, match="the text has no word"):
        inspect_sentence(model, "  ", None, None)
    with pytest.raises(DataError, match="the translation has no token to look at"):
        inspect_sentence(model, TEXT, " ", None)
    with pytest.raises(DataError, match=r"at 3: the translation has 3 tokens, 0 to 2 \(or -3"):
        inspect_sentence(model, TEXT, TARGET, 3)
