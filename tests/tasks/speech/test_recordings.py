"""What is learned from: real recordings, parts of files, what is held out."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from loopwise.codec.audio.options import FeatureOptions
from loopwise.codec.speech.files import read_utterances
from loopwise.codec.speech.utterances import Utterance, Utterances
from loopwise.errors import ConfigError, DataError
from loopwise.runtime.load import load
from loopwise.tasks.speech.config import SpeechConfig
from loopwise.tasks.speech.recordings import read_sound, steps_needed
from loopwise.tasks.speech.training import make_task, train
from loopwise.tasks.speech.utterances import hold_out
from loopwise.train.processes import World
from tasks.speech.sounds import SMALL, write_manifest

WORDS = {0: "zero", 1: "one", 2: "two", 7: "seven"}


def recordings(indices):
    folder = Path(os.environ.get("LOOPWISE_DATA") or "nowhere") / "fsdd/recordings"
    if not folder.exists():
        pytest.skip("LOOPWISE_DATA does not name a folder with fsdd")
    return Utterances(
        tuple(
            Utterance(folder / f"{digit}_jackson_{index}.wav", word, "jackson")
            for digit, word in WORDS.items()
            for index in indices
        )
    )


def test_its_words_are_found(tmp_path):
    config = SpeechConfig.from_settings(
        "test",
        (),
        unit="words",
        order=0,
        rate=8000,
        hidden_size=32,
        num_layers=1,
        dropout_output=0.1,
        epochs=14,
        lr=0.01,
        time_masks=0,
        threads=1,
    )
    out = tmp_path / "run"
    train(config, out, recordings(range(5, 50)), recordings(range(5)), console=Console(quiet=True))
    held = recordings(range(5))
    heard = load(out).recognitions([each.audio for each in held])
    right = [ours.text == theirs for ours, theirs in zip(heard, held.texts, strict=True)]
    assert np.mean(right) >= 0.9
    longest = 1.2  # seconds; no recording is longer
    assert all(0 <= word.start < word.end <= longest for each in heard for word in each.words)


def test_a_transducer_needs_no_step_for_each_unit():
    said, other = np.array([1, 1, 2, 3, 3, 3]), np.array([1, 2])
    assert steps_needed([said], ctc=True) == 6 + 3
    assert steps_needed([said], ctc=False) == 2
    assert steps_needed([other, said], ctc=False) == 6 + 3  # a lower layer's units are by CTC
    assert steps_needed([said[:0]], ctc=False) == steps_needed([said[:0]], ctc=True) == 1


def test_what_is_too_short_for_ctc_is_learned_from_by_a_transducer_alone(tmp_path):
    parts = [read_utterances(write_manifest(tmp_path, name, 6, 1)) for name in "ab"]
    options = {**SMALL, "unit": "chars", "stride": 12}

    def task_of(share):
        return make_task(
            SpeechConfig.from_settings("test", (), **options, transducer=share), World(), *parts
        )

    with pytest.raises(DataError, match="too short for"):
        task_of(0.5)
    task = task_of(1.0)
    batch = task.batches.next()
    assert (batch.texts.lengths > batch.lengths // 12 + 1).any()
    found = task.loss(task.model, batch, None)
    assert torch.isfinite(found.loss)


def test_a_part_of_ready_features_is_within_them(tmp_path):
    frames = np.arange(100 * 13, dtype=np.float32).reshape(100, 13)
    np.save(tmp_path / "a.npy", frames)
    options = FeatureOptions(kind="mfcc", ready=True)

    def part(start, end):
        return read_sound(Utterance(tmp_path / "a.npy", "do", start=start, end=end), options)

    np.testing.assert_array_equal(part(0.25, 0.5), frames[25:50])
    np.testing.assert_array_equal(part(0.9, 1.05), frames[90:])
    for start, end, told in ((None, 10.0, "0 to 10 s"), (1.0, None, "1 to the end s")):
        with pytest.raises(DataError, match=rf"a\.npy: holds 1 s of frames, wanted is {told}"):
            part(start, end)
    with pytest.raises(DataError, match="wanted is 0 to 1e"):
        part(None, 1e300)


def test_words_that_all_were_held_out_are_known(tmp_path):
    write_manifest(tmp_path, "a", 12, 1)
    every = read_utterances(tmp_path / "a.jsonl")
    alone = every.choose([row for row, text in enumerate(every.texts) if "fa" not in text.split()])
    config = SpeechConfig.from_settings("test", (), **SMALL)
    extra = Utterance(every[0].audio, "fa", "s9")
    both = Utterances((*alone, extra), "both")
    learned, held = hold_out(both, 0.1)
    while "fa" not in held.texts:  # who is drawn depends on the name
        extra = replace(extra, speaker=f"{extra.speaker}x")
        both = Utterances((*alone, extra), "both")
        learned, held = hold_out(both, 0.1)
    assert "fa" not in " ".join(learned.texts)
    task = make_task(config, World(), both)
    assert "fa" in task.codec.units.symbols
    with pytest.raises(DataError, match="not in the vocabulary: 'fa'"):
        make_task(config, World(), learned, held)


def test_features_that_cannot_be_are_named(tmp_path):
    parts = [read_utterances(write_manifest(tmp_path, name, 4, 1)) for name in "ab"]
    config = SpeechConfig.from_settings("test", (), **{**SMALL, "hop": 0.00001})
    with pytest.raises(ConfigError, match=r"features\.hop=1e-05: must be"):
        make_task(config, World(), *parts)
