"""``loopwise transcribe`` of a model with both heads, and beside language models by their paths."""

import pytest

from cli import recognizing
from cli.calling import call, mistake, sets
from cli.test_transcribe import files, pcm, transcribed
from loopwise.codec.speech.files import read_utterances
from loopwise.runtime.load import load
from tasks.speech import sounds

METHODS = ("ctc", "transducer")
SETTINGS = recognizing.sets(
    **recognizing.LISTENING
    | {
        "model__transducer": 0.5,
        "model__predictor_size": 32,
        "model__predictor_embedding": 16,
        "model__joint_size": 64,
        "train__epochs": 12,
        "train__batch_size": 4,
    }
)


@pytest.fixture(scope="module")
def sung(tmp_path_factory):
    """A folder of recordings whose words come once each: transducers learn repeats late."""
    folder = tmp_path_factory.mktemp("sung")
    sounds.write_manifest(folder, "train", 240, seed=3, repeats=False)
    sounds.write_manifest(folder, "test", 8, seed=4, repeats=False)
    return folder


@pytest.fixture(scope="module")
def joint(sung):
    """A run with both heads, CTC and a transducer, that listens to streams."""
    out = sung / "run"
    called = call("train", "speech", "--out", out, "--data", sung / "train.jsonl", *SETTINGS)
    assert called.status == 0, called.err
    return out


@pytest.fixture(scope="module")
def melodies(sung):
    """Runs of language models, of the words that are tones and of their characters."""
    (sung / "text").write_text("".join(f"{line}\n" for line in sounds.texts(60, seed=9)))
    for unit in ("words", "chars"):
        settings = sets(data__unit=unit, train__epochs=2)
        called = call("train", "lm", "--out", sung / unit, "--data", sung / "text", *settings)
        assert called.status == 0, called.err
    return sung


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("beam", [1, 16])
def test_either_head_finds_the_words(joint, sung, method, beam):
    manifest = sung / "test.jsonl"
    said = [each.text for each in read_utterances(manifest)]
    options = ("--method", method, "--beam-size", beam)
    rows = transcribed(joint, *files(sung, *range(8)), *options).splitlines()
    assert [row.split("\t")[1] for row in rows] == said


@pytest.mark.parametrize("method", METHODS)
def test_either_head_listens(joint, method):
    given = pcm("do re mi", 1.5, "fa so", 3.0, "mi")
    options = ("--stream", "--method", method)
    assert transcribed(joint, *options, stdin=given) == "do re mi\nfa so\nmi\n"
    rows = transcribed(joint, *options, "--format", "ctm", stdin=given).splitlines()
    starts = [float(row.split(" ")[2]) for row in rows]
    assert len(rows) == 6
    assert starts == sorted(starts)


def test_it_is_evaluated_and_exported(joint, sung, tmp_path):
    manifest, bundle = sung / "test.jsonl", tmp_path / "m.safetensors"
    for options in ((), ("--stream",), ("--method", "transducer", "--stream")):
        called = call("evaluate", joint, manifest, *options)
        assert called.status == 0, called.err
        assert "WER        0.00 %" in called.out
    called = call("export", joint, bundle, "--dtype", "int8", "--limit", "1")
    assert called.status == 0, called.err
    one = files(sung, 0)
    for method in METHODS:
        assert transcribed(bundle, *one, "--method", method) == transcribed(joint, *one)


@pytest.mark.parametrize("method", METHODS)
def test_a_language_model_by_its_path(joint, melodies, method):
    one = files(melodies, 1)
    options = ("--method", method, "--format", "json")
    shown = transcribed(joint, *one, *options, "--language", melodies / "words")
    assert shown != transcribed(joint, *one, *options)
    (found,) = load(joint).recognitions(one, method=method, language=melodies / "words")
    assert f'"text": "{found.text}"' in shown
    assert found.text == transcribed(joint, *one).strip()


def test_a_language_model_that_does_not_fit_is_refused(joint, recognizer, melodies):
    one = files(melodies, 1)
    told = mistake("transcribe", joint, *one, "--language", melodies / "chars")
    assert "a model of chars, where words are sought" in told
    told = mistake("transcribe", joint, *one, "--language", recognizer)
    assert "no language model" in told
    told = mistake("transcribe", recognizer, *one, "--method", "transducer")
    assert told == "method='transducer': this model was trained without it"
