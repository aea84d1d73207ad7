"""The task in the loop: its loss, its validation, ten golden losses, learning, resuming."""

import os
import signal

import numpy as np
import pytest
import torch
from rich.console import Console
from torch.nn import functional

from loopwise.codec.sentences import train_translation_codec
from loopwise.codec.translation_metrics import translation_score
from loopwise.errors import DataError
from loopwise.runs import Run
from loopwise.runtime.load import load
from loopwise.runtime.translation_network import head
from loopwise.tasks.translation.sample import sample_of
from loopwise.tasks.translation.task import TranslationTask
from loopwise.tasks.translation.training import make_task, train
from loopwise.train import loop
from loopwise.train.processes import World
from tasks.translation.texts import config, pairs

QUIET = Console(quiet=True)
GOLDEN = [
    2.193000,
    2.176522,
    2.191179,
    2.188338,
    2.161043,
    2.134243,
    2.195887,
    2.147732,
    2.169394,
    2.165119,
]
TIMES = {"seconds", "tokens_per_second"}


def fit(settings, path, **options):
    return train(settings, path, pairs(80), pairs(20, seed=2), console=QUIET, **options)


def task(settings, world=None) -> TranslationTask:
    return make_task(settings, world or World(), pairs(80), pairs(20, seed=2))


def losses(path) -> list[float]:
    return [record["loss"] for record in Run(path).records() if record["kind"] == "train"]


def records(path) -> list[dict]:
    return [{k: v for k, v in r.items() if k not in TIMES} for r in Run(path).records()]


def test_ten_golden_losses(tmp_path):
    settings = config(max_steps=10, log_every=1, dropout_input=0.2, dropout_readout=0.2, ar=1.0)
    fit(settings, tmp_path / "run")
    # as for language models: another CPU moves a loss by 1e-5 or so, another formula by 1e-2
    assert losses(tmp_path / "run") == pytest.approx(GOLDEN, abs=1e-4)


def test_the_loss_is_cross_entropy_and_smoothing_stands_apart():
    made = task(config(label_smoothing=0.2, ar=2.0))
    batch = made.batches.next()
    step = made.loss(made.model, batch, None)
    memory, start = made.model.encode(batch.source, batch.source_lengths)
    decoding = made.model.decode(batch, memory, start)
    weight, bias = head(made.model.description, made.model.own())
    there = batch.targets >= 0
    logits = functional.linear(decoding.readout[there], weight, bias)
    targets = batch.targets[there]
    plain = functional.cross_entropy(logits, targets)
    smoothed = functional.cross_entropy(logits, targets, label_smoothing=0.2)
    torch.testing.assert_close(step.loss, plain)
    ar = 2 * decoding.dropped.square().mean()
    torch.testing.assert_close(step.penalty, smoothed - plain + ar)
    assert step.count == int(there.sum())


@pytest.mark.parametrize("options", [{}, {"bidirectional": False, "wait": 2}, {"coverage": True}])
def test_validation_is_the_score_of_the_bundle(tmp_path, options):
    made = task(config(**options))
    with torch.no_grad():
        metrics = made.validate(made.model.eval())
    made.export(tmp_path / "b.safetensors")
    loaded = load(tmp_path / "b.safetensors")
    held = pairs(20, seed=2)
    nats = -np.concatenate(loaded.log_probs(held.sources, held.targets))
    assert metrics["loss"] == pytest.approx(nats.mean(), abs=1e-5)
    assert metrics["perplexity"] == pytest.approx(np.exp(nats.mean()), rel=1e-4)
    measured = sample_of(held).measure(loaded)
    assert measured.metric == pytest.approx(metrics["perplexity"], rel=1e-4)
    np.testing.assert_array_equal(measured.outputs, -nats)


@pytest.mark.parametrize("options", [{}, {"bidirectional": False, "wait": 2}])
def test_validation_translates_as_the_bundle_does(tmp_path, options):
    made = task(config(valid_bleu=10, unit="chars", **options))
    with torch.no_grad():
        metrics = made.validate(made.model.eval())
    made.export(tmp_path / "b.safetensors")
    loaded, held = load(tmp_path / "b.safetensors"), pairs(20, seed=2)
    if options:
        stream = loaded.stream()
        found = [stream.translate(source) for source in held.sources[:10]]
    else:
        found = loaded.translate(held.sources[:10], beam_size=1)
    assert metrics["bleu"] == translation_score(found, held.targets[:10]).bleu


