import numpy as np
import pytest

from loopwise.codec.audio.running import RunningMean

from .signals import noise


@pytest.mark.parametrize("prior", [0.0, 20.0])
def test_means_are_what_their_recurrence_says(prior):
    frames, mean = noise(400, 3), np.array([0.5, -0.2, 0.0])
    keep, total, number, wanted = np.exp(-1 / 50), mean * prior, prior, []
    for frame in frames.astype(np.float64):
        total, number = keep * total + frame, keep * number + 1
        wanted.append(total / number)
    running = RunningMean(mean, prior, 50)
    np.testing.assert_allclose(running.push(frames), wanted, rtol=1e-10, atol=1e-12)
    running.reset()
    assert running.push(frames[:0]).shape == (0, 3)
    np.testing.assert_allclose(running.push(frames[:7]), wanted[:7], rtol=1e-10, atol=1e-12)


def test_what_was_long_ago_is_forgotten():
    running = RunningMean(np.array([100.0]), 10, 5)
    found = running.push(np.ones((200, 1), np.float32))
    assert found[0, 0] > 80
    assert found[-1, 0] == pytest.approx(1, abs=1e-9)
