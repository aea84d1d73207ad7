"""`fit` in one process: the maths of a step, ends, and failures."""

import io
import math
import os
import re
import signal
import threading

import pytest
import torch
from rich.console import Console
from torch import nn

from loopwise.errors import MissingExtraError, RunError, TrainingError
from loopwise.runs import Run
from loopwise.train.checkpoints import best, list_checkpoints
from loopwise.train.config import TrainConfig
from loopwise.train.loop import fit
from loopwise.train.task import StepLoss
from train.toy import ToyTask, text

SETTINGS = {"epochs": 2, "batch_size": 4, "lr": 0.01, "log_every": 1, "threads": 1, "device": "cpu"}


def settings(**changes) -> TrainConfig:
    return TrainConfig(**{**SETTINGS, **changes})


@pytest.fixture
def run(tmp_path) -> Run:
    return Run.create(tmp_path / "run")


def records(run: Run, kind: str) -> list[dict]:
    return [record for record in run.records() if record["kind"] == kind]


def losses(run: Run) -> list[float]:
    return [record["loss"] for record in records(run, "train")]


def raise_signal(task, number, *, at_loss=None, at_validation=None) -> None:
    """Send this process a signal in the given loss or validation, counted from 1."""
    counts = {"loss": 0, "validation": 0}

    def hook(kind, at):
        def count(value):
            counts[kind] += 1
            if counts[kind] == at:
                os.kill(os.getpid(), number)
            return value

        return count

    task.on_loss = hook("loss", at_loss)
    task.on_validate = hook("validation", at_validation)


def test_fit_is_the_loop_that_one_would_write_by_hand(run):
    config = settings(weight_decay=0.1, clip=0.2, schedule="constant")
    fit(ToyTask(config), config, run)

    task = ToyTask(config)
    model, stream, state, expected = task.model, task.batches, None, []
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=0.01)
    while stream.epoch < 2:
        if stream.starts_epoch:
            state = None
        inputs, targets, _ = stream.next()
        logits, state = model(inputs, state)
        state = tuple(s.detach() for s in state)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.2)
        optimizer.step()
        expected.append(loss.item())
    assert losses(run) == pytest.approx(expected, abs=1e-5)
    assert sum(record["clipped"] for record in records(run, "train")) > 10


def test_it_learns_exports_the_best_and_says_how_it_ended(run):
    config = settings(epochs=3)
    task = ToyTask(config)
    result = fit(task, config, run)
    assert result.stopped == "finished"
    assert result.steps == 3 * 42
    assert result.epochs == 3.0
    metrics = [record["loss"] for record in records(run, "validation")]
    assert result.best == min(metrics) < 1.6 < math.log(11)
    assert task.exports == 3
    assert run.bundle_path.is_file()
    assert [r["step"] for r in records(run, "train")] == list(range(1, 127))
    assert len(list_checkpoints(run.checkpoints)) == 2


def test_a_seed_fixes_a_run_with_dropout(tmp_path):
    for seed, name in ((1, "a"), (1, "b"), (2, "c")):
        config = settings(seed=seed, epochs=1)
        torch.manual_seed(hash(name))  # what happened before must not matter
        fit(ToyTask(config, dropout=0.3), config, Run.create(tmp_path / name))
    a, b, c = (losses(Run(tmp_path / name)) for name in "abc")
    assert a == b
    assert a != c


class Fixed:
    """A task without recurrence on given batches, for the laws of accumulation."""

    monitor, judge, unit = "loss", "nothing", "targets"

    def __init__(self, batches: list[tuple[torch.Tensor, torch.Tensor]]):
        torch.manual_seed(0)
        self.model = nn.Linear(3, 4)
        self.batches = self
        self.given, self.place = batches, 0

    @property
    def epoch(self) -> int:
        return self.place // len(self.given)

    @property
    def progress(self) -> float:
        return self.place / len(self.given)

    @property
    def starts_epoch(self) -> bool:
        return self.place % len(self.given) == 0

    def next(self):
        self.place += 1
        return self.given[(self.place - 1) % len(self.given)]

    def state_dict(self):
        return {"place": self.place}

    def load_state_dict(self, state):
        self.place = state["place"]

    def loss(self, model, batch, state):
        return StepLoss(nn.functional.cross_entropy(model(batch[0]), batch[1]), len(batch[1]))

    def validate(self, model):
        return {"loss": 1.0}

    def export(self, path):
        path.touch()


