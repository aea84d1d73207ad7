"""`loopwise train lm`: from any kind of text to a run, continued, replaced, refused."""

import gzip
import json
import os
import tomllib

import pytest

from cli.calling import call, mistake, sets
from loopwise.runs import Run
from loopwise.runtime.load import load
from tasks.lm.texts import lines

ONE_STEP = sets(train__max_steps=1)


def train(out, *arguments, **options):
    return call("train", "lm", "--out", out, *arguments, *ONE_STEP, **options)


def test_a_run_says_what_it_does_and_what_to_do_next(text, tmp_path):
    called = train(tmp_path / "run", "--data", text)
    assert called.status == 0
    assert "vocabulary: 256 bytes" in called.out
    assert "model: 1 x lstm, " in called.out
    assert f"run: {tmp_path}/run\ntry: loopwise generate {tmp_path}/run" in called.out
    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert files == {"config.toml", "metrics.jsonl", "checkpoints", "bundle.safetensors", ".lock"}


def data_kinds(text, tmp_path):
    (tmp_path / "c.txt.gz").write_bytes(gzip.compress(lines(60).encode()))
    return {
        "folder": [text],
        "file": [text / "a.txt"],
        "gzip": [tmp_path / "c.txt.gz"],
        "glob": [f"{text}/*.txt"],
        "several": [text / "a.txt", text / "b.txt"],
    }


@pytest.mark.parametrize("kind", ["folder", "file", "gzip", "glob", "several"])
def test_text_of_every_kind(kind, text, tmp_path):
    paths = data_kinds(text, tmp_path)[kind]
    called = train(tmp_path / "run", "--data", *paths)
    assert called.status == 0, called.err
    stored = tomllib.loads((tmp_path / "run/config.toml").read_text())
    assert stored["data"]["train"] == [str(path) for path in paths]
    sizes = {"file": 1, "gzip": 2}.get(kind, 2)
    characters = len(lines(30)) * sizes
    tokens = int(called.out.split()[1].replace(",", ""))
    assert tokens == pytest.approx(0.95 * characters, rel=0.05)


def test_text_from_standard_input(tmp_path):
    called = train(tmp_path / "run", "--data", "-", stdin=lines(30).encode())
    assert called.status == 0, called.err


def test_several_paths_may_follow_each_option_and_stay_apart(text, tmp_path):
    called = call(
        *("train", "lm", "--valid", text / "a.txt", text / "b.txt"),
        *("--data", text / "b.txt", text / "a.txt", "--out", tmp_path / "run", *ONE_STEP),
    )
    assert called.status == 0, called.err
    stored = tomllib.loads((tmp_path / "run/config.toml").read_text())["data"]
    assert stored["valid"] == [str(text / "a.txt"), str(text / "b.txt")]
    assert stored["train"] == [str(text / "b.txt"), str(text / "a.txt")]


def test_relative_paths_are_stored_absolute(text, tmp_path, monkeypatch):
    monkeypatch.chdir(text)
    assert train(tmp_path / "run", "--data", "a.txt").status == 0
    stored = tomllib.loads((tmp_path / "run/config.toml").read_text())["data"]
    assert stored["train"] == [str(text / "a.txt")]


def test_a_configuration_file_and_settings_on_top(text, tmp_path):
    printed = call("config", "lm", *ONE_STEP, "--set", f"data.train={text}").out
    (tmp_path / "c.toml").write_text(printed)
    changed = ("--set", "model.hidden_size=9")
    out = tmp_path / "run"
    called = call("train", "lm", "--out", out, "--config", tmp_path / "c.toml", *changed)
    assert called.status == 0, called.err
    assert Run(out).config_path.read_text() == printed.replace(
        "hidden_size = 16", "hidden_size = 9"
    )


def test_an_existing_run_is_continued_or_replaced_on_demand_only(text, tmp_path):
    out = tmp_path / "run"
    assert train(out, "--data", text).status == 0
    message = mistake("train", "lm", "--out", out, "--data", text, *ONE_STEP)
    assert "holds a run already; continue it with --resume, replace it with --over" in message

    called = call("train", "lm", "--out", out, "--resume", "--set", "train.max_steps=3")
    assert called.status == 0, called.err
    assert "continuing from step-00000001" in called.out
    records = list(Run(out).records())
    assert [r["step"] for r in records if r["kind"] == "train"] == [1, 2, 3]

    called = train(out, "--data", text, "--overwrite")
    assert called.status == 0, called.err
    assert [r["step"] for r in Run(out).records() if r["kind"] == "train"] == [1]

    called = call("train", "lm", "--out", out, "--from-checkpoint", "1")
    assert "nothing left to do" in called.out


