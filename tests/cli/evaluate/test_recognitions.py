"""``loopwise evaluate`` of a recognizer: what is printed, written and refused."""

import json

import pytest

from cli.calling import call, mistake
from loopwise.codec.speech.files import read_utterances
from loopwise.codec.speech.metrics import speech_score
from loopwise.runtime.load import load


@pytest.fixture
def flawed(utterances, tmp_path):
    """A manifest with words that are not said, and one recording that cannot be read."""
    records = [json.loads(line) for line in (utterances / "test.jsonl").read_text().splitlines()]
    for record in records:
        record["audio"] = str(utterances / record["audio"])
        record["text"] = f"mi {record['text']}"
    (tmp_path / "b.wav").write_bytes(b"nothing")
    records.append({"audio": "b.wav", "text": "do"})
    (tmp_path / "m.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in records))
    return tmp_path / "m.jsonl"


def figures(*arguments):
    called = call("evaluate", *arguments, "--json")
    assert called.status == 0, called.err
    return json.loads(called.out)


def test_figures_are_those_of_the_library(recognizer, flawed, tmp_path):
    model, kept = load(recognizer), read_utterances(flawed).items[:-1]
    texts = model.transcribe([each.audio for each in kept], beam_size=4)
    expected = speech_score(texts, [each.text for each in kept])
    assert expected.wer > 0
    out = tmp_path / "o.tsv"
    given = (recognizer, flawed, "--invalid", "skip", "--beam-size", 4)
    found = figures(*given, "--save-transcripts", out)
    for name in ("wer", "cer", "sentence_error_rate", "insertions", "deletions", "substitutions"):
        assert found[name] == getattr(expected, name), name
    assert found["confusions"][0]["said"] == expected.confusions[0].said
    assert (found["utterances"], found["dropped"]["audio"]) == (8, 1)
    assert found["real_time_factor"] == pytest.approx(found["seconds"] / found["audio_seconds"])
    assert "latency" not in found
    names = [each.id for each in kept]
    rows = [f"{name}\t{text}" for name, text in zip(names, texts, strict=True)]
    assert out.read_text().splitlines() == rows
    assert figures(*given, "--batch", 1)["wer"] == expected.wer


def test_lines_for_people(recognizer, flawed):
    called = call("evaluate", recognizer, flawed, "--invalid", "skip")
    assert called.status == 0, called.err
    lines = called.out.splitlines()
    assert lines[0].startswith(f"{flawed}: 8 utterances, ")
    assert lines[0].endswith("; 1 utterance dropped: 1 with audio that cannot be used")
    names = ["WER", "CER", "sentences", "confused", "speed"]
    assert [line.split()[0] for line in lines[1:]] == names
    assert "mi > - " in lines[4]


def test_precisions_side_by_side(listener, utterances, tmp_path):
    manifest = utterances / "test.jsonl"
    for options in ([], ["--stream"]):
        found = figures(listener, manifest, "--precisions", *options)
        assert list(found["precisions"]) == ["float32", "bfloat16", "int8"]
        assert found["precisions"]["float32"] == {"wer": found["wer"], "cer": found["cer"]}
    for dtype in ("bfloat16", "int8"):
        path = tmp_path / f"{dtype}.safetensors"
        call("export", listener, path, "--dtype", dtype, "--limit", "inf")
        alone = figures(path, manifest)
        assert found["precisions"][dtype] == {"wer": alone["wer"], "cer": alone["cer"]}
    shown = call("evaluate", listener, manifest, "--precisions").out.splitlines()[-3:]
    assert [line.split()[:2] for line in shown] == [
        [dtype, "WER"] for dtype in ("float32", "bfloat16", "int8")
    ]
    assert "only one in float32" in mistake("evaluate", path, manifest, "--precisions")


def test_a_stream_hears_what_the_whole_hears_and_says_how_far_it_lags(listener, utterances):
    manifest = utterances / "test.jsonl"
    whole, found = figures(listener, manifest), figures(listener, manifest, "--stream")
    for name in ("wer", "cer", "substitutions", "words", "audio_seconds"):
        assert found[name] == whole[name], name
    lag = found["latency"]
    assert -0.2 < lag["mean"] <= lag["ninety"] < 1
    # a step of 4 frames and 2 ahead of it, each 10 ms, and what a window is longer than a hop
    assert lag["algorithmic"] == pytest.approx(4 * (1 + 2) * 0.01 + 0.015)
    shown = call("evaluate", listener, manifest, "--stream").out.splitlines()
    assert [line.split()[0] for line in shown[-3:]] == ["speed", "latency", "final"]


@pytest.mark.parametrize("options", [[], ["--stream"]])
def test_ready_features(ready, options):
    found = figures(ready / "run", ready / "test.jsonl", *options)
    model, kept = load(ready / "run"), read_utterances(ready / "test.jsonl")
    texts = model.transcribe([each.audio for each in kept])
    assert found["wer"] == speech_score(texts, kept.texts).wer
    assert found["audio_seconds"] == pytest.approx(sum(
        len(model.frames(each.audio)) * 0.01 for each in kept
    ))  # fmt: skip


def test_mistakes(recognizer, trained, translator, flawed, tmp_path):
    def told(*arguments):
        found = mistake("evaluate", *arguments)
        assert "\n" not in found
        return found

    assert told(recognizer).startswith(f"{recognizer}: a recognizer of speech: give utterances")
    assert told(recognizer, flawed).startswith(f"{flawed}, line 9: ")
    assert "no audio that can be read" in told(recognizer, flawed)
    assert told(recognizer, flawed, "--cache", 3).endswith("speech: leave out --cache")
    assert told(recognizer, flawed, "--beam", 3).endswith("speech: leave out --beam")
    assert told(recognizer, flawed, "--wait", 3).endswith("speech: leave out --wait")
    assert told(trained, flawed, "--stream").endswith("a language model: leave out --stream")
    assert told(translator, flawed, "--beam-size", 3).endswith("leave out --beam-size")
    assert "reads utterances both ways" in told(recognizer, flawed, "--stream")
    assert "leave out --batch" in told(recognizer, flawed, "--stream", "--batch", 3)
    assert told(recognizer, flawed, "--save-transcripts", tmp_path).startswith("--save-transcripts")
    assert "'none' does not exist" in told(recognizer, "none")


@pytest.mark.parametrize("command", ["generate", "score", "inspect", "forecast", "translate"])
def test_commands_that_do_not_fit_say_so(recognizer, utterances, command):
    files = [utterances / "test.jsonl"] if command in ("score", "forecast") else []
    told = mistake(command, recognizer, *files)
    assert told.startswith(f"{recognizer}: a recognizer of speech")
    assert "\n" not in told


def test_a_recognizer_is_diagnosed_on_its_own_recordings(recognizer, utterances, tmp_path):
    called = call("diagnose", recognizer, "--quick", "--out", tmp_path)
    assert called.status == 0, called.err
    assert "s.0.l0_reverse" in called.out
    told = mistake("diagnose", recognizer, utterances / "test.jsonl")
    assert told == "a recognizer is looked at on the run's own recordings: give no files"
