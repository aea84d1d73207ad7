"""What a recognizer in training is judged by."""

import pytest
import torch
from rapidfuzz.distance import Levenshtein

from loopwise.codec.speech.files import read_utterances
from loopwise.runtime.recognizer import LoadedRecognizer
from loopwise.tasks.speech.config import SpeechConfig
from loopwise.tasks.speech.model import disagreement
from loopwise.tasks.speech.training import make_task
from loopwise.train.processes import World
from tasks.speech.sounds import SMALL, write_manifest


def test_members_learn_as_each_would_alone(tmp_path):
    for name in ("train", "valid"):
        write_manifest(tmp_path, name, 6, 1)
    parts = [read_utterances(tmp_path / f"{name}.jsonl") for name in ("train", "valid")]
    options = {**SMALL, "auxiliary": "chars", "transducer": 0.25, "ar": 0.5}
    options["predictor_dropout"] = 0.0

    def task_of(members, **more):
        config = SpeechConfig.from_settings("test", (), **options, members=members, **more)
        return make_task(config, World(), *parts)

    both, alone = task_of(2), task_of(1)
    batch = both.batches.next()
    together = both.loss(both.model, batch, None)
    (together.loss + together.penalty).backward()
    losses = []
    for member in both.model.members:
        alone.model.members[0].load_state_dict(member.state_dict())
        alone.model.zero_grad()
        own = alone.loss(alone.model, batch, None)
        (own.loss + own.penalty).backward()
        losses.append(own.loss.item())
        pairs = zip(member.parameters(), alone.model.parameters(), strict=True)
        for ours, theirs in pairs:
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6)
    assert losses[0] != losses[1]
    assert together.loss.item() == pytest.approx(sum(losses) / 2)
    assert together.count == own.count
    drawn = task_of(2, agreement=0.5)
    drawn.model.load_state_dict(both.model.state_dict())
    apart = disagreement(both.model(batch)) / together.count
    assert apart > 1e-3
    more = drawn.loss(drawn.model, batch, None).penalty - together.penalty
    torch.testing.assert_close(more, 0.5 * apart, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_units_wrong_are_those_of_each_head_by_its_share(tmp_path, share):
    for name in ("train", "valid"):
        write_manifest(tmp_path, name, 6, 1)
    config = SpeechConfig.from_settings("test", (), **SMALL, transducer=share)
    parts = [read_utterances(tmp_path / f"{name}.jsonl") for name in ("train", "valid")]
    task = make_task(config, World(), *parts)
    with torch.no_grad():
        found = task.validate(task.model.eval())
    model = LoadedRecognizer(task._bundle())
    frames = [model.frames(each.audio) for each in parts[1]]
    said = [model.codec.units.encode(text).tolist() for text in parts[1].texts]
    weights = {"ctc": 1 - share, "transducer": share}
    rates = {
        method: sum(map(Levenshtein.distance, model.units(frames, method), said))
        / sum(map(len, said))
        for method, weight in weights.items()
        if weight
    }
    assert len(set(rates.values())) == len(rates)  # else the test proves nothing
    expected = sum(weights[method] * rate for method, rate in rates.items())
    assert found["unit_errors"] == pytest.approx(expected)