def test_a_resumed_run_with_other_data_or_another_model_is_refused(text, tmp_path):
    out = tmp_path / "run"
    assert train(out, "--data", text / "a.txt").status == 0
    again = ("train", "lm", "--out", out, "--resume")
    message = mistake(*again, "--set", "model.hidden_size=17")
    assert "another model: head.weight is (256, 16) in it and (256, 17) here" in message
    assert "the text now gives" in mistake(*again, "--data", text)
    swapped = tmp_path / "swapped.txt"
    swapped.write_text((text / "a.txt").read_text().swapcase())
    assert "trained on other tokens" in mistake(*again, "--data", swapped)
    assert call(*again, "--set", "train.max_steps=2").status == 0


def test_a_run_is_trained_by_one_process_at_a_time(text, tmp_path):
    out = tmp_path / "run"
    assert train(out, "--data", text).status == 0
    given = ("train", "lm", "--out", out)
    with Run(out).locked():
        before = Run(out).config_path.read_text()
        expected = f"{out}: is being trained by process {os.getpid()}"
        assert mistake(*given, "--resume", "--set", "train.max_steps=2") == expected
        assert mistake(*given, "--data", text, "--overwrite", *ONE_STEP) == expected
        assert Run(out).config_path.read_text() == before
        assert Run(out).bundle_path.exists()
    assert call(*given, "--resume", "--set", "train.max_steps=2").status == 0
    assert train(out, "--data", text, "--overwrite").status == 0


def test_the_file_that_a_run_began_with_may_be_given_to_continue(text, tmp_path):
    out, file = tmp_path / "run", tmp_path / "c.toml"
    file.write_text(call("config", "lm", *ONE_STEP).out)
    given = ("train", "lm", "--out", out, "--config", file)
    assert call(*given, "--data", text / "a.txt").status == 0
    again = (*given, "--resume", "--set", "train.max_steps=3")
    for paths in ((), ("--data", text / "a.txt")):
        assert call(*again, *paths).status == 0
    assert Run(out).config_path.read_text().count("max_steps = 3") == 1
    assert "the text now gives" in mistake(*again, "--data", text)

    changed = file.read_text().replace("lr = 0.01", "lr = 0.5")
    file.write_text(changed.replace("train = []", f"train = ['{text}']"))
    said = mistake(*again)
    assert "--resume goes on with the options of the run; to change some, use --set\n" in said
    assert f"train.lr: the run has 0.01, {file} says 0.5" in said
    assert f'data.train: the run has ["{text}/a.txt"], {file} says ["{text}"]' in said
    assert len(said.splitlines()) == 3
    called = call(*again, "--set", "train.lr=0.5", "--data", text / "a.txt")
    assert called.status == 0, called.err
    assert "lr = 0.5" in Run(out).config_path.read_text()


@pytest.mark.parametrize(
    ("given", "spins"),
    [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "a"}, "")],
)
def test_threads_do_not_spin_for_long_unless_told_to(given, spins, text, tmp_path, monkeypatch):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")  # puts back what was there
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert train(tmp_path / "run", "--data", text).status == 0
    assert os.environ.get("GOMP_SPINCOUNT", "") == spins


