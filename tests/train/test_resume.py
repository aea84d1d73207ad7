"""A training that was cut and continued equals one that was not, bit for bit."""

import json
import random
import signal
import subprocess
import sys
import time

import pytest
import torch

from loopwise.errors import CheckpointError, ConfigError, DataError
from loopwise.runs import Run
from loopwise.train.checkpoints import list_checkpoints, load
from loopwise.train.config import TrainConfig
from loopwise.train.loop import fit
from loopwise.train.optimizers import make_optimizer
from loopwise.train.processes import World
from loopwise.train.schedules import Plateau
from loopwise.train.training import Training
from train import toy
from train.test_loop import raise_signal, settings
from train.toy import ToyTask

TIMES = {"seconds", "tokens_per_second"}


def outcome(task: ToyTask, run: Run) -> tuple[list[dict], list[torch.Tensor]]:
    records = [{k: v for k, v in r.items() if k not in TIMES} for r in run.records()]
    return records, [p.detach().clone() for p in task.model.parameters()]


def train(config: TrainConfig, run: Run, task_options: dict, **options):
    task = ToyTask(config, **task_options)
    result = fit(task, config, run, **options)
    return result, outcome(task, run)


def assert_same(found, expected) -> None:
    assert found[0] == expected[0]
    for a, b in zip(found[1], expected[1], strict=True):
        assert torch.equal(a, b)


VARIANTS = {
    "adamw": {"optimizer": "adamw", "weight_decay": 0.01, "schedule": "one-cycle"},
    "sgd": {"optimizer": "sgd", "lr": 0.5, "momentum": 0.9, "accumulate": 3},
    "nt-asgd": {"optimizer": "nt-asgd", "lr": 3.0, "validate_every": 4, "schedule": "constant"},
    "plateau": {"schedule": "plateau", "validate_every": 4, "lr": 0.05, "clip_mode": "adaptive"},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_interrupted_thrice_equals_uninterrupted(tmp_path, name):
    config = settings(log_every=3, validate_every=10).model_copy(update={"clip": 0.25})
    config = TrainConfig(**{**config.model_dump(), **VARIANTS[name]})
    options = {"dropout": 0.2, "vary": True}
    whole, cut = Run.create(tmp_path / "whole"), Run.create(tmp_path / "cut")
    _, expected = train(config, whole, options)
    for stop in (1, 17, 40):
        task = ToyTask(config, **options)
        raise_signal(task, signal.SIGTERM, at_loss=stop)
        assert fit(task, config, cut, resume=True).stopped == "interrupted"
    result, found = train(config, cut, options, resume=True)
    assert result.stopped == "finished"
    assert_same(found, expected)
    state = load(list_checkpoints(cut.checkpoints)[-1]).state
    if name == "nt-asgd":
        assert state["optimizer_extra"]["averaged"] > 3
    if name == "plateau":
        assert (
            load(list_checkpoints(cut.checkpoints)[-1]).state["progress"]["plateau"]["factor"] < 1
        )


def test_a_signal_during_validation_leaves_it_to_the_next_start(tmp_path):
    config = settings(log_every=7)
    whole, cut = Run.create(tmp_path / "whole"), Run.create(tmp_path / "cut")
    _, expected = train(config, whole, {})
    task = ToyTask(config)
    raise_signal(task, signal.SIGINT, at_validation=1)
    result = fit(task, config, cut)
    assert (result.stopped, result.steps) == ("interrupted", 42)
    assert task.exports == 0
    _, found = train(config, cut, {}, resume=True)
    assert_same(found, expected)


def test_killed_at_a_random_moment_and_resumed(tmp_path):
    values = {
        "epochs": 8,
        "batch_size": 4,
        "lr": 0.01,
        "log_every": 3,
        "checkpoint_every": 7,
        "validate_every": 20,
        "threads": 1,
        "device": "cpu",
        "keep": 3,
        "patience": 50,
    }
    config, options = TrainConfig(**values), {"dropout": 0.2, "vary": True}
    whole, cut = Run.create(tmp_path / "whole"), Run.create(tmp_path / "cut")
    arguments = {"run": str(cut.path), "config": values, "task": options}
    process = subprocess.Popen([sys.executable, toy.__file__, json.dumps(arguments)])
    enough = random.Random().randint(1, 60)
    while process.poll() is None and sum(1 for _ in cut.records()) < enough:
        time.sleep(0.001)
    process.kill()
    process.wait()
    assert not (cut.path / "result.json").exists(), "killed too late to show anything"
    _, expected = train(config, whole, options)
    result, found = train(config, cut, options, resume=True)
    assert result.stopped == "finished"
    assert_same(found, expected)


def test_from_an_earlier_checkpoint_the_later_ones_are_replaced(tmp_path):
    config = settings(validate_every=10, keep=20)
    run = Run.create(tmp_path / "run")
    _, expected = train(config, run, {})
    (damaged,) = run.checkpoints.glob("step-00000080.*.safetensors")
    (run.checkpoints / "step-00000084.json").unlink()
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="--from-checkpoint step-00000070"):
        train(config, run, {}, resume=True)
    _, found = train(config, run, {}, from_checkpoint="step-00000070")
    assert_same(found, expected)


