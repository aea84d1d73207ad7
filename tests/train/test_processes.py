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


def losing(rank: int, path: Path) -> tuple[Run, str]:
    """A run of which process `rank` dies in the middle of step 8; what the others said."""
    run = Run.create(path / "run")
    arguments = {"run": str(run.path), "config": {**VALUES, "checkpoint_every": 5}}
    died = torchrun({**arguments, "die": 15, "die_rank": rank})
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
    run, said = losing(0, tmp_path)
    assert "a worker process ended after step 7; continue from step-00000005 with --resume" in said
    assert load(list_checkpoints(run.checkpoints)[-1]).step == 5