@pytest.mark.parametrize("sizes", [[8, 8], [3, 13], [5, 5, 6]])
def test_accumulated_parts_have_the_gradient_of_the_whole(tmp_path, sizes):
    inputs, targets = torch.randn(16, 3), torch.randint(4, (16,))
    parts = list(zip(inputs.split(sizes), targets.split(sizes), strict=True))
    config = {"epochs": 4, "optimizer": "sgd", "lr": 0.5, "clip": 0}
    whole, split = Fixed([(inputs, targets)]), Fixed(parts)
    fit(whole, settings(**config), Run.create(tmp_path / "whole"))
    fit(split, settings(accumulate=len(sizes), **config), Run.create(tmp_path / "split"))
    torch.testing.assert_close(split.model.weight, whole.model.weight, rtol=0, atol=1e-6)
    assert losses(Run(tmp_path / "split")) == pytest.approx(losses(Run(tmp_path / "whole")))


def test_a_step_does_not_reach_over_the_end_of_an_epoch(run):
    batch = (torch.randn(2, 3), torch.randint(4, (2,)))
    result = fit(Fixed([batch] * 5), settings(epochs=3, accumulate=2), run)
    assert (result.steps, result.epochs) == (9, 3.0)


def gradient_of_one_step(tmp_path, name: str, **task) -> list[torch.Tensor]:
    accumulate = task.pop("accumulate", 1)
    config = settings(
        epochs=1, max_steps=1, optimizer="sgd", lr=1.0, clip=0, schedule="constant", batch_size=2
    )
    config = config.model_copy(update={"accumulate": accumulate})
    toy = ToyTask(config, **task)
    before = [p.detach().clone() for p in toy.model.parameters()]
    fit(toy, config, Run.create(tmp_path / name))
    return [b - p.detach() for b, p in zip(before, toy.model.parameters(), strict=True)]


def test_a_window_of_the_whole_lane_is_full_backpropagation(tmp_path):
    config = settings(batch_size=2)
    toy = ToyTask(config, window=1000)
    whole = torch.from_numpy(text()).long()
    inputs, targets = whole[:-1].reshape(2, 1000).T, whole[1:].reshape(2, 1000).T
    logits, _ = toy.model(inputs)
    nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten()).backward()
    full = [p.grad for p in toy.model.parameters()]
    one_window = gradient_of_one_step(tmp_path, "one", window=1000)
    for computed, expected in zip(one_window, full, strict=True):
        torch.testing.assert_close(computed, expected, rtol=0, atol=1e-6)
    cut = gradient_of_one_step(tmp_path, "cut", window=2, accumulate=500)
    assert any(not torch.allclose(a, b, atol=1e-4) for a, b in zip(cut, full, strict=True))
    # the forward pass does carry its state through all 500 windows
    assert losses(Run(tmp_path / "cut")) == pytest.approx(losses(Run(tmp_path / "one")), abs=1e-5)


def test_lr_follows_schedule_and_window_length(run):
    config = settings(max_steps=30, optimizer="sgd", schedule="cosine", final_lr=0.1)
    fit(ToyTask(config, vary=True), config, run)
    task = ToyTask(config, vary=True)
    for record in records(run, "train"):
        scale = task.batches.next().scale
        done = max(task.batches.progress / 2, record["step"] / 30)
        factor = 0.1 + 0.9 * (1 + math.cos(math.pi * done)) / 2
        assert record["lr"] == pytest.approx(0.01 * scale * factor)


def test_early_stopping_counts_validations(run):
    config = settings(epochs=50, patience=3, validate_every=5)
    task = ToyTask(config)
    values = iter([3.0, 2.0, 2.5, 2.0, math.nan, 9.0])
    task.on_validate = lambda _: next(values)
    result = fit(task, config, run)
    assert (result.stopped, result.steps, result.best) == ("early stopping", 25, 2.0)
    assert [record["loss"] for record in records(run, "validation")] == [3.0, 2.0, 2.5, 2.0, None]
    assert best(run.checkpoints).stem == "step-00000010"
    assert task.exports == 2


