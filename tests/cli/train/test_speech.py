"""``loopwise train speech``: from recordings to a run, continued, replaced, refused."""

import json
import tomllib

import numpy as np
import pytest

from cli.calling import call, mistake
from cli.recognizing import sets
from loopwise.runs import Run
from tasks.speech.sounds import said, write

ONE_STEP = sets(train__max_steps=1)
LEXICON = "do D OW\nre R EY\nmi M IY\nfa F AA\nso S OW\n"


def train(out, *arguments, **options):
    return call("train", "speech", "--out", out, *ONE_STEP, *arguments, **options)


def stored(out):
    return tomllib.loads((out / "config.toml").read_text())["data"]


def test_a_run_says_what_it_does_and_what_to_do_next(utterances, tmp_path):
    out = tmp_path / "run"
    called = train(out, "--data", utterances / "train.jsonl")
    assert called.status == 0, called.err
    assert called.out.startswith("45 utterances, ")
    assert "15 for validation; vocabulary: 5 words" in called.out
    assert called.out.endswith(f"try: loopwise transcribe {out} FILE\n")
    files = {path.name for path in out.iterdir()}
    assert files == {"config.toml", "metrics.jsonl", "checkpoints", "bundle.safetensors", ".lock"}


def test_manifests_of_every_kind_and_utterances_to_validate_on(utterances, tmp_path, monkeypatch):
    lines = (utterances / "test.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    beside = tmp_path / "beside"
    beside.mkdir()
    for number, record in enumerate(records):
        (beside / f"{number:03}.wav").symlink_to(utterances / record["audio"])
        (beside / f"{number:03}.txt").write_text(record["text"])
    kaldi = tmp_path / "kaldi"
    kaldi.mkdir()
    rows = [
        (f"u{i:03}", utterances / each["audio"], each["text"]) for i, each in enumerate(records)
    ]
    (kaldi / "wav.scp").write_text("".join(f"{name} {audio}\n" for name, audio, _ in rows))
    (kaldi / "text").write_text("".join(f"{name} {text}\n" for name, _, text in rows))
    tsv = tmp_path / "t.tsv"
    tsv.write_text("".join(f"{audio}\t{text}\n" for _, audio, text in rows))
    monkeypatch.chdir(utterances)
    losses = set()
    for number, data in enumerate(("test.jsonl", tsv, beside, kaldi)):
        out = tmp_path / str(number)
        called = train(out, "--data", data, "--valid", "train.jsonl", "test.jsonl")
        assert called.status == 0, called.err
        assert "; vocabulary: 5 words" in called.out
        (record,) = (r for r in Run(out).records() if r["kind"] == "validation")
        losses.add(record["loss"])
    assert len(losses) == 1
    assert stored(out)["valid"] == [f"{utterances}/train.jsonl", f"{utterances}/test.jsonl"]


def test_phones_with_a_lexicon(utterances, tmp_path):
    (tmp_path / "notes.dic").write_text(LEXICON)
    given = ("--data", utterances / "train.jsonl", "--lexicon", tmp_path / "notes.dic")
    called = train(tmp_path / "run", *given, "--set", "data.unit=phones")
    assert called.status == 0, called.err
    assert "vocabulary: 9 phones" in called.out
    assert stored(tmp_path / "run")["lexicon"] == f"{tmp_path}/notes.dic"
    (tmp_path / "notes.dic").write_text(LEXICON.replace("mi", "mo"))
    settings = sets(data__unit="phones", train__max_steps=1)
    told = mistake("train", "speech", "--out", tmp_path / "no", *given, *settings)
    assert f"{utterances}/train.jsonl, line " in told
    assert "mi" in told


def test_what_cannot_be_used_is_an_error_or_left_out_and_counted(utterances, tmp_path):
    write(tmp_path / "quiet.wav", np.zeros(8000))
    write(tmp_path / "short.wav", said("do")[:700])
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    bad = [
        ("quiet.wav", "do", "quiet.wav: holds no sound"),
        ("broken.wav", "do", "broken.wav: no audio that can be read"),
        ("none.wav", "do", "does not exist"),
        ("short.wav", "do re do re do", "too short for 'do re do re do'"),
        ("quiet.wav", " ", "the text is empty"),
    ]
    good = (utterances / "train.jsonl").read_text().replace('"train/', f'"{utterances}/train/')
    lines = [json.dumps({"audio": f"{tmp_path}/{file}", "text": text}) for file, text, _ in bad]
    for line, (_, _, message) in zip(lines, bad, strict=True):
        (tmp_path / "m.jsonl").write_text(f"{good}{line}\n")
        given = ("--out", tmp_path / "no", "--data", tmp_path / "m.jsonl", *ONE_STEP)
        valid = ("--valid", utterances / "test.jsonl")
        told = mistake("train", "speech", *given, *valid)
        assert told.startswith(f"{tmp_path}/m.jsonl, line 61: ")
        assert message in told
        assert "\n" not in told
    (tmp_path / "m.jsonl").write_text(good + "\n".join(lines))
    called = train(tmp_path / "run", *given[2:4], *valid, "--set", "data.invalid=skip")
    assert called.status == 0, called.err
    assert (
        "training: 5 utterances dropped: 1 without their audio, 1 without text, 2 with audio that "
        "cannot be used, 1 too short for their text\n"
    ) in called.out


def test_a_run_is_continued_or_replaced_on_demand_only(utterances, tmp_path):
    out, data = tmp_path / "run", ("--data", utterances / "train.jsonl")
    assert train(out, *data).status == 0
    again = ("train", "speech", "--out", out)
    assert "holds a run already" in mistake(*again, *data, *ONE_STEP)
    called = call(*again, "--resume", "--set", "train.max_steps=3")
    assert "continuing from step-00000001" in called.out
    other = mistake(*again, "--resume", "--data", utterances / "test.jsonl")
    assert "is of another model" in other or "continue with the same utterances" in other
    assert train(out, *data, "--overwrite").status == 0


def test_standard_input_is_asked_for_again(utterances, tmp_path, monkeypatch):
    monkeypatch.chdir(utterances)
    given = (utterances / "train.jsonl").read_bytes()
    assert train(tmp_path / "run", "--data", "-", stdin=given).status == 0
    again = ("train", "speech", "--out", tmp_path / "run", "--resume")
    assert "| loopwise train speech --resume --data -" in mistake(*again)
    called = call(*again, "--data", "-", "--set", "train.max_steps=2", stdin=given)
    assert called.status == 0, called.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no utterances to train on: give --data, a manifest or a folder"),
        (["--data", "NONE"], "NONE' does not exist"),
        (["--data", "TRAIN", "--set", "data.unit=phones"], "need pronunciations; give lexicon"),
        (["--data", "TRAIN", "--lexicon", "NONE", "--set", "data.unit=phones"], "NONE"),
        (
            ["--data", "TRAIN", "--set", "model.lookahead=2"],
            "layers that read both ways see it all",
        ),
        (["--data", "TRAIN", "--set", "model.strid=2"], "did you mean 'model.stride'"),
        (["--data", "TRAIN", "--set", "features.kind=ready"], "features are read from files that"),
        (["--data", "TRAIN", "--set", "features.bins=1"], "bins=1: must be whole, from 2"),
        (["--data", "TRAIN", "--resume"], "OUT: not a run: no such directory"),
    ],
)
def test_mistakes(arguments, message, utterances, tmp_path):
    names = {"TRAIN": utterances / "train.jsonl", "NONE": tmp_path / "none"}
    names["OUT"] = tmp_path / "run"
    given = [str(names.get(argument, argument)) for argument in arguments]
    for name, path in names.items():
        message = message.replace(name, str(path))
    settings = sets(train__max_steps=1, features__bins=40)
    told = mistake("train", "speech", "--out", tmp_path / "run", *settings, *given)
    assert message in told
    assert "\n" not in told
    assert not (tmp_path / "run").exists()
