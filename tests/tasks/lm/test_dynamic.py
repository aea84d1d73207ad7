"""Dynamic evaluation: plain evaluation at a learning rate of 0, learning above it."""

import pytest

from loopwise.codec.corpus import Source
from loopwise.errors import ConfigError
from loopwise.runtime.load import load
from loopwise.tasks.lm.dynamic import DynamicEvaluation
from loopwise.tasks.lm.task import LanguageModelling
from tasks.lm.texts import config, corpus

SOURCE = Source("repetitive", b"abcabcabc\n" * 40)


def exported(path, **options):
    settings = config(**options)
    task = LanguageModelling(settings, corpus(settings))
    task.export(path / "b.safetensors")
    return load(path / "b.safetensors")


@pytest.mark.parametrize(
    "options", [{}, {"tied": True, "learn_initial_state": True}, {"unit": "chars", "zoneout": 0.1}]
)
def test_without_learning_it_is_plain_evaluation(options, tmp_path):
    model = exported(tmp_path, **options)
    plain = model.score_source(SOURCE)
    dynamic = DynamicEvaluation(model.bundle, lr=0.0).score_source(SOURCE)
    assert dynamic.nats == pytest.approx(plain.nats, rel=1e-5)
    counts = ("tokens", "characters", "bytes", "unknown")
    assert [getattr(dynamic, c) for c in counts] == [getattr(plain, c) for c in counts]


def test_learning_helps_on_a_repetitive_text_and_stays_for_the_next(tmp_path):
    model = exported(tmp_path, learn_initial_state=True)
    plain = model.score_source(SOURCE).nats
    learner = DynamicEvaluation(model.bundle, lr=0.5, window=16)
    first, second = learner.score_source(SOURCE).nats, learner.score_source(SOURCE).nats
    assert first < 0.8 * plain
    assert second < 0.8 * first


def test_full_decay_forgets_at_once(tmp_path):
    model = exported(tmp_path)
    plain = model.score_source(SOURCE).nats
    learner = DynamicEvaluation(model.bundle, lr=0.5, decay=1.0)
    assert learner.score_source(SOURCE).nats == pytest.approx(plain, rel=1e-5)


def test_the_bundle_is_left_alone(tmp_path):
    model = exported(tmp_path)
    before = model.score(["abc"])
    DynamicEvaluation(model.bundle, lr=1.0).score_source(SOURCE)
    assert model.score(["abc"]) == before


@pytest.mark.parametrize("options", [{"lr": -1}, {"decay": 2}, {"decay": -0.1}, {"window": 0}])
def test_options_are_checked(options, tmp_path):
    name = next(iter(options))
    with pytest.raises(ConfigError, match=f"dynamic {name} .*: must be"):
        DynamicEvaluation(exported(tmp_path).bundle, **options)