def test_time_limit_ends_with_a_validation_and_holds_over_resumes(run):
    config = settings(epochs=10**6, max_minutes=0.01)
    result = fit(ToyTask(config), config, run)
    assert result.stopped == "time limit"
    assert 0.6 <= result.seconds < 30
    assert records(run, "validation")[-1]["step"] == result.steps
    again = fit(ToyTask(config), config, run, resume=True)
    assert again.steps == result.steps
    assert again.seconds == pytest.approx(result.seconds, abs=0.5)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_after_the_step_with_a_checkpoint(run, number):
    config = settings()
    task = ToyTask(config)
    raise_signal(task, number, at_loss=13)
    before = signal.getsignal(number)
    output = io.StringIO()
    result = fit(task, config, run, console=Console(file=output))
    assert (result.stopped, result.steps) == ("interrupted", 13)
    assert [path.stem for path in list_checkpoints(run.checkpoints)] == ["step-00000013"]
    assert "continue with --resume" in output.getvalue()
    assert signal.getsignal(number) is before


def test_a_second_ctrl_c_raises_at_once(run):
    config = settings()
    task = ToyTask(config)
    raise_signal(task, signal.SIGINT, at_loss=3)
    once = task.on_loss

    def twice(loss):
        loss = once(loss)
        if len(records(run, "train")) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return loss

    task.on_loss = twice
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit(task, config, run)
    assert signal.getsignal(signal.SIGINT) is before
    assert len(records(run, "train")) == 2


def test_in_another_thread_signals_are_left_alone(run):
    config, results = settings(max_steps=2), []
    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=lambda: results.append(fit(ToyTask(config), config, run)))
    thread.start()
    thread.join()
    assert results[0].steps == 2
    assert signal.getsignal(signal.SIGINT) is before


def poison(task, steps: set[int], value=math.nan) -> None:
    calls = 0

    def on_loss(loss):
        nonlocal calls
        calls += 1
        return loss * value if calls in steps else loss

    task.on_loss = on_loss


def test_a_step_that_is_not_finite_leaves_the_weights_alone(run):
    config = settings(max_steps=6)
    task = ToyTask(config)
    poison(task, {3, 4})
    seen = []
    original = task.on_loss
    task.on_loss = lambda loss: (
        seen.append(task.model.head.weight.detach().clone()) or original(loss)
    )
    result = fit(task, config, run)
    assert (result.skipped_steps, result.steps) == (2, 6)
    assert not torch.equal(seen[1], seen[2])
    assert torch.equal(seen[2], seen[3])  # before steps 3 and 4
    assert torch.equal(seen[3], seen[4])
    assert not torch.equal(seen[4], seen[5])
    logged = losses(run)
    assert logged[2] is logged[3] is None
    assert all(math.isfinite(loss) for loss in logged[:2] + logged[4:])


@pytest.mark.parametrize(
    ("hook", "named"),
    [
        (lambda model, loss: loss * math.inf, "the loss, and with it the gradient of .*,"),
        (
            lambda model, loss: loss + 0 * (model.head.bias * 0).sqrt().sum(),
            "the gradient of head.bias",
        ),
    ],
)
def test_three_steps_in_a_row_end_the_training_and_name_the_tensor(run, hook, named):
    config = settings()
    task = ToyTask(config)
    calls = []

    def on_loss(loss):
        calls.append(0)
        return hook(task.model, loss) if len(calls) > 4 else loss

    task.on_loss = on_loss
    output = io.StringIO()
    with pytest.raises(TrainingError, match=rf"step 7: {named} is not finite"):
        fit(task, config, run, console=Console(file=output))
    assert re.search(rf"step 5: {named} is not finite; step skipped", output.getvalue())


def test_a_poisoned_state_is_dropped(run):
    config = settings(max_steps=6)
    task = ToyTask(config)
    original, states = task.loss, []

    def loss(model, batch, state):
        states.append(state)
        result = original(model, batch, state)
        if len(states) == 3:
            bad = tuple(s * math.nan for s in result.state)
            return StepLoss(result.loss * math.nan, result.count, bad)
        return result

    task.loss = loss
    result = fit(task, config, run)
    assert result.skipped_steps == 1
    assert [state is None for state in states] == [True, False, False, True, False, False]


