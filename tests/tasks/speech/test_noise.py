"""Noise from recordings reaches what is learned from."""

import numpy as np
import pytest

from loopwise.errors import ConfigError
from loopwise.tasks.speech.config import SpeechConfig
from loopwise.tasks.speech.training import make_task
from loopwise.train.processes import World
from tasks.speech.sounds import RATE, SMALL, write, write_manifest


def first_frames(folder, **augment):
    data = tuple(str(folder / f"{name}.jsonl") for name in ("a", "b"))
    config = SpeechConfig.from_settings(
        "test", (), **{**SMALL, "stretch": 0.0, "shift": False, **augment}
    )
    named = config.data.model_copy(update={"train": data[:1], "valid": data[1:]})
    task = make_task(config.model_copy(update={"data": named}), World())
    return task.batches.next().frames.numpy()


def test_recordings_of_noise_are_heard(tmp_path):
    for name in ("a", "b"):
        write_manifest(tmp_path, name, 8, 1)
    time = np.arange(RATE) / RATE
    write(tmp_path / "hum.wav", (0.5 * np.sin(2 * np.pi * 3300 * time)).astype(np.float32))
    plain, white, hum = (
        first_frames(tmp_path, **augment)
        for augment in ({}, {"noise": 0.01}, {"noise": 0.01, "noises": str(tmp_path / "hum.wav")})
    )
    assert not np.allclose(plain, white)
    assert not np.allclose(white, hum)


def test_noise_must_be_possible():
    with pytest.raises(ConfigError, match=r"needs augment\.noise"):
        SpeechConfig.from_settings("test", (), noises="hum.wav")
    with pytest.raises(ConfigError, match="change samples, and features are ready"):
        SpeechConfig.from_settings("test", (), kind="ready", noise=10.0)
