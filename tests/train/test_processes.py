"""Several processes: the same training as one, and what happens when one of them dies."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from loopwise.runs import Run
from loopwise.train.checkpoints import list_checkpoints, load
from loopwise.train.config import TrainConfig
from loopwise.train.loop import fit
from loopwise.train.processes import LostProcessError, Processes, World
from loopwise.train.signals import SAME_REQUEST
from train import toy
from train.test_loop import losses, records
from train.toy import ToyTask

VALUES = {
    "epochs": 2,
    "batch_size": 4,
    "lr": 0.01,
    "log_every": 1,
    "threads": 1,
    "device": "cpu",
    "accumulate": 2,
    "clip": 0.2,
    "checkpoint_every": 10,
    "keep": 9,
}


def command(arguments: dict) -> list[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return [sys.executable, *launcher, toy.__file__, json.dumps(arguments)]


def torchrun(arguments: dict) -> subprocess.CompletedProcess[str]:
    words = command(arguments)
    return subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> Run:
    """A run by two processes, which are not cut."""
    run = Run.create(tmp_path_factory.mktemp("pair"))
    done = torchrun({"run": str(run.path), "config": VALUES})
    assert done.returncode == 0, done.stderr
    return run


def test_two_processes_are_one_of_twice_the_batch(pair, tmp_path):
    config = TrainConfig(**{**VALUES, "batch_size": 8})
    run, task = Run.create(tmp_path / "one"), ToyTask(config)
    fit(task, config, run)
    assert losses(pair) == pytest.approx(losses(run), abs=1e-6)
    norms = [record["grad_norm"] for record in records(pair, "train")]
    assert norms == pytest.approx([r["grad_norm"] for r in records(run, "train")], abs=1e-6)
    weights = load_file(pair.path / "final.safetensors")
    for name, value in task.model.state_dict().items():
        torch.testing.assert_close(weights[name], value, rtol=0, atol=1e-5)


def test_only_the_first_process_writes_and_prints(pair):
    steps = [record["step"] for record in records(pair, "train")]
    assert steps == list(range(1, len(steps) + 1))
    assert len(records(pair, "validation")) == 2


def test_a_signal_to_torchrun_ends_all_after_the_same_step(tmp_path):
    run = Run.create(tmp_path / "run")
    words = command({"run": str(run.path), "config": {**VALUES, "epochs": 10_000}})
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    while len(losses(run)) < 5:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert "continue with --resume" in said
    assert load(list_checkpoints(run.checkpoints)[-1]).step == len(losses(run))


def test_a_second_signal_ends_processes_that_wait_for_one_that_hangs(tmp_path):
    run = Run.create(tmp_path / "run")
    config = {**VALUES, "checkpoint_every": 2}
    words = command({"run": str(run.path), "config": config, "hang": 5, "rank": 1})
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert any(line == "hangs\n" for line in process.stdout)
    time.sleep(0.5)  # so that the other one waits already
    process.send_signal(signal.SIGINT)
    time.sleep(SAME_REQUEST + 0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    before = time.monotonic()
    _, said = process.communicate(timeout=60)
    assert time.monotonic() - before < 10  # torchrun would kill them after 30 seconds
    assert "stopped at once; the last checkpoint remains" in said
    assert load(list_checkpoints(run.checkpoints)[-1]).step == 2


@pytest.mark.parametrize(
    ("arguments", "message", "times"),
    [
        ({"from_checkpoint": "nope"}, "no checkpoint 'nope'; in RUN/checkpoints: none", 1),
        ({"ahead": 1, "rank": 1}, "the processes read different data: give all the same files", 2),
    ],
)
def test_a_mistake_ends_all_processes_for_the_right_reason(arguments, message, times, tmp_path):
    run = Run.create(tmp_path / "run")
    done = torchrun({"run": str(run.path), "config": VALUES, **arguments})
    assert done.returncode != 0
    assert done.stderr.count(f"Error: {message.replace('RUN', str(run.path))}") == times
    assert "a worker process ended" not in done.stderr


@pytest.mark.parametrize(
    ("error", "size", "becomes"),
    [
        (RuntimeError("[gloo/pair.cc] Connection closed by peer"), 2, LostProcessError),
        (torch.distributed.DistBackendError("aborted"), 2, LostProcessError),
        (RuntimeError("Connection closed by peer"), 1, RuntimeError),
        (RuntimeError("shapes do not fit"), 2, RuntimeError),
    ],
)
def test_the_loss_of_a_process_is_told_from_other_errors(error, size, becomes):
    processes = Processes(TrainConfig(**VALUES))
    processes.world = World(0, size)
    with pytest.raises(becomes) as caught, processes.together():
        raise error
    assert type(caught.value) is becomes


def losing(rank: int, path: Path, silent: float = 0.0) -> tuple[Run, str]:
    """A run of which process `rank` dies in the middle of step 8; what the others said.

    They take `silent` seconds to find their words, while torchrun tells them to end.
    """
    run = Run.create(path / "run")
    config = {**VALUES, "checkpoint_every": 5}
    arguments = {"run": str(run.path), "config": config, "silent": silent}
    died = torchrun({**arguments, "die": 15, "rank": rank})
    assert died.returncode != 0
    return run, died.stderr


def test_the_first_process_survives_another_and_the_run_continues_exactly(pair, tmp_path):
    run, said = losing(1, tmp_path)
    assert "a worker process ended after step 7; continue from step-00000007 with --resume" in said
    latest = list_checkpoints(run.checkpoints)[-1]
    assert load(latest).step == 7

    done = torchrun({"run": str(run.path), "config": VALUES, "resume": True})
    assert done.returncode == 0, done.stderr
    assert losses(run) == losses(pair)
    weights, expected = (load_file(r.path / "final.safetensors") for r in (run, pair))
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


def test_without_the_first_process_the_others_name_the_last_checkpoint(tmp_path):
    run, said = losing(0, tmp_path, silent=2.0)
    assert "a worker process ended after step 7; continue from step-00000005 with --resume" in said
    assert load(list_checkpoints(run.checkpoints)[-1]).step == 5
