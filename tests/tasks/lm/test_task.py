"""The task in the loop: its loss, its validation, ten golden losses, learning."""

import numpy as np
import pytest
import torch
from rich.console import Console

from loopwise.codec.corpus import Source
from loopwise.errors import ConfigError, DataError, RunError
from loopwise.runs import Run
from loopwise.runtime.load import load
from loopwise.tasks.lm.data import make_corpus
from loopwise.tasks.lm.task import LanguageModelling
from loopwise.tasks.lm.training import train
from loopwise.train.processes import World
from tasks.lm.texts import config, corpus, lines

QUIET = Console(quiet=True)
GOLDEN = [
    5.554404,
    5.519921,
    5.502738,
    5.463261,
    5.431263,
    5.412848,
    5.396138,
    5.371613,
    5.376336,
    5.373310,
]


def fit(settings, path, **options):
    return train(settings, path, corpus(settings), console=QUIET, **options)


def losses(path) -> list[float]:
    return [record["loss"] for record in Run(path).records() if record["kind"] == "train"]


def validate(task: LanguageModelling) -> dict[str, float]:
    with torch.no_grad():
        return task.validate(task.model.eval())


def test_ten_golden_losses(tmp_path):
    settings = config(max_steps=10, dropout_input=0.2, weight_drop=0.2, ar=1.0, tar=1.0)
    fit(settings, tmp_path / "run")
    # float32 sums in another order, on another CPU or with another torch, move a loss by 1e-6 or
    # so; ten steps can make that ten times as much. A changed draw or formula moves it by 1e-2.
    assert losses(tmp_path / "run") == pytest.approx(GOLDEN, abs=1e-4)


def test_the_loss_of_a_window_is_cross_entropy_plus_penalties():
    settings = config(ar=2.0, tar=3.0, dropout_output=0.5)
    task = LanguageModelling(settings, corpus(settings))
    window = task.batches.next()
    torch.manual_seed(5)
    step = task.loss(task.model, window, None)
    torch.manual_seed(5)
    reading = task.model(window.inputs, window.targets)
    torch.manual_seed(5)
    logits, _ = task.model.logits(window.inputs)
    chosen = logits.log_softmax(-1).gather(-1, window.targets[..., None])
    ar = 2 * (reading.dropped**2).mean()
    tar = 3 * (reading.output.diff(dim=0) ** 2).mean()
    torch.testing.assert_close(step.loss, -chosen.mean())
    torch.testing.assert_close(step.penalty, ar + tar)
    assert step.count == 8 * 4


def test_one_batch_is_overfitted():
    settings = config(hidden_size=48, lr=0.02)
    task = LanguageModelling(settings, corpus(settings))
    window = task.batches.next()
    optimizer = torch.optim.Adam(task.model.parameters(), 0.02)
    for _ in range(300):
        optimizer.zero_grad()
        step = task.loss(task.model, window, None)
        step.loss.backward()
        optimizer.step()
    assert step.loss.item() < 0.05


def test_validation_in_one_lane_is_the_score_of_the_bundle(tmp_path):
    settings = config(unit="chars", tied=True, zoneout=0.1)
    task = LanguageModelling(settings, corpus(settings))
    metrics = validate(task)
    task.export(tmp_path / "b.safetensors")
    text = task.corpus.codec.decode(task.corpus.valid)
    score = load(tmp_path / "b.safetensors").score_source(Source("valid", text.encode()))
    assert score.tokens == len(task.corpus.valid)
    assert metrics["loss"] == pytest.approx(score.nats / score.tokens, abs=1e-5)
    assert metrics["perplexity"] == pytest.approx(score.perplexity, rel=1e-5)
    assert metrics["bits_per_character"] == pytest.approx(score.bits_per_character, abs=1e-5)


def test_validation_in_several_lanes_is_the_score_of_parts_read_alone():
    settings = config(valid_batch=3)
    task = LanguageModelling(settings, corpus(settings))
    text = np.concatenate([[task.corpus.codec.start], task.corpus.valid])
    length = (len(text) - 1) // 3
    nats = 0.0
    for lane in range(3):
        part = torch.from_numpy(text[lane * length : (lane + 1) * length + 1]).long()
        logits = task.model.eval().logits(part[:-1, None])[0][:, 0]
        nats += torch.nn.functional.cross_entropy(logits, part[1:], reduction="sum").item()
    assert validate(task)["loss"] == pytest.approx(nats / (3 * length), abs=1e-5)


def test_training_lowers_the_validation_loss_and_the_bundle_is_the_best(tmp_path):
    settings = config(epochs=2)
    before = validate(LanguageModelling(settings, corpus(settings)))["loss"]
    result = fit(settings, tmp_path / "run")
    assert result.best < before - 2
    assert load(tmp_path / "run").info["validation"]["loss"] == result.best


def test_nt_asgd_runs(tmp_path):
    settings = config(optimizer="nt-asgd", lr=5.0, epochs=3, validate_every=5, schedule="constant")
    assert fit(settings, tmp_path / "run").best < 3.5


