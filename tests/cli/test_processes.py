"""What only whole processes show: kills, Ctrl-C, closed pipes, torchrun."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import cache

import pytest

from cli import translating
from cli.calling import call, command, run, sets
from cli.forecasting import SETS, sales
from loopwise.runs import Run
from loopwise.runtime.load import load
from loopwise.train.checkpoints import list_checkpoints
from tasks.synthetic.runs import SMALL

CLOCKS = {"seconds", "tokens_per_second", "targets_per_second"}


def records(path) -> list[dict]:
    return [{k: v for k, v in r.items() if k not in CLOCKS} for r in Run(path).records()]


def result(path) -> tuple:
    """All that a run leaves, but for clocks and dates."""
    model = load(path)
    info = {key: value for key, value in model.info.items() if key != "created"}
    return records(path), model.bundle.fingerprint, info


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Daily sales with all kinds of covariates."""
    path = tmp_path_factory.mktemp("tables") / "sales.csv"
    table = sales()
    table.with_columns(kind="shop", visitors=table["sales"] * 2).write_csv(path)
    return path


LM = sets(
    train__epochs=7,
    train__checkpoint_every=10,
    train__batch_size=2,
    train__keep=3,
    model__dropout_output=0.3,
)
FORECAST = [
    *("--id", "shop", "--time", "day", "--target", "sales", "--horizon", "7"),
    *("--static", "kind", "--past", "visitors", "--future", "price"),
    *SETS,
    *("--set", "model.members=2", "--set", "train.max_steps=150", "--set", "train.keep=3"),
    *("--set", "train.checkpoint_every=10", "--set", "train.validate_every=25"),
]
TRANSLATION = translating.sets(
    train__checkpoint_every=10,
    train__keep=3,
    train__validate_every=25,
    model__dropout_output=0.3,
    model__dropout_readout=0.3,
)
TASKS = ("lm", "forecast", "translation")


@pytest.fixture(scope="module")
def trainings(text, tables, pairs):
    """The words of a small training of each task, but for where it goes."""
    return {
        "lm": ["train", "lm", "--data", text / "a.txt", *LM],
        "forecast": ["train", "forecast", "--data", tables, *FORECAST],
        "translation": ["train", "translation", "--data", pairs / "p.tsv", *TRANSLATION],
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory, trainings):
    """For a task, what a run leaves that nothing disturbed."""

    @cache
    def of(task):
        out = tmp_path_factory.mktemp("whole") / "run"
        called = call(*trainings[task], "--out", out)
        assert called.status == 0, called.err
        return result(out)

    return of


def disturbed(number: int, out, training) -> tuple[int, str]:
    """Begin the same run, send it a signal after its second checkpoint; its status and words."""
    words = command(*training, "--out", out)
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    until = time.monotonic() + 100
    while len(list_checkpoints(out / "checkpoints")) < 2 and time.monotonic() < until:
        time.sleep(0.005)
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    return process.returncode, said


@pytest.mark.parametrize("task", TASKS)
def test_a_killed_run_continues_bit_for_bit(task, whole, trainings, tmp_path):
    out = tmp_path / "run"
    status, _ = disturbed(signal.SIGKILL, out, trainings[task])
    assert status == -signal.SIGKILL
    assert len(records(out)) < len(whole(task)[0])
    called = call("train", task, "--out", out, "--resume")
    assert called.status == 0, called.err
    assert result(out) == whole(task)


@pytest.mark.parametrize("task", TASKS)
def test_a_training_repeats_itself_on_as_many_threads_and_nearly_on_others(
    task, trainings, tmp_path
):
    def train(name, threads):
        few = ("--set", "train.max_steps=15", "--set", f"train.threads={threads}")
        called = call(*trainings[task], *few, "--out", tmp_path / name)
        assert called.status == 0, called.err
        return result(tmp_path / name)

    two, again, one = train("two", 2), train("again", 2), train("one", 1)
    assert two == again
    for mine, theirs in zip(one[0], two[0], strict=True):
        assert mine.keys() == theirs.keys()
        assert mine["step"] == theirs["step"]
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=1e-4)


