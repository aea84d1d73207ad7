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
    assert model.generate("the ", 20, seed=1) == model.fitted.generate("the ", 20, seed=1)


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_saved_in_a_lower_precision_it_is_measured_on_the_validation_text(model, dtype, tmp_path):
    path = tmp_path / "m.safetensors"
    model.save(path, dtype=dtype, limit=math.inf)
    loaded = loopwise.load(path)
    found = loaded.info["precision"]
    valid = lines(5, seed=1)
    assert found["float32"] == pytest.approx(model.perplexity(valid))
    assert found["lowered"] == pytest.approx(loaded.perplexity(valid))
    assert found["outputs"] == len(valid)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"limit=-1: must be at least 0"):
        model.save(path, dtype=dtype, limit=-1)
    assert path.read_bytes() == before


def test_saved_and_loaded_it_is_the_same(model, tmp_path):
    model.save(tmp_path / "m.safetensors")
    assert loopwise.load(tmp_path / "m.safetensors").score(["a mat"]) == model.score(["a mat"])


def test_the_run_stays_where_it_was_asked_for(tmp_path):
    loopwise.LanguageModel(max_steps=1, **SETTINGS).fit(lines(40), out=tmp_path / "run")
    assert (tmp_path / "run/config.toml").is_file()
    loopwise.load(tmp_path / "run")
    with pytest.raises(RunError, match="holds a run already"):
        loopwise.LanguageModel(max_steps=1, **SETTINGS).fit(lines(40), out=tmp_path / "run")


def test_a_run_is_continued_or_replaced_on_demand(tmp_path):
    def fit(max_steps, **how):
        model = loopwise.LanguageModel(max_steps=max_steps, schedule="constant", **SETTINGS)
        return model.fit(lines(40), **how)

    out = tmp_path / "run"
    fit(1, out=out)
    continued = fit(3, out=out, resume=True)
    assert continued.result.steps == 3
    assert continued.score("a mat") == fit(3).score("a mat")
    assert fit(2, out=out, overwrite=True).result.steps == 2


def test_continuing_and_replacing_need_a_run(tmp_path):
    model = loopwise.LanguageModel(**SETTINGS)
    with pytest.raises(ConfigError, match="resume and overwrite exclude each other"):
        model.fit(lines(40), out=tmp_path, resume=True, overwrite=True)
    for name in ("resume", "overwrite"):
        with pytest.raises(ConfigError, match=f"{name}=True: needs out="):
            model.fit(lines(40), **{name: True})
    with pytest.raises(RunError, match="not a run: no such directory"):
        model.fit(lines(40), out=tmp_path / "none", resume=True)


def test_bytes_are_texts_too():
    settings = {**SETTINGS, "max_steps": 1}
    model = loopwise.LanguageModel(**settings).fit([b"\xff\xfe" * 400])
    assert model.score(b"\xff") == model.score([b"\xff"])
    with pytest.raises(DataError, match=r"texts\[0\]: byte 0xff at offset 0 .* is not UTF-8"):
        loopwise.LanguageModel(unit="chars", **settings).fit(b"\xff" * 400)


def test_what_is_no_text_is_refused_at_the_door(model):
    for texts in (3, None):
        with pytest.raises(DataError, match=r"^texts: must be a string, bytes or a sequence"):
            loopwise.LanguageModel().fit(texts)
        with pytest.raises(DataError, match=r"^texts: must be a string, bytes or a sequence"):
            model.score(texts)
    with pytest.raises(DataError, match=r"^valid\[1\]: must be a string or bytes, not int"):
        loopwise.LanguageModel().fit("text", ["a", 3])
    with pytest.raises(DataError, match=r"^prompt=3: must be a string"):
        model.generate(3)


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
