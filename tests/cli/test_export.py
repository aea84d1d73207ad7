"""``loopwise export --dtype``: smaller files, what they cost, and when they are refused."""

import pytest

from cli.calling import call, mistake, sets
from loopwise.runtime.load import load
from loopwise.tasks.weights import average_of


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_a_lower_precision_is_measured_and_remembered(trained, tmp_path, dtype):
    path = tmp_path / "b.safetensors"
    called = call("export", trained, path, "--dtype", dtype, "--limit", 1)
    assert called.status == 0, called.err
    found = load(path).info["precision"]
    head, row, difference, where, written = called.out.splitlines()
    assert head.split() == ["float32", dtype, "change"]
    assert row.split()[:3] == ["perplexity", f"{found['float32']:.4f}", f"{found['lowered']:.4f}"]
    assert f"{found['largest_difference']:.2g} at most" in difference
    assert where.startswith("measured on ")
    assert where.endswith(", held out")
    assert written == f"{path}: {path.stat().st_size:,} bytes"
    assert load(path).bundle.dtype == dtype
    assert 0 < found["mean_difference"] < found["largest_difference"] < 1


def test_every_command_takes_it_and_a_copy_is_the_same(trained, text, tmp_path):
    path, copy = tmp_path / "b.safetensors", tmp_path / "c.safetensors"
    assert call("export", trained, path, "--dtype", "int8", "--limit", 1).status == 0
    for arguments in (
        ["evaluate", path, text],
        ["generate", path],
        ["score", path, text / "a.txt"],
    ):
        assert call(*arguments).status == 0
    for options in ([], ["--dtype", "int8", "--overwrite"]):
        assert call("export", path, copy, *options).status == 0
        assert copy.read_bytes() == path.read_bytes()
    assert "the model is in int8" in mistake(
        "export", path, copy, "--dtype", "bfloat16", "--overwrite"
    )


def test_beyond_the_limit_nothing_is_written(trained, text, tmp_path):
    steep, path = tmp_path / "steep.safetensors", tmp_path / "b.safetensors"
    model = load(trained)
    # shifts all logits alike, and makes the steps of int8 so large that all else rounds to zero
    model.bundle.tensors["head.weight"][:, 0] = 1000
    model.save(steep)
    path.write_bytes(b"an older file")
    arguments = ["export", steep, path, "--dtype", "int8", "--measure-on", text, "--overwrite"]
    said = mistake(*arguments)
    assert said.startswith("dtype='int8': perplexity goes from")
    assert said.endswith("the limit allows 1 %; take another precision, or a higher limit")
    assert path.read_bytes() == b"an older file"
    assert sorted(tmp_path.iterdir()) == [path, steep]
    assert call(*arguments, "--limit", "inf").status == 0
    assert load(path).info["precision"]["rise"] > 0.01


def test_without_the_validation_text_it_is_named_or_waived(trained, text, tmp_path):
    copy, path = tmp_path / "c.safetensors", tmp_path / "b.safetensors"
    assert call("export", trained, copy).status == 0
    said = mistake("export", copy, path, "--dtype", "int8")
    assert said.startswith(f"--dtype int8: nothing to measure it on ({copy}: not a run")
    assert said.endswith("give --measure-on PATH, or go without with --limit inf")
    assert not path.exists()
    called = call(
        "export", copy, path, "--dtype", "int8", "--limit", 1, "--measure-on", text / "a.txt"
    )
    assert f"bytes of {text}/a.txt" in called.out
    called = call("export", copy, path, "--dtype", "int8", "--limit", "inf", "--overwrite")
    assert called.out.startswith("not measured: ")
    assert "precision" not in load(path).info


def test_a_run_whose_text_is_gone(text, tmp_path):
    (tmp_path / "t.txt").write_bytes((text / "a.txt").read_bytes())
    run = tmp_path / "run"
    settings = sets(train__max_steps=1)
    assert call("train", "lm", "--out", run, "--data", tmp_path / "t.txt", *settings).status == 0
    (tmp_path / "t.txt").unlink()
    said = mistake("export", run, tmp_path / "b.safetensors", "--dtype", "bfloat16")
    assert "t.txt" in said
    assert "--measure-on PATH" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dtype", "int4"], "dtype='int4': expected one of float32, bfloat16, int8"),
        (["--dtype", "int8", "--limit", "-1"], "limit=-1.0: must be at least 0"),
        (["--limit", "0.1"], "--measure-on and --limit need a --dtype below that of the model"),
        (["--dtype", "float32", "--measure-on", "x"], "--measure-on and --limit need a --dtype"),
        (["--dtype", "int8", "--measure-on", "nowhere"], "nowhere"),
    ],
)
def test_mistakes(trained, tmp_path, options, message):
    assert message in mistake("export", trained, tmp_path / "b.safetensors", *options)
    assert not list(tmp_path.iterdir())


def test_the_mean_of_the_last_checkpoints(translator, pairs, tmp_path):
    path = tmp_path / "m.safetensors"
    called = call("export", translator, path, "--average", 3)
    assert called.status == 0, called.err
    head, row, _, where, written = called.out.splitlines()
    assert head.split() == ["best", "mean", "of", "3", "change"]
    assert row.split()[0] == "perplexity"
    assert where.endswith(f"pairs of {pairs}/p.tsv")
    assert written == f"{path}: {path.stat().st_size:,} bytes"
    assert load(path).bundle.fingerprint == average_of(translator, 3).fingerprint
    said = mistake("export", translator, path, "--average", 9, "--overwrite")
    assert "checkpoints, not 9: average fewer, or train with train.keep=9" in said
    assert "not a run" in mistake("export", path, tmp_path / "n.safetensors", "--average", 2)
    assert "--average" in mistake("export", translator, path, "--average", 1, status=2)


def test_an_average_in_a_lower_precision(translator, pairs, tmp_path):
    path = tmp_path / "m.safetensors"
    given = ("--average", 2, "--dtype", "int8", "--limit", 1, "--measure-on", pairs / "p.tsv")
    called = call("export", translator, path, *given)
    assert called.status == 0, called.err
    assert called.out.count(f"measured on 300 pairs of {pairs}/p.tsv") == 2
    info = load(path).info
    assert len(info["average"]) == 2
    assert info["precision"]["metric"] == "perplexity"


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_a_translator_in_a_lower_precision(translator, pairs, tmp_path, dtype):
    path, text = tmp_path / "m.safetensors", b"eins zwei drei\n"
    called = call("export", translator, path, "--dtype", dtype, "--limit", 1)
    assert called.status == 0, called.err
    assert "log-probability of a token" in called.out
    assert call("translate", path, stdin=text).status == 0
    assert call("evaluate", path, pairs / "p.tsv").status == 0


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_a_recognizer_in_a_lower_precision(listener, utterances, tmp_path, dtype):
    path, manifest = tmp_path / "m.safetensors", utterances / "test.jsonl"
    called = call("export", listener, path, "--dtype", dtype, "--limit", 1)
    assert called.status == 0, called.err
    assert "word error rate" in called.out
    assert f"measured on 15 utterances of {utterances}/train.jsonl" in called.out
    again = ("--overwrite", "--measure-on", manifest)
    called = call("export", listener, path, "--dtype", dtype, "--limit", 1, *again)
    assert f"measured on 8 utterances of {manifest}" in called.out, called.err
    assert call("transcribe", path, utterances / "test" / "000.wav").status == 0
    assert call("evaluate", path, manifest, "--stream").status == 0