def test_sentences_are_translated_alike_on_any_threads(translator):
    lines = "".join(line.partition("\t")[0] + "\n" for line in translating.tsv(60).splitlines())
    words = ("translate", translator, "--json", "--n-best", 3)

    def translate(threads):
        done = run(*words, input=lines, env={**os.environ, "OMP_NUM_THREADS": threads})
        assert done.returncode == 0, done.stderr
        return [
            (each["text"], each["score"])
            for line in done.stdout.splitlines()
            for each in json.loads(line)["translations"]
        ]

    one, two = (zip(*translate(threads), strict=True) for threads in ("1", "2"))
    assert next(one) == next(two)
    assert next(one) == pytest.approx(next(two), rel=1e-5)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_how_to_continue_and_does_so_bit_for_bit(
    number, whole, trainings, tmp_path
):
    out = tmp_path / "my run"
    status, said = disturbed(number, out, trainings["lm"])
    assert status == 130, said
    assert f"continue: loopwise train lm --out '{out}' --resume\n" in said
    assert "Traceback" not in said
    assert list_checkpoints(out / "checkpoints")
    assert call("train", "lm", "--out", out, "--resume").status == 0
    assert result(out) == whole("lm")


def test_ctrl_c_outside_of_the_training_ends_at_once(trained, monkeypatch):
    def wait_for_input(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("loopwise.codec.corpus.read_sources", wait_for_input)
    assert call("score", trained).status == 130


@pytest.mark.parametrize("size", [10, 100_000])
def test_a_closed_pipe_is_no_error(size, trained, tmp_path):
    (tmp_path / "t.txt").write_text("a\n" * size)
    words = command("score", trained, tmp_path / "t.txt")
    reader, writer = os.pipe()
    process = subprocess.Popen(words, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    if size > 10:
        os.read(
            reader, 1
        )  # as head does; the short text finds the pipe closed before it is written
    os.close(reader)
    _, said = process.communicate(timeout=60)
    assert said == ""
    assert process.returncode == 1


def torchrun(*arguments) -> subprocess.CompletedProcess[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    words = [sys.executable, *launcher, "-m", "loopwise", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=180, check=False)


def test_two_processes_write_one_run_as_one_process_of_twice_the_batch(text, tmp_path):
    shared = ("--data", text, "--set", "train.max_steps=12")
    pair = ("train", "lm", "--out", tmp_path / "pair", *sets(), *shared)
    done = torchrun(*pair)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("run: ") == 1
    one = ("train", "lm", "--out", tmp_path / "one", *sets(train__batch_size=8), *shared)
    assert call(*one).status == 0
    for mine, theirs in zip(records(tmp_path / "pair"), records(tmp_path / "one"), strict=True):
        assert mine.keys() == theirs.keys()
        assert mine["step"] == theirs["step"]
        assert mine["loss"] == pytest.approx(theirs["loss"], abs=1e-5)
    assert load(tmp_path / "pair").bundle.model == load(tmp_path / "one").bundle.model

    # the second process must not take up checkpoints that the first is about to clear away
    before = records(tmp_path / "pair")
    done = torchrun(*pair, "--overwrite")
    assert done.returncode == 0, done.stderr
    assert records(tmp_path / "pair") == before


def test_two_processes_draw_sequences_for_one_run(tmp_path):
    sets = [word for setting in SMALL for word in ("--set", setting)]
    done = torchrun("train", "adding", "--out", tmp_path / "run", *sets)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("run: ") == 1
    last = records(tmp_path / "run")[-1]
    assert (last["epoch"], last["step"]) == (2, 4)  # half of what one process takes


def test_several_processes_cannot_share_standard_input(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    called = call("train", "lm", "--out", tmp_path / "run", "--data", "-", *sets())
    assert (called.status, called.out) == (1, "")
    assert "several processes cannot share standard input (-); give files" in called.err


def test_the_module_runs_as_a_program():
    done = run("config", "lm", "--set", "model.hidden_size=5")
    assert done.returncode == 0
    assert "hidden_size = 5\n" in done.stdout
    assert json.dumps(done.stderr) == '""'