def test_an_occupied_run_needs_resume(run):
    config = settings(max_steps=1)
    fit(ToyTask(config), config, run)
    with pytest.raises(RunError, match="--resume"):
        fit(ToyTask(config), config, run)


def test_plain_output_is_few_lines(run):
    config = settings()
    output = io.StringIO()
    fit(ToyTask(config), config, run, console=Console(file=output, width=40))
    lines = output.getvalue().splitlines()
    assert len(lines) < 12
    assert lines[0].startswith("epoch 0.02  step 1  loss 2.")
    assert sum("perplexity" in line for line in lines) == 2
    assert lines[-1].startswith("finished at step 84")


def test_a_terminal_gets_a_bar(run):
    config = settings(epochs=1)
    output = io.StringIO()
    fit(ToyTask(config), config, run, console=Console(file=output, force_terminal=True))
    assert "━" in output.getvalue()
    assert "perplexity" in output.getvalue()


def test_tensorboard_missing_names_the_extra(run, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    config = settings(tensorboard=True, max_steps=1)
    with pytest.raises(MissingExtraError, match=r"loopwise\[tensorboard\]"):
        fit(ToyTask(config), config, run)


@pytest.fixture
def board():
    return pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def assert_shown(board, run, validations: int) -> None:
    events = board.EventAccumulator(str(run.path / "tensorboard")).Reload()
    shown = [(event.step, event.value) for event in events.Scalars("train/loss")]
    logged = [(record["step"], record["loss"]) for record in records(run, "train")]
    assert shown == [(step, pytest.approx(loss)) for step, loss in logged]
    assert len(events.Scalars("validation/perplexity")) == validations


def test_tensorboard_holds_the_records(board, run):
    config = settings(tensorboard=True, max_steps=3)
    fit(ToyTask(config), config, run)
    assert_shown(board, run, validations=1)


def test_tensorboard_forgets_what_a_continuation_replaces(board, run):
    config = settings(tensorboard=True, max_steps=6, checkpoint_every=2, validate_every=2, keep=9)
    fit(ToyTask(config), config, run)
    config = settings(tensorboard=True, max_steps=5, checkpoint_every=2, validate_every=2, lr=0.1)
    fit(ToyTask(config), config, run, from_checkpoint="2")
    assert [record["step"] for record in records(run, "train")] == [1, 2, 3, 4, 5]
    assert_shown(board, run, validations=3)


def test_bf16_trains_and_keeps_32_bit_weights(run):
    config = settings(precision="bf16", epochs=1)
    task = ToyTask(config)
    result = fit(task, config, run)
    assert result.best < 2.3
    assert {p.dtype for p in task.model.parameters()} == {torch.float32}


def test_the_best_is_kept_where_checkpoints_and_validations_do_not_meet(run):
    config = settings(max_steps=12, validate_every=4, checkpoint_every=5, keep=1)
    task = ToyTask(config)
    metrics = iter([3.0, 2.0, 4.0, 5.0])
    task.validate = lambda model: {"loss": next(metrics)}
    fit(task, config, run, console=Console(file=io.StringIO()))
    assert [p.stem for p in list_checkpoints(run.checkpoints)] == ["step-00000008", "step-00000012"]


def test_what_an_earlier_checkpoint_supersedes_is_set_aside(run):
    config = settings(max_steps=9, checkpoint_every=3, keep=9)
    fit(ToyTask(config), config, run, console=Console(file=io.StringIO()))
    log, there = run.metrics_path.read_bytes(), list_checkpoints(run.checkpoints)
    first = there[0].stem
    done = config.model_copy(update={"max_steps": int(first[5:])})
    fit(ToyTask(done), done, run, from_checkpoint=first, console=Console(file=io.StringIO()))
    fit(ToyTask(config), config, run, from_checkpoint=first, console=Console(file=io.StringIO()))
    assert (run.superseded / "metrics.jsonl").read_bytes() == log
    assert {p.name for p in run.superseded.glob("*.json")} == {p.name for p in there[1:]}
    assert {p.stem for p in list_checkpoints(run.superseded)} == {p.stem for p in there[1:]}