def test_resume_without_a_checkpoint_starts_anew(tmp_path):
    config = settings(max_steps=5)
    whole, cut = Run.create(tmp_path / "whole"), Run.create(tmp_path / "cut")
    _, expected = train(config, whole, {})
    cut.log({"kind": "train", "step": 1, "loss": 9.0})
    _, found = train(config, cut, {}, resume=True)
    assert_same(found, expected)


def test_a_finished_run_has_nothing_left_to_do_until_it_may_go_on(tmp_path, capsys):
    config = settings(schedule="constant")
    run, whole = Run.create(tmp_path / "run"), Run.create(tmp_path / "whole")
    first, before = train(config, run, {})
    capsys.readouterr()
    again, after = train(config, run, {}, resume=True)
    assert "nothing left to do: finished at step 84" in capsys.readouterr().out
    assert again == first
    assert after[0] == before[0]
    longer = settings(schedule="constant", epochs=3)
    _, expected = train(longer, whole, {})
    _, found = train(longer, run, {}, resume=True)
    assert_same(found, expected)


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    config = settings(max_steps=2)
    run = Run.create(tmp_path / "run")
    train(config, run, {})
    other = settings(max_steps=4, optimizer="sgd")
    with pytest.raises(ConfigError, match=r"train\.optimizer=adamw, not sgd"):
        train(other, run, {}, resume=True)
    with pytest.raises(DataError, match="4 lanes of 500 tokens, the text now gives 5 of 400"):
        train(settings(max_steps=4, batch_size=5), run, {}, resume=True)
    task = ToyTask(config)
    task.model = toy.ToyModel(hidden=9)
    with pytest.raises(ConfigError, match=r"head\.weight is \(11, 8\) in it and \(11, 9\) here"):
        fit(task, config, run, resume=True)


def validating(config: TrainConfig, judge: str, metrics: list[float]) -> ToyTask:
    """A task whose validations give the next of `metrics` each."""
    task, values = ToyTask(config), iter(metrics)
    task.judge = judge
    task.on_validate = lambda _: next(values)
    return task


@pytest.mark.parametrize("judge", ["text", "another"])
def test_another_validation_is_not_measured_by_the_metrics_of_the_first(tmp_path, judge, capsys):
    run, options = Run.create(tmp_path / "run"), {"validate_every": 5, "keep": 1}
    config = settings(max_steps=10, **options)
    fit(validating(config, "text", [1.0, 1.5]), config, run)
    config = settings(max_steps=20, **options)
    # where nothing changed, the validation of step 10 is done
    metrics = [3.5, 3.0, 4.0] if judge == "another" else [3.0, 4.0]
    capsys.readouterr()
    task = validating(config, judge, metrics)
    result = fit(task, config, run, resume=True)
    said = capsys.readouterr().out
    there = [path.stem for path in list_checkpoints(run.checkpoints)]
    changed = "validation has changed: its next result counts as the first"
    if judge == "another":
        assert changed in said
        assert (result.best, task.exports) == (3.0, 2)
        assert there == ["step-00000015", "step-00000020"]
    else:
        assert changed not in said
        assert (result.best, task.exports) == (1.0, 0)
        assert there == ["step-00000005", "step-00000020"]


def test_forgotten_validations_leave_what_they_did():
    config = settings(optimizer="nt-asgd", schedule="plateau", plateau=2)
    task = ToyTask(config)
    optimizer = make_optimizer(config, task.model)
    training = Training(config, World(), task.model, optimizer, task.batches)
    for metric in [1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]:
        training.progress.observe(metric, config)
        optimizer.observe(metric)
    training.forget_validations()
    assert (optimizer.history, optimizer.averaged) == ([], 1)
    assert training.progress.plateau == Plateau(factor=0.5**3, waited=0)
    assert training.progress.waited == 0
    assert training.progress.observe(99.0, config)


def test_a_continued_run_finds_its_place_whatever_was_logged_later(tmp_path):
    config = settings(epochs=1, validate_every=10)
    run, whole = Run.create(tmp_path / "run"), Run.create(tmp_path / "whole")
    _, expected = train(config, whole, {})
    task = ToyTask(config)
    raise_signal(task, signal.SIGINT, at_loss=15)
    fit(task, config, run)
    with run.metrics_path.open("a") as file:
        file.write('{"kind": "train", "step": 16, "lo')  # what a kill leaves
    _, found = train(config, run, {}, resume=True)
    assert_same(found, expected)