def test_resuming_standard_input_asks_for_the_text_again(text, tmp_path):
    given = lines(30).encode()
    assert train(tmp_path / "run", "--data", "-", stdin=given).status == 0
    again = ("train", "lm", "--out", tmp_path / "run", "--resume")
    assert "| loopwise train lm --resume --data -" in mistake(*again)
    called = call(*again, "--data", "-", "--set", "train.max_steps=2", stdin=given)
    assert called.status == 0, called.err
    assert "trained on other tokens" in mistake(*again, "--data", "-", stdin=given.swapcase())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no text to train on: give --data PATH"),
        (["--data", "TEXT/c.txt"], "'TEXT/c.txt' does not exist; did you mean 'TEXT/"),
        (["--data", "TEXT/*.md"], "no file matches"),
        (["--data", "EMPTY"], "EMPTY: empty, there is no text to read"),
        (["--data", "-"], "standard input: empty"),
        (["--data", "-", "--valid", "-"], "standard input (-) can be read only once"),
        (["--data", "SHORT"], "need at least"),
        (["--data", "TEXT", "--valid", "SHORT", "--set", "train.valid_batch=99"], "--valid or"),
        (
            ["--data", "BYTES", "--set", "data.unit=chars"],
            "BYTES: byte 0xff at offset 6 (line 2) is not UTF-8; convert it, or train",
        ),
        (["--data", "TEXT", "--set", "model.hiden_size=3"], "did you mean 'model.hidden_size'"),
        (["--data", "TEXT", "--set", "train.lr=fast"], "train.lr: must be a number, given 'fast'"),
        (["--data", "TEXT", "--set", "model.cell=lstn"], "did you mean 'lstm'"),
        (["--data", "TEXT", "--config", "NONE"], "NONE: cannot be read: No such file"),
        (["--data", "TEXT", "--resume"], "OUT: not a run: no such directory"),
        (["--data", "TEXT", "--resume", "--overwrite"], "exclude each other"),
    ],
)
def test_mistakes(arguments, message, text, tmp_path):
    names = {
        "TEXT": str(text),
        "OUT": str(tmp_path / "run"),
        **{name: str(tmp_path / name.lower()) for name in ("EMPTY", "SHORT", "BYTES", "NONE")},
    }
    (tmp_path / "empty").write_text("")
    (tmp_path / "short").write_text("ab")
    (tmp_path / "bytes").write_bytes(b"first\n\xff")
    for name, value in names.items():
        arguments = [argument.replace(name, value) for argument in arguments]
        message = message.replace(name, value)
    said = mistake("train", "lm", "--out", tmp_path / "run", *sets(), *arguments)
    assert message in said
    assert "\n" not in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "lmm"], "No such command 'lmm'. Did you mean 'lm'"),
        (["tarin"], "No such command 'tarin'. Did you mean 'train'"),
        (["train", "lm", "--data", "x"], "Missing option '--out'"),
        (["train", "lm", "--out", "x", "--data"], "Option '--data' requires an argument"),
        (["train", "lm", "--out", "x", "--dta", "y"], "No such option: --dta"),
        (["train", "lm", "x", "--out", "y"], "unexpected extra argument"),
    ],
)
def test_a_misspelt_command_line(arguments, message):
    assert message in mistake(*arguments, status=2)


def test_what_is_no_run_is_not_overwritten(text, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    said = mistake("train", "lm", "--out", tmp_path, "--data", text, "--overwrite", *ONE_STEP)
    assert "not empty and not a run" in said
    assert (tmp_path / "thesis.tex").exists()


def test_a_place_that_cannot_be_written_is_told(text, tmp_path):
    (tmp_path / "file").write_text("")
    said = mistake("train", "lm", "--out", tmp_path / "file/run", "--data", text, *ONE_STEP)
    assert said == f"{tmp_path}/file/run: cannot be made: Not a directory"
    if os.geteuid() == 0:
        return  # for whom no directory is read-only
    (tmp_path / "closed").mkdir(mode=0o500)
    said = mistake("train", "lm", "--out", tmp_path / "closed/run", "--data", text, *ONE_STEP)
    assert said == f"{tmp_path}/closed/run: cannot be made: Permission denied"


def test_names_that_are_not_utf8_may_lie_in_a_folder(text, tmp_path):
    file = tmp_path / "data" / os.fsdecode(b"\xff.txt")
    file.parent.mkdir()
    try:
        file.write_text(lines(30))
    except OSError:
        pytest.skip("this file system has no such names")
    assert train(tmp_path / "run", "--data", file.parent).status == 0
    for option in (["--data", file], ["--data", text, "--valid", file]):
        said = mistake("train", "lm", "--out", tmp_path / "other", *option, *ONE_STEP)
        assert said.startswith("--data and --valid: ")
        assert "\\udcff.txt': the name is not UTF-8, which a run cannot record" in said
    file.write_bytes(b"\xff")
    said = mistake(
        *("train", "lm", "--out", tmp_path / "other", "--data", file.parent),
        *("--set", "data.unit=chars"),
    )
    assert "byte 0xff at offset 0" in said


def test_a_text_of_one_line_is_enough(tmp_path):
    (tmp_path / "one.txt").write_text("a line without an end " * 40)
    assert train(tmp_path / "run", "--data", tmp_path / "one.txt").status == 0


def test_metrics_are_json_lines_that_end_with_the_best_loss_of_the_bundle(trained):
    records = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert {record["kind"] for record in records} == {"train", "validation"}
    best = min(record["loss"] for record in records if record["kind"] == "validation")
    assert load(trained).info["validation"]["loss"] == best