def test_a_small_language_is_learned_with_its_word_order(tmp_path):
    settings = config(
        hidden_size=24, epochs=30, lr=0.02, batch_tokens=200, warmup=0.1, validate_every=1000
    )
    train(settings, tmp_path / "run", pairs(300), pairs(40, seed=2), console=QUIET)
    model = load(tmp_path / "run")
    fresh = pairs(30, seed=5)
    assert model.translate(fresh.sources) == fresh.targets
    aligned = model.align("eins zwei drei vier", "one two three four")
    assert len(aligned.pairs) == 4


def test_a_small_language_is_translated_word_by_word(tmp_path):
    settings = config(
        hidden_size=24,
        epochs=30,
        lr=0.02,
        batch_tokens=200,
        warmup=0.1,
        wait=1,
        bidirectional=False,
        validate_every=1000,
    )
    train(settings, tmp_path / "run", pairs(300), pairs(40, seed=2), console=QUIET)
    stream = load(tmp_path / "run").stream()
    assert [stream.push(word) for word in ("eins", "drei", "zwei")] == [["one"], ["three"], ["two"]]
    assert stream.finish() == []
    assert stream.delays == [1, 2, 3]


def stop_in(made: TranslationTask, step: int) -> None:
    """Send this process a signal in the loss of a step, counted from 1."""
    own, steps = made.loss, []

    def loss(*args):
        steps.append(1)
        if len(steps) == step:
            os.kill(os.getpid(), signal.SIGTERM)
        return own(*args)

    made.loss = loss


@pytest.mark.parametrize("options", [{}, {"unit": "bpe", "bpe_dropout": 0.1, "vocab_size": 280}])
def test_a_continued_run_is_the_uninterrupted_one(tmp_path, options):
    settings = config(
        epochs=2,
        batch_tokens=120,
        log_every=1,
        checkpoint_every=1,
        dropout_input=0.3,
        average=0.9,
        **options,
    )
    fit(settings, tmp_path / "whole")
    cut = Run.create(tmp_path / "cut")
    for stop in (2, 8):  # in the first epoch, and in one after it
        made = task(settings)
        stop_in(made, stop)
        assert loop.fit(made, settings.train, cut, resume=True).stopped == "interrupted"
    made = task(settings)
    assert loop.fit(made, settings.train, cut, resume=True).stopped == "finished"
    assert records(tmp_path / "cut") == records(tmp_path / "whole")
    whole, again = load(tmp_path / "whole"), load(tmp_path / "cut")
    assert whole.bundle.fingerprint == again.bundle.fingerprint


def test_processes_share_the_batches():
    settings = config()
    parts = [task(settings, World(rank, 2)) for rank in (0, 1)]
    whole = task(settings)
    first = whole.batches.next()
    assert torch.equal(parts[0].batches.next().source, first.source)
    assert torch.equal(parts[1].batches.next().source, whole.batches.next().source)
    for ours, theirs in zip(*(part.model.parameters() for part in parts), strict=True):
        assert torch.equal(ours, theirs)


def test_equal_seeds_give_equal_runs_and_others_do_not(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        fit(config(max_steps=3, log_every=1, seed=seed, dropout_output=0.3), tmp_path / name)
    assert losses(tmp_path / "a") == losses(tmp_path / "b") != losses(tmp_path / "c")


def test_other_pairs_cannot_continue_a_run(tmp_path):
    fit(config(max_steps=4), tmp_path)
    with pytest.raises(DataError, match="the checkpoint is of other batches: its pairs were"):
        train(
            config(max_steps=6), tmp_path, pairs(81), pairs(20, seed=2), resume=True, console=QUIET
        )


def test_a_vocabulary_is_of_the_training_pairs_alone():
    made = task(config())
    assert (
        made.codec.to_json()
        == train_translation_codec(pairs(80).sources, pairs(80).targets, unit="words").to_json()
    )
