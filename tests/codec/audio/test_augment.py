import numpy as np
import pytest

from loopwise.codec.audio.analysis import Analysis
from loopwise.codec.audio.augment import (
    add_noise,
    change_speed,
    mask_cepstra,
    mask_frequency,
    mask_time,
    stretch_time,
    warp_cepstra,
    warp_frequency,
)
from loopwise.codec.audio.mel import cosines, hertz, mel
from loopwise.codec.audio.options import FeatureOptions
from loopwise.errors import ConfigError

from .signals import noise, tone


def random(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("factor", [0.9, 1.0, 1.1])
def test_faster_is_shorter_and_higher(factor):
    found = change_speed(tone(500), 16_000, factor)
    assert abs(len(found) - 8000 / factor) <= 1
    inside = slice(800, 6000)
    np.testing.assert_allclose(found[inside], tone(500 * factor)[inside], atol=1e-4)


@pytest.mark.parametrize("snr", [-5.0, 0.0, 20.0])
@pytest.mark.parametrize("background", [None, 100, 50_000])
def test_noise_has_the_power_that_is_asked_for(snr, background):
    samples = tone(500)
    recorded = None if background is None else noise(background, seed=3) + np.float32(0.01)
    added = (add_noise(samples, snr, random(), recorded) - samples).astype(np.float64)
    ratio = np.square(samples, dtype=np.float64).mean() / np.square(added).mean()
    assert 10 * np.log10(ratio) == pytest.approx(snr, abs=0.01)
    if background == 100:  # repeated
        np.testing.assert_allclose(added[:100], added[100:200], atol=1e-6)
    again = add_noise(samples, snr, random(), recorded) - samples
    np.testing.assert_array_equal(again.astype(np.float64), added)
    assert abs(add_noise(samples, snr, random(1), recorded) - samples - added).max() > 1e-3


def test_silence_gets_no_noise_and_silent_noise_changes_nothing():
    silent = np.zeros(100, np.float32)
    np.testing.assert_array_equal(add_noise(silent, 10, random()), silent)
    np.testing.assert_array_equal(add_noise(tone(500), 10, random(), silent), tone(500))


@pytest.mark.parametrize(("length", "factor"), [(10, 2.0), (10, 0.5), (1, 3.0), (7, 1.0), (3, 0.1)])
def test_stretched_lines_stay_lines(length, factor):
    line = np.arange(length, dtype=np.float32)[:, None] * [1.0, -2.0]
    found = stretch_time(line.astype(np.float32), factor)
    count = max(round(length * factor), 1)
    middles = (np.arange(count) + 0.5) * length / count - 0.5
    inside = np.clip(middles, 0, length - 1)
    np.testing.assert_allclose(found, inside[:, None] * [1.0, -2.0], atol=1e-6)
    assert found.dtype == np.float32


def test_nothing_stretched_is_nothing():
    assert stretch_time(noise(0, 4), 1.5).shape == (0, 4)


@pytest.mark.parametrize("factor", [0.92, 1.0, 1.08])
def test_a_warped_tone_is_a_higher_one(factor):
    options = FeatureOptions(low=0.0)
    middles = np.linspace(0, float(mel(8000)), 42)
    lower, higher = (tone(float(hertz(middles[20] * share))) for share in (1, factor))
    warped = warp_frequency(Analysis(options).push(lower), factor)
    wanted = Analysis(options).push(higher)
    assert abs(int(warped[10].argmax()) - int(wanted[10].argmax())) <= 1
    if factor == 1:
        np.testing.assert_allclose(warped, wanted, atol=1e-5)


def test_warping_moves_a_ramp_along_itself():
    ramp = np.arange(1, 21, dtype=np.float32)[None]
    found = warp_frequency(ramp, 1.25)[0]
    np.testing.assert_allclose(found, np.maximum(np.arange(1, 21) / 1.25, 1), rtol=1e-6)
    found = warp_frequency(ramp, 0.8)[0]
    np.testing.assert_allclose(found, np.minimum(np.arange(1, 21) / 0.8, 20), rtol=1e-6)


def test_cepstra_are_warped_as_their_spectrum():
    logmel = noise(5, 20)
    whole = cosines(20, 20)
    found = warp_cepstra((logmel @ whole).astype(np.float32), 1.1, 20) @ whole.T
    np.testing.assert_allclose(found, warp_frequency(logmel, 1.1), atol=1e-6)
    short = noise(5, 13)
    smooth = (short @ cosines(20, 13).T).astype(np.float32)
    wanted = warp_frequency(smooth, 1.1) @ cosines(20, 13)
    np.testing.assert_allclose(warp_cepstra(short, 1.1, 20), wanted, atol=1e-6)
    np.testing.assert_allclose(warp_cepstra(short, 1.0, 20), short, atol=1e-6)


@pytest.mark.parametrize("call", [stretch_time, warp_frequency])
@pytest.mark.parametrize("factor", [0, -1.0, float("nan")])
def test_factors_that_are_none(call, factor):
    with pytest.raises(ConfigError, match="factor="):
        call(noise(5, 4), factor)
    with pytest.raises(ConfigError, match="factor="):
        change_speed(tone(500), 16_000, factor)


def test_masked_time_is_the_mean_in_stretches_no_longer_than_allowed():
    frames, lengths = noise(50, 6), set()
    for seed in range(300):
        masked = mask_time(frames, 1, 4, random(seed))
        changed = np.flatnonzero((masked != frames).any(1))
        lengths.add(len(changed))
        if len(changed):
            assert changed[-1] - changed[0] == len(changed) - 1
            np.testing.assert_array_equal(masked[changed], [frames.mean(0)] * len(changed))
    assert lengths == {0, 1, 2, 3, 4}


def test_masked_bands_are_their_means_over_time():
    frames, touched = noise(50, 6), set()
    for seed in range(300):
        masked = mask_frequency(frames, 2, 2, random(seed))
        changed = np.flatnonzero((masked != frames).any(0))
        touched |= set(changed.tolist())
        assert len(changed) <= 4
        for band in changed:
            np.testing.assert_allclose(
                masked[:, band], frames[:, band].mean(), rtol=1e-5, atol=1e-7
            )
    assert touched == set(range(6))


def test_cepstra_are_masked_as_their_spectrum():
    logmel, whole = noise(50, 20), cosines(20, 20)
    found = mask_cepstra((logmel @ whole).astype(np.float32), 2, 6, 20, random(3)) @ whole.T
    wanted = mask_frequency(logmel, 2, 6, random(3))
    assert (wanted != logmel).any()
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    short = noise(50, 13)
    smooth = (short @ cosines(20, 13).T).astype(np.float32)
    wanted = mask_frequency(smooth, 2, 6, random(3)) @ cosines(20, 13)
    np.testing.assert_allclose(mask_cepstra(short, 2, 6, 20, random(3)), wanted, atol=1e-5)
    np.testing.assert_allclose(mask_cepstra(short, 0, 6, 20, random(3)), short, atol=1e-5)


def test_masks_may_be_longer_than_what_they_mask():
    frames = noise(3, 2)
    assert mask_time(frames, 5, 100, random()).shape == (3, 2)
    assert mask_time(frames[:0], 2, 10, random()).shape == (0, 2)
    np.testing.assert_array_equal(mask_time(frames, 0, 10, random()), frames)
