import numpy as np
import pytest

from loopwise.codec.audio.analysis import FLOOR, Analysis
from loopwise.codec.audio.mel import filterbank
from loopwise.codec.audio.options import FeatureOptions

from .signals import noise, tone


def defined(samples, options):
    """Base frames, written out sum by sum."""
    length, hop = round(options.window * options.rate), round(options.hop * options.rate)
    size = 2 ** int(np.ceil(np.log2(length)))
    high = options.high or options.rate / 2
    filters = filterbank(options.bins, options.rate, size, options.low, high)
    x = samples.astype(np.float64)
    x = np.array([x[n] - options.preemphasis * (x[n - 1] if n else 0) for n in range(len(x))])
    n = np.arange(length)
    hann = 0.5 * (1 - np.cos(2 * np.pi * n / length))
    frames = []
    for begin in range(0, len(x) - length + 1, hop):
        windowed = x[begin : begin + length] * hann
        power = [
            abs(np.sum(windowed * np.exp(-2j * np.pi * k * n / size))) ** 2
            for k in range(size // 2 + 1)
        ]
        logmel = np.log(np.maximum(filters.T @ power, FLOOR))
        frames.append(logmel if options.kind == "logmel" else cepstra(logmel, options.coefficients))
    return np.array(frames)


def cepstra(logmel, count):
    bins = len(logmel)
    found = [
        np.sqrt(2 / bins)
        * sum(logmel[b] * np.cos(np.pi * c * (b + 0.5) / bins) for b in range(bins))
        for c in range(count)
    ]
    return np.array([found[0] / np.sqrt(2), *found[1:]])


@pytest.mark.parametrize(
    "options",
    [
        FeatureOptions(),
        FeatureOptions(kind="mfcc", bins=26, low=130, high=6800),
        FeatureOptions(rate=8000, preemphasis=0.0, window=0.032, hop=0.016, bins=20),
        FeatureOptions(rate=8000, kind="mfcc", bins=15, coefficients=15),
    ],
)
def test_frames_are_what_their_definition_says(options):
    samples = noise(options.rate // 16)
    np.testing.assert_allclose(
        Analysis(options).push(samples), defined(samples, options), rtol=1e-6, atol=1e-6
    )


def test_frames_are_those_of_librosa():
    # librosa 0.11: stft(n_fft=512, win_length=400, hop_length=160, center=False) of the samples
    # after effects.preemphasis(zi=0) and between 56 zeros, which put its windows where ours are;
    # filters.mel(htk=True, norm=None, fmin=20); feature.mfcc(S=log of their product)
    time = np.arange(8000) / 16_000
    sweep = 0.5 * np.sin(2 * np.pi * (200 + 3000 * time) * time)
    samples = (sweep + 0.05 * np.sin(2 * np.pi * 6000 * time)).astype(np.float32)
    logmel = Analysis(FeatureOptions()).push(samples)
    mfcc = Analysis(FeatureOptions(kind="mfcc")).push(samples)
    assert logmel.shape == (48, 40)
    assert mfcc.shape == (48, 13)
    wanted = [
        [-7.0448, -7.8576, -17.5176, -18.4207, -17.1019],
        [-16.5443, -14.2201, 3.8699, -14.248, -17.3973],
        [-18.4207, -18.4207, -16.3009, -6.8665, -14.4751],
    ]
    np.testing.assert_allclose(logmel[[0, 20, 47], ::8], wanted, atol=1e-4)
    wanted = [
        [-76.2398, -1.5138, -9.4162, 4.7495, -7.7121],
        [-71.0903, -24.1116, -9.3281, 17.4343, -9.3276],
        [-78.5249, 16.195, 10.7023, 17.8284, -1.272],
    ]
    np.testing.assert_allclose(mfcc[[0, 20, 47], ::3], wanted, atol=1e-4)


@pytest.mark.parametrize(
    ("samples", "frames"), [(0, 0), (399, 0), (400, 1), (559, 1), (560, 2), (16_000, 98)]
)
def test_a_frame_is_a_whole_window(samples, frames):
    assert Analysis(FeatureOptions()).push(noise(samples)).shape == (frames, 40)


def test_silence_is_at_the_floor_and_a_tone_in_its_filter():
    options = FeatureOptions(low=0.0)
    np.testing.assert_array_equal(
        Analysis(options).push(np.zeros(800, np.float32)),
        np.full((3, 40), np.float32(np.log(FLOOR))),
    )
    middle = 700 * (10 ** (np.linspace(0, np.log10(1 + 8000 / 700), 42)[21]) - 1)
    frames = Analysis(options).push(tone(middle))
    assert (frames.argmax(1) == 20).all()


def test_long_recordings_are_taken_in_blocks():
    samples, options = noise(150_000), FeatureOptions(rate=8000, bins=10, preemphasis=0.0)
    frames = Analysis(options).push(samples)
    for t in (0, 817, 818, 819, 1636, len(frames) - 1):  # 65,536 samples are 819.2 hops
        (alone,) = Analysis(options).push(samples[t * 80 : t * 80 + 200])
        np.testing.assert_allclose(alone, frames[t], rtol=1e-6)