def test_windows_of_varying_length_scale_the_learning_rate(tmp_path):
    settings = config(vary_window=True, window=20, schedule="constant", max_steps=6)
    fit(settings, tmp_path / "run")
    rates = {r["lr"] for r in Run(tmp_path / "run").records() if r["kind"] == "train"}
    assert len(rates) > 1


def test_equal_seeds_give_equal_runs_and_others_do_not(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        fit(config(max_steps=3, seed=seed, dropout_output=0.3), tmp_path / name)
    assert losses(tmp_path / "a") == losses(tmp_path / "b") != losses(tmp_path / "c")


def test_processes_share_the_lanes():
    settings = config()
    tasks = [LanguageModelling(settings, corpus(settings), World(rank, 2)) for rank in (0, 1)]
    whole = LanguageModelling(config(batch_size=8), corpus(settings)).batches.next()
    parts = [task.batches.next() for task in tasks]
    assert torch.equal(torch.cat([part.inputs for part in parts], dim=1), whole.inputs)
    for ours, theirs in zip(*(task.model.parameters() for task in tasks), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    ("options", "held_out", "message"),
    [
        ({"valid_batch": 50}, ["b"], r"validation text \(b\) has 3 tokens; 50 lanes .*--valid"),
        ({"valid_batch": 50}, ["b", "c"], r"validation text \(b and 1 more\) has 7 tokens"),
        ({"valid_batch": 999}, [], r"validation text \(the end of a and 2 more, held out\) has"),
        ({"batch_size": 900}, ["b"], r"training text \(a and 2 more\) has .*900 .*lower train\.ba"),
    ],
)
def test_texts_too_short_are_told_with_their_files_and_the_way_out(options, held_out, message):
    settings = config(**options)
    texts = [Source(name, lines(3).encode()) for name in ("a", "x", "y")]
    valid = [Source(name, b"abc") for name in held_out] or None
    with pytest.raises(DataError, match=message):
        LanguageModelling(settings, make_corpus(texts, valid, settings.data))


@pytest.mark.parametrize("problem", ["short text", "no text"])
def test_nothing_is_written_before_the_text_is_read(problem, tmp_path):
    settings = config(batch_size=10**6) if problem == "short text" else config()
    fit(config(max_steps=1), tmp_path / "old")
    given = corpus(settings) if problem == "short text" else None
    for path in (tmp_path / "old", tmp_path / "new"):
        with pytest.raises(DataError):
            train(settings, path, given, overwrite=True, console=QUIET)
    assert load(tmp_path / "old").info
    assert not (tmp_path / "new").exists()


def test_resuming_with_another_text_or_model_is_refused_and_leaves_the_run_alone(tmp_path):
    settings = config(max_steps=4)
    fit(settings, tmp_path)
    before = (tmp_path / "config.toml").read_text()
    longer = config(max_steps=6)
    swapped = corpus(settings)
    swapped.train[:2] = swapped.train[1::-1]
    with pytest.raises(DataError, match="the checkpoint was trained on other tokens"):
        train(longer, tmp_path, swapped, resume=True, console=QUIET)
    with pytest.raises(DataError, match=r"lanes of \d+ tokens, the text now gives"):
        train(longer, tmp_path, corpus(settings, 70), resume=True, console=QUIET)
    with pytest.raises(ConfigError, match=r"checkpoint is of another model: .* is .* in it and"):
        fit(config(max_steps=6, hidden_size=17), tmp_path, resume=True)
    assert (tmp_path / "config.toml").read_text() == before
    assert fit(longer, tmp_path, resume=True).steps == 6
    assert "max_steps = 6" in (tmp_path / "config.toml").read_text()


@pytest.mark.parametrize(
    ("valid", "options", "changed"),
    [
        (lines(9), {}, False),
        (lines(9, seed=2), {}, True),
        (lines(9), {"valid_batch": 2}, True),
    ],
)
def test_validation_on_something_else_begins_anew(valid, options, changed, tmp_path, capsys):
    def read(settings, valid):
        texts = ([Source("t", text.encode())] for text in (lines(60), valid))
        return make_corpus(*texts, settings.data)

    first, then = config(max_steps=4), config(max_steps=6, **options)
    train(first, tmp_path, read(first, lines(9)), console=QUIET)
    train(then, tmp_path, read(then, valid), resume=True)
    assert ("validation has changed" in capsys.readouterr().out) == changed


def test_a_run_that_could_not_begin_is_no_run(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(ConfigError, match="torch finds no CUDA device"):
        fit(config(device="cuda"), tmp_path)
    assert fit(config(max_steps=1), tmp_path).steps == 1


def test_a_model_that_no_memory_holds_is_told_and_nothing_written(tmp_path):
    message = r"model: no memory for it; lower model.hidden_size"
    with pytest.raises(ConfigError, match=message):
        fit(config(hidden_size=10**7), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_resuming_what_is_no_run_is_told(tmp_path):
    with pytest.raises(RunError, match="not a run: no such directory"):
        fit(config(), tmp_path / "none", resume=True)
