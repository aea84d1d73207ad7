"""What is changed of sounds reaches what is learned from."""

import numpy as np
import pytest

from loopwise.codec.audio.mel import cosines
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
    batch = task.batches.next()
    return batch.frames[: batch.lengths[0], 0].numpy()


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


@pytest.mark.parametrize("kind", [{"kind": "logmel"}, {"kind": "mfcc", "coefficients": 16}])
def test_slopes_are_of_what_is_left_of_the_bands(tmp_path, kind):
    for name in ("a", "b"):
        write_manifest(tmp_path, name, 8, 1)
    options = {**kind, "deltas": 1, "normalise": "none"}
    plain, masked = (
        np.split(first_frames(tmp_path, **options, band_masks=masks, band_mask=9), 2, -1)
        for masks in (0, 3)
    )
    if kind["kind"] == "mfcc":  # all of the cosines are there: the spectrum is what it was
        plain, masked = ([part @ cosines(16, 16).T for part in both] for both in (plain, masked))
    changed = [(np.abs(x - y) > 1e-3).any(0) for x, y in zip(plain, masked, strict=True)]
    assert changed[0].any()
    assert not changed[0].all()
    np.testing.assert_array_equal(*changed)
    np.testing.assert_allclose(masked[1][:, changed[0]], 0, atol=1e-3)


def test_noise_must_be_possible():
    with pytest.raises(ConfigError, match=r"needs augment\.noise"):
        SpeechConfig.from_settings("test", (), noises="hum.wav")
    with pytest.raises(ConfigError, match="change samples, and features are ready"):
        SpeechConfig.from_settings("test", (), kind="ready", noise=10.0)
