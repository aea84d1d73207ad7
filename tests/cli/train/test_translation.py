"""``loopwise train translation``: from files of pairs to a run, continued, replaced, refused."""

import gzip
import json
import tomllib

import pytest

from cli.calling import call, mistake
from cli.translating import sets, tsv
from loopwise.runs import Run

ONE_STEP = sets(train__max_steps=1)


def train(out, *arguments, **options):
    return call("train", "translation", "--out", out, *arguments, *ONE_STEP, **options)


def stored(out):
    return tomllib.loads((out / "config.toml").read_text())["data"]


def test_a_run_says_what_it_does_and_what_to_do_next(translator, pairs, tmp_path):
    called = train(tmp_path / "run", "--data", pairs / "p.tsv")
    assert called.status == 0, called.err
    assert "for validation; vocabulary: 16 words, the first 9 in translations" in called.out
    assert "model: 1 + 1 x lstm, " in called.out
    assert "dropped" not in called.out
    assert called.out.endswith(f"try: loopwise translate {tmp_path}/run\n")
    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert files == {"config.toml", "metrics.jsonl", "checkpoints", "bundle.safetensors", ".lock"}


def test_pairs_of_every_kind(pairs, tmp_path):
    lines = [line.split("\t") for line in tsv().splitlines()]
    rows = [json.dumps({"source": source, "target": target}) for source, target in lines]
    (tmp_path / "p.jsonl.gz").write_bytes(gzip.compress("\n".join(rows).encode()))
    kinds = (
        ["--data", pairs / "p.tsv"],
        ["--data", tmp_path / "p.jsonl.gz"],
        ["--source", pairs / "p.de", "--target", pairs / "p.en"],
        ["--data", "-"],
    )
    losses = set()
    for number, given in enumerate(kinds):
        called = train(tmp_path / str(number), *given, stdin=tsv().encode())
        assert called.status == 0, called.err
        (record,) = (r for r in Run(tmp_path / str(number)).records() if r["kind"] == "validation")
        losses.add(record["loss"])
    assert len(losses) == 1


def test_several_files_and_pairs_to_validate_on(pairs, tmp_path, monkeypatch):
    monkeypatch.chdir(pairs)
    files = ("--data", "p.tsv", "p.tsv", "--valid-source", "p.de", "--valid-target", "p.en")
    called = train(tmp_path / "run", *files)
    assert called.status == 0, called.err
    assert called.out.startswith("600 pairs, 300 for validation")
    found = stored(tmp_path / "run")
    assert found["train"] == [f"{pairs}/p.tsv"] * 2
    assert (found["valid_source"], found["valid_target"]) == ([f"{pairs}/p.de"], [f"{pairs}/p.en"])


def test_what_was_dropped_is_told(pairs, tmp_path):
    (tmp_path / "p.tsv").write_text(tsv() + "no tab\n\tonly a target\n" + "a " * 99 + "\tb\n")
    given = ("--data", tmp_path / "p.tsv", "--valid", pairs / "p.tsv")
    some = ("--set", "data.invalid=skip", "--set", "data.max_words=50")
    called = train(tmp_path / "run", *given, *some)
    assert called.status == 0, called.err
    said = "training: 3 pairs dropped: 1 malformed, 1 with an empty side, 1 too long\n"
    assert said in called.out
    assert "validation:" not in called.out
    held = train(tmp_path / "held", "--data", tmp_path / "p.tsv", *some)
    assert said in held.out


def test_a_run_is_continued_or_replaced_on_demand_only(pairs, tmp_path):
    out, data = tmp_path / "run", ("--data", pairs / "p.tsv")
    assert train(out, *data).status == 0
    again = ("train", "translation", "--out", out)
    assert "holds a run already" in mistake(*again, *data, *ONE_STEP)
    called = call(*again, "--resume", "--set", "train.max_steps=3")
    assert "continuing from step-00000001" in called.out
    swapped = (pairs / "p.tsv").read_text().replace("eins", "ein")
    (tmp_path / "other.tsv").write_text(swapped)
    said = mistake(*again, "--resume", "--data", tmp_path / "other.tsv")
    assert "continue with the same pairs" in said or "is of another model" in said
    assert "nothing left to do" in call(*again, "--from-checkpoint", "3").out
    assert train(out, *data, "--overwrite").status == 0


def test_files_on_the_command_line_take_the_place_of_others(pairs, tmp_path):
    out = tmp_path / "run"
    assert train(out, "--source", pairs / "p.de", "--target", pairs / "p.en").status == 0
    again = ("train", "translation", "--out", out, "--resume", "--set", "train.max_steps=2")
    called = call(*again, "--data", pairs / "p.tsv")
    assert called.status == 0, called.err
    assert (stored(out)["train"], stored(out)["source"]) == ([f"{pairs}/p.tsv"], [])


def test_standard_input_is_asked_for_again(tmp_path):
    given = tsv().encode()
    assert train(tmp_path / "run", "--data", "-", stdin=given).status == 0
    again = ("train", "translation", "--out", tmp_path / "run", "--resume")
    assert "| loopwise train translation --resume --data -" in mistake(*again)
    called = call(*again, "--data", "-", "--set", "train.max_steps=2", stdin=given)
    assert called.status == 0, called.err


def test_it_is_watched_from_inside(pairs, tmp_path):
    called = train(tmp_path / "run", "--data", pairs / "p.tsv", "--watch", 1)
    assert called.status == 0, called.err
    assert any(record["kind"] == "watch" for record in Run(tmp_path / "run").records())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no pairs to train on: give --data FILE"),
        (["--data", "NONE"], "NONE' does not exist"),
        (["--source", "DE"], "source and target: 1 and 0 files; there must be as many"),
        (["--data", "TSV", "--source", "DE", "--target", "EN"], "give one of them"),
        (["--source", "DE", "--target", "SHORT"], "DE has 300 lines, SHORT has 2; line by line"),
        (["--data", "SHORT"], "SHORT, line 1: columns separated by tabs: 1, wanted: at least 2"),
        (["--data", "EMPTY"], "EMPTY, line 2: the target is empty; mend it, or leave out such"),
        (["--data", "BYTES"], "BYTES: byte 0xff at offset 8 (line 2) is not UTF-8; convert it"),
        (["--data", "TSV", "--set", "data.max_words=1"], "TSV, line 1: the source has"),
        (["--data", "-", "--valid", "-"], "standard input (-) can be read only once"),
        (["--data", "TSV", "--set", "model.wait=2"], "set bidirectional=false"),
        (["--data", "TSV", "--set", "model.heds=2"], "did you mean 'model.heads'"),
        (["--data", "TSV", "--resume"], "OUT: not a run: no such directory"),
    ],
)
def test_mistakes(arguments, message, pairs, tmp_path):
    (tmp_path / "short").write_text("a\nb\n")
    (tmp_path / "empty").write_text("a\tb\nc\t \n")
    (tmp_path / "bytes").write_bytes(b"ein\tone\n\xff\ttwo\n")
    names = {"TSV": pairs / "p.tsv", "DE": pairs / "p.de", "EN": pairs / "p.en"}
    names |= {n: tmp_path / n.lower() for n in ("NONE", "SHORT", "EMPTY", "BYTES")}
    names["OUT"] = tmp_path / "run"
    given = [str(names.get(argument, argument)) for argument in arguments]
    for name, path in names.items():
        message = message.replace(name, str(path))
    said = mistake("train", "translation", "--out", tmp_path / "run", *ONE_STEP, *given)
    assert message in said
    assert "\n" not in said
    assert not (tmp_path / "run").exists()
