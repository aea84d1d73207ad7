"""`loopwise.LanguageModel`, as a person in Python uses it."""

import math

import pytest

import loopwise
from loopwise.errors import ConfigError, DataError, RunError, TrainingError
from tasks.lm.texts import config, lines

SETTINGS = {
    "hidden_size": 16,
    "embedding_size": 6,
    "batch_size": 4,
    "epochs": 2,
    "lr": 0.01,
    "threads": 1,
    "device": "cpu",
}


@pytest.fixture(scope="module")
def model():
    return loopwise.LanguageModel(unit="chars", **SETTINGS).fit(lines(60), lines(5, seed=1))


def test_a_model_is_fitted_quietly(capsys):
    model = loopwise.LanguageModel(max_steps=1, **SETTINGS)
    assert model.fit([lines(20), lines(20)]) is model
    assert model.result.steps == 1
    assert capsys.readouterr().out == ""


def test_progress_is_shown_on_demand(capsys):
    loopwise.LanguageModel(max_steps=1, **SETTINGS).fit(lines(40), verbose=True)
    assert "vocabulary: 256 bytes" in capsys.readouterr().out


def test_scores_and_perplexity_are_of_the_same_probabilities(model):
    texts = ["the cat sat\n", "a mat"]
    nats = -sum(model.score(texts))
    assert model.perplexity(texts) == pytest.approx(math.exp(nats / sum(map(len, texts))))
    assert model.score("a mat") == model.score(["a mat"])
    assert model.perplexity("a mat") == model.perplexity(["a mat"])
    assert model.perplexity("the cat") < model.perplexity("tac eht")


def test_generation_is_repeatable_and_obeys_its_options(model):
    text = model.generate("the ", 20, seed=1, temperature=0.5)
    assert text == model.generate("the ", 20, seed=1, temperature=0.5)
    assert len(text) == 20
    assert " " not in model.generate("the", 20, seed=1, stop=" ")


def test_saved_and_loaded_it_is_the_same(model, tmp_path):
    model.save(tmp_path / "m.safetensors")
    assert loopwise.load(tmp_path / "m.safetensors").score(["a mat"]) == model.score(["a mat"])


def test_the_run_stays_where_it_was_asked_for(tmp_path):
    loopwise.LanguageModel(max_steps=1, **SETTINGS).fit(lines(40), out=tmp_path / "run")
    assert (tmp_path / "run/config.toml").is_file()
    loopwise.load(tmp_path / "run")
    with pytest.raises(RunError, match="holds a run already"):
        loopwise.LanguageModel(max_steps=1, **SETTINGS).fit(lines(40), out=tmp_path / "run")


def test_a_text_too_short_leaves_no_run(tmp_path):
    with pytest.raises(DataError, match="tokens"):
        loopwise.LanguageModel(**SETTINGS).fit("a few words", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_model_that_came_to_nothing_says_so():
    settings = {**SETTINGS, "lr": 1e38, "clip": 0.0, "optimizer": "sgd"}
    with pytest.raises(TrainingError, match="finished at step 3 before a validation gave"):
        loopwise.LanguageModel(max_steps=3, **settings).fit(lines(40))
    with pytest.raises(TrainingError, match=r"not finite, .*lower train\.lr"):
        loopwise.LanguageModel(**settings).fit(lines(40))


def test_an_unfitted_model_says_so():
    with pytest.raises(RunError, match=r"not trained yet: call fit\(texts\) first"):
        loopwise.LanguageModel().generate()


@pytest.mark.parametrize("texts", ["", [], ["", ""]])
def test_no_text_is_told(texts):
    with pytest.raises(DataError, match="texts: no text in it"):
        loopwise.LanguageModel().fit(texts)
    with pytest.raises(DataError, match="valid: no text in it"):
        loopwise.LanguageModel().fit("text", texts)


def test_settings_are_checked_and_a_configuration_stands_alone():
    with pytest.raises(ConfigError, match="did you mean 'hidden_size'"):
        loopwise.LanguageModel(hiden_size=3)
    with pytest.raises(TypeError, match="not both"):
        loopwise.LanguageModel(config(), hidden_size=3)
    assert loopwise.LanguageModel(config(hidden_size=9)).config.model.hidden_size == 9
