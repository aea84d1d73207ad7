import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwise.codec.audio.features import FeatureCodec
from loopwise.codec.audio.files import read_audio
from loopwise.codec.audio.options import FeatureOptions
from loopwise.errors import ConfigError, DataError, ShapeError

from .signals import data, needs_data, noise, pieces

SMALL = {"rate": 8000, "bins": 12, "coefficients": 7}


def codec(**options):
    made = FeatureCodec(FeatureOptions(**SMALL | options))
    return made.fit([made.base(noise(4000, seed=n)) for n in (1, 2)])


@given(
    cuts=st.lists(st.integers(0, 3000), max_size=12),
    length=st.integers(0, 3000),
    kind=st.sampled_from(["logmel", "mfcc"]),
    deltas=st.integers(0, 2),
    normalise=st.sampled_from(["global", "running", "none"]),
)
def test_a_stream_gives_the_frames_of_the_whole_however_it_is_cut(
    cuts, length, kind, deltas, normalise
):
    made = codec(kind=kind, deltas=deltas, normalise=normalise)
    samples, stream = noise(length, seed=9), made.stream()
    whole = made.features(samples)
    assert whole.shape == (max(0, (length - 200) // 80 + 1), made.size)
    for _ in range(2):  # finish makes it as new
        parts = [stream.push(part) for part in pieces(samples, cuts)]
        streamed = np.concatenate([*parts, stream.finish()])
        assert streamed.shape == whole.shape
        assert streamed.dtype == whole.dtype == np.float32
        np.testing.assert_allclose(streamed, whole, rtol=1e-6, atol=1e-6)


@needs_data
@pytest.mark.parametrize("normalise", ["global", "running"])
def test_a_recording_by_single_samples_and_whole(normalise):
    samples, rate = read_audio(data("fsdd", "recordings", "7_jackson_3.wav"))
    made = FeatureCodec(FeatureOptions(rate=rate, deltas=2, normalise=normalise))
    made = made.fit([made.base(samples)])
    stream = made.stream()
    parts = [stream.push(samples[n : n + 1]) for n in range(len(samples))]
    whole = made.features(samples)
    assert len(whole) > 20
    streamed = np.concatenate([*parts, stream.finish()])
    np.testing.assert_allclose(streamed, whole, rtol=1e-6, atol=1e-6)


def test_a_stream_keeps_no_more_after_long_than_after_short():
    stream = codec(deltas=2, normalise="running").stream()

    def kept():
        seen, todo, size = set(), [stream], 0
        while todo:
            value = todo.pop()
            if id(value) in seen:
                continue
            seen.add(id(value))
            if isinstance(value, np.ndarray):
                base = value if value.base is None else value.base
                size += base.nbytes
            elif isinstance(value, list | tuple):
                todo += value
            elif hasattr(value, "__dict__"):
                todo += vars(value).values()
        return size

    samples = noise(4000)
    stream.push(samples)
    early = kept()
    for _ in range(50):
        stream.push(samples)
    assert 0 < kept() <= early


def test_reset_forgets():
    made = codec(deltas=1, normalise="running")
    stream = made.stream()
    stream.push(noise(3000, seed=5))
    stream.reset()
    samples = noise(2000, seed=6)
    again = np.concatenate([stream.push(samples), stream.finish()])
    np.testing.assert_allclose(again, made.features(samples), rtol=1e-6, atol=1e-6)


def test_frames_come_lag_frames_after_their_window():
    made = codec(deltas=2)
    stream = made.stream()
    assert made.options.lag == 4
    came = [len(stream.push(noise(80, seed=n))) for n in range(12)]
    assert came == [0] * 6 + [1] * 6  # a window is complete within the third hop


@pytest.mark.parametrize("normalise", ["global", "utterance", "running"])
def test_training_data_has_unit_deviation_about_the_mean_that_is_taken(normalise):
    made = FeatureCodec(FeatureOptions(**SMALL, deltas=1, normalise=normalise))
    bases = [made.base(noise(4000, seed=n) * (1 + n)) for n in range(3)]
    made = made.fit(bases)
    frames = [made.finish_frames(base) for base in bases]
    every = np.concatenate(frames).astype(np.float64)
    np.testing.assert_allclose(np.square(every).mean(0), 1, rtol=1e-5)
    if normalise == "utterance":
        for utterance in frames:
            np.testing.assert_allclose(utterance.mean(0), 0, atol=1e-5)
    elif normalise == "global":
        np.testing.assert_allclose(every.mean(0), 0, atol=1e-5)
        assert abs(frames[0].mean(0)[:12]).min() > 0.5  # of louder ones it lies elsewhere


def test_without_normalisation_frames_are_base_frames():
    made = codec(normalise="none")
    samples = noise(2000)
    np.testing.assert_array_equal(made.features(samples), made.base(samples))
    assert made.deviation == ()


def test_features_that_never_vary_are_only_centred():
    made = FeatureCodec(FeatureOptions(**SMALL))
    silent = made.base(np.zeros(4000, np.float32))
    frames = made.fit([silent]).finish_frames(silent)
    np.testing.assert_allclose(frames, 0, atol=1e-5)


@pytest.mark.parametrize("normalise", ["utterance", "global", "running"])
def test_ready_frames_get_slopes_and_are_normalised(normalise):
    options = FeatureOptions(kind="mfcc", ready=True, deltas=2, normalise=normalise)
    bases = [noise(30, 13, seed=n) for n in range(3)]
    made = FeatureCodec(options).fit(bases)
    whole = made.finish_frames(bases[0])
    assert whole.shape == (30, 39) == (30, made.size)
    for call in (made.base, made.features):
        with pytest.raises(ConfigError, match="come from files"):
            call(noise(1000))
    if normalise == "utterance":
        with pytest.raises(ConfigError, match="known only at its end"):
            made.stream()
        return
    stream = made.stream()
    parts = [stream.push_frames(base) for base in pieces(bases[0], [1, 1, 9, 28])]
    streamed = np.concatenate([*parts, stream.finish()])
    np.testing.assert_allclose(streamed, whole, rtol=1e-6, atol=1e-6)
    with pytest.raises(ConfigError, match="come from files"):
        stream.push(noise(1000))


def test_frames_of_another_size():
    made = codec()
    for call in (made.finish_frames, made.stream().push_frames, lambda base: made.fit([base])):
        with pytest.raises(ShapeError, match=r"frames \[5, 13\]: must be \[T, 12\]"):
            call(noise(5, 13))
    with pytest.raises(ConfigError, match="there are none"):
        made.fit([noise(0, 12)])


def test_what_no_codec_can_be():
    options = FeatureOptions(**SMALL)
    for mean, deviation in (((0.0,), ()), ((), (0.0,) * 12), ((float("nan"),) * 12, ())):
        with pytest.raises(ConfigError, match=r"mean|deviation"):
            FeatureCodec(options, mean, deviation)
    with pytest.raises(ConfigError, match="fewer bins"):
        FeatureCodec(FeatureOptions(rate=8000, bins=200))


def test_json_there_and_back():
    made = codec(kind="mfcc", deltas=2, normalise="running")
    assert FeatureCodec.from_json(json.loads(json.dumps(made.to_json()))) == made


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"unit": "chars"},
        {"options": []},
        {"options": {"bins": 0}},
        {"options": {"sort": 1}},
        {"mean": None},
        {"mean": 3},
        {"mean": ["a"] * 12},
        {"deviation": [1.0]},
        {"deviation": {}, "mean": {"a": 1}},
    ],
)
def test_json_that_describes_none(change):
    with pytest.raises(DataError, match="codec of features"):
        FeatureCodec.from_json(codec().to_json() | change)
    for other in (None, [], "x", {}):
        with pytest.raises(DataError, match="codec of features"):
            FeatureCodec.from_json(other)
