"""`loopwise.Recognizer`: fit on manifests and utterances, transcribe, stream, save."""

import numpy as np
import pytest

import loopwise
from loopwise.codec.speech.files import read_utterances
from loopwise.errors import ConfigError, DataError, RunError
from tasks.speech.sounds import RATE, SMALL, said, texts, write, write_manifest


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return write_manifest(tmp_path_factory.mktemp("utterances"), "train", 60, seed=1)


@pytest.fixture(scope="module")
def model(manifest):
    listening = {"bidirectional": False, "lookahead": 2, "epochs": 18, "members": 2}
    return loopwise.Recognizer(**{**SMALL, **listening}).fit(manifest)


def test_it_hears_what_it_has_not_heard_before(model):
    said_texts = texts(20, seed=3)
    heard = model.transcribe([said(text) for text in said_texts], RATE)
    assert sum(ours == theirs for ours, theirs in zip(heard, said_texts, strict=True)) >= 18
    assert model.transcribe(said("fa do"), RATE) == "fa do"
    (found,) = model.recognitions(said("fa do", rate=16_000), 16_000)
    assert [word.text for word in found.words] == ["fa", "do"]
    # from the beginning of a tone to its end, as far as a step of 40 ms tells
    assert found.words[0].start == pytest.approx(0.1, abs=0.1)
    assert found.words[1].end == pytest.approx(0.1 + 0.16 + 0.06 + 0.16, abs=0.1)


@pytest.mark.parametrize("size", [37, 800, 100_000])
def test_a_stream_hears_the_same_however_it_is_cut(model, size):
    stream, samples = model.stream(), said("so mi re")
    for begin in range(0, len(samples), size):
        stream.accept_waveform(samples[begin : begin + size], RATE)
    (whole,) = model.recognitions(samples, RATE)
    found = stream.finish()
    assert found.text == whole.text == "so mi re"
    assert found.score == pytest.approx(whole.score, abs=1e-3)
    assert [word.start for word in found.words] == [word.start for word in whole.words]


def test_it_is_saved_in_every_precision(model, tmp_path):
    for dtype in ("float32", "bfloat16", "int8"):
        model.save(tmp_path / "m.safetensors", dtype=dtype, limit=9.0)
        loaded = loopwise.load(tmp_path / "m.safetensors")
        assert loaded.bundle.dtype == dtype
        assert loaded.transcribe(said("do re mi"), RATE) == "do re mi"
    assert loaded.info["precision"]["metric"] == "word error rate"


def test_manifests_lists_and_utterances_are_the_same(manifest):
    given = read_utterances(manifest)
    several = [
        manifest,
        [str(manifest)],
        given,
        [{"audio": u.audio, "text": u.text, "speaker": u.speaker} for u in given],
    ]
    one = loopwise.Recognizer(**{**SMALL, "epochs": 1})
    losses = {one.fit(each).fitted.info["validation"]["loss"] for each in several}
    assert len(losses) == 1
    pairs = [(u.audio, u.text) for u in given]
    assert one.fit(pairs, valid=pairs[:5]).result.steps == 8  # 60 utterances, 8 at a time


def test_a_run_stays_where_it_is_asked_for_and_is_continued(manifest, tmp_path):
    def fit(steps, **options):
        model = loopwise.Recognizer(**SMALL, max_steps=steps)
        return model.fit(manifest, out=tmp_path / "run", **options)

    fit(2)
    with pytest.raises(RunError, match="holds a run already"):
        fit(2)
    assert fit(4, resume=True).result.steps == 4
    assert fit(2, overwrite=True).result.steps == 2
    from loopwise.tasks.registry import sample_of_run

    assert "utterances of" in sample_of_run(tmp_path / "run").name


def test_mistakes(manifest, tmp_path):
    model = loopwise.Recognizer(**SMALL)
    with pytest.raises(RunError, match=r"not trained yet: call fit\(utterances\) first"):
        model.transcribe(np.zeros(9))
    with pytest.raises(ConfigError, match="train= is no option; give utterances to fit"):
        loopwise.Recognizer(train="a")
    with pytest.raises(ConfigError, match="did you mean 'hidden_size'"):
        loopwise.Recognizer(hiden_size=3)
    with pytest.raises(DataError, match="'none' does not exist"):
        model.fit("none")
    with pytest.raises(DataError, match=r"utterances\[0\]: the audio file 'none.wav' does not"):
        model.fit([("none.wav", "do")])
    with pytest.raises(DataError, match="no utterance to use"):
        model.fit([])
    with pytest.raises(ConfigError, match="resume and overwrite exclude each other"):
        model.fit(manifest, out=tmp_path / "o", resume=True, overwrite=True)
    write(tmp_path / "a.wav", said("do"))
    with pytest.raises(DataError, match="one speaker and one text"):
        model.fit([(tmp_path / "a.wav", "do")])
