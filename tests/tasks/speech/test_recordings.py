"""Real recordings: a recognizer that learns digits from some finds them in others."""

import os
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from loopwise.codec.speech.utterances import Utterance, Utterances
from loopwise.runtime.load import load
from loopwise.tasks.speech.config import SpeechConfig
from loopwise.tasks.speech.training import train

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
