import numpy as np
import pytest

from loopwise.codec.audio.deltas import DeltaStream

from .signals import noise


def slopes(frames):
    """The formula, frame by frame."""
    last = len(frames) - 1

    def at(t):
        return frames[min(max(t, 0), last)].astype(np.float64)

    return np.array(
        [sum(n * (at(t + n) - at(t - n)) for n in (1, 2)) / 10 for t in range(len(frames))]
    )


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 9, 30])
def test_slopes_are_what_their_formula_says(length):
    base = noise(length, 3)
    once = slopes(base)
    stream = DeltaStream(2, 3)
    found = np.concatenate([stream.push(base), stream.finish()])
    np.testing.assert_allclose(found, np.hstack([base, once, slopes(once)]), atol=1e-7)


def test_the_slope_of_a_line_is_its_own():
    line = np.arange(12, dtype=np.float32)[:, None] * [0.5, -2.0]
    stream = DeltaStream(2, 2)
    found = np.concatenate([stream.push(line.astype(np.float32)), stream.finish()])
    np.testing.assert_allclose(found[4:-4, 2:], np.tile([0.5, -2, 0, 0], (4, 1)), atol=1e-7)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_a_frame_comes_two_frames_later_for_each_order(order):
    stream = DeltaStream(order, 3)
    came = [len(stream.push(noise(1, 3, seed=n))) for n in range(8)]
    assert came == [0] * 2 * order + [1] * (8 - 2 * order)
    assert stream.finish().shape == (2 * order, 3 * (1 + order))
    assert stream.finish().shape == (0, 3 * (1 + order))
