"""Utterances that follow each other in training."""

import numpy as np
import pytest

from loopwise.codec.speech.files import read_utterances
from loopwise.errors import ConfigError, DataError
from loopwise.tasks.speech.config import SpeechConfig
from loopwise.tasks.speech.training import make_task
from loopwise.train.processes import World
from tasks.speech.sounds import RATE, SMALL, write_manifest

PLAIN = {"stretch": 0.0, "shift": False, "order": 0, "batch_size": 4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Manifests of 24 utterances of four speakers, and of 4."""
    folder = tmp_path_factory.mktemp("join")
    write_manifest(folder, "train", 24, 1)
    write_manifest(folder, "valid", 4, 2)
    return folder


def task_of(folder, **options):
    config = SpeechConfig.from_settings("test", (), **{**SMALL, **PLAIN, **options})
    parts = [read_utterances(folder / f"{name}.jsonl") for name in ("train", "valid")]
    return make_task(config, World(), *parts)


def epoch(task):
    """Frames and text of each sequence of an epoch."""
    found, batches = [], task.batches
    while True:
        batch = batches.next()
        for row, frames in enumerate(batch.lengths.tolist()):
            units = batch.texts.units[: batch.texts.lengths[row], row]
            found.append((frames, task.codec.units.decode(units.numpy())))
        if batches.starts_epoch:
            return found


@pytest.mark.parametrize("unit", ["words", "chars"])
def test_texts_follow_each_other_as_their_sounds_do(folder, unit):
    alone = sum(frames for frames, _ in epoch(task_of(folder)))
    task = task_of(folder, join=3, unit=unit)
    texts = set(task.train.utterances.texts)
    first, second = epoch(task), epoch(task)
    assert len(first) == len(second) == 24
    assert first != second
    assert sum(frames for frames, _ in first) > 1.5 * alone
    words = [text.split() for _, text in first]
    assert max(map(len, words)) > 4  # none has more alone
    assert not {text for _, text in first} <= texts
    assert {word for row in words for word in row} == {w for text in texts for w in text.split()}


def test_an_epoch_begins_with_each_once_and_others_are_of_the_same_speaker(folder):
    task = task_of(folder, join=3)
    stream, utterances = task.batches, task.train.utterances
    groups = stream._groups
    assert [group[0] for group in groups] == list(range(24))
    assert {len(group) for group in groups} == {1, 2, 3}
    for group in groups:
        assert len({utterances[row].speaker for row in group}) == 1
        text = " ".join(utterances[row].text for row in group)
        assert task.codec.units.decode(task.train.joined(group)[0]) == text


def test_characters_know_the_space_between_single_words(tmp_path):
    parts = []
    for name in ("a", "b"):
        write_manifest(tmp_path, name, 8, 1)
        every = read_utterances(tmp_path / f"{name}.jsonl")
        parts.append(every.choose(i for i, text in enumerate(every.texts) if " " not in text))
    options = {**SMALL, **PLAIN, "unit": "chars", "join": 2, "speed": 0.0}
    task = make_task(SpeechConfig.from_settings("test", (), **options), World(), *parts)
    assert len(parts[0]) > 1
    assert task.codec.units.decode(task.train.joined([0, 1])[0]) == " ".join(parts[0].texts[:2])


def test_none_becomes_longer_than_allowed(folder):
    longest = 2.0
    task = task_of(folder, join=9, max_seconds=longest)
    sizes = [task.batches._sizes[group].sum() * 0.01 for group in task.batches._groups]
    assert 1.5 < max(sizes) <= longest


def test_samples_that_are_changed_are_joined_before(folder):
    plain, fast = (task_of(folder, join=3, speed=speed) for speed in (0.0, 1e-9))
    hop = round(0.01 * RATE)
    for (frames, text), (others, same) in zip(epoch(plain), epoch(fast), strict=True):
        assert text == same
        assert abs(frames - others) <= 3 * (round(0.025 * RATE) // hop)  # windows over the seams


def test_a_place_in_the_stream_is_found_again(folder):
    one, other = task_of(folder, join=2).batches, task_of(folder, join=2).batches
    for _ in range(9):
        one.next()
    other.load_state_dict(one.state_dict())
    for _ in range(5):
        np.testing.assert_array_equal(one.next().frames, other.next().frames)
    with pytest.raises(DataError, match="its joined were 2, not 3"):
        task_of(folder, join=3).batches.load_state_dict(one.state_dict())


def test_at_least_one():
    with pytest.raises(ConfigError, match="join"):
        SpeechConfig.from_settings("test", (), join=0)
