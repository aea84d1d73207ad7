import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwise.codec.audio.features import FeatureCodec
from loopwise.codec.audio.options import FeatureOptions
from loopwise.errors import ConfigError, DataError, ShapeError

SMALL = {"rate": 8000, "bins": 12, "coefficients": 7}


def noise(count, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, count).astype(np.float32)


def codec(seed=0, **options):
    made = FeatureCodec(FeatureOptions(**SMALL | options))
    return made.fit([made.base(noise(4000, seed + n)) for n in (1, 2)])


def pieces(array, cuts):
    ends = sorted(min(cut, len(array)) for cut in cuts)
    return [array[a:b] for a, b in zip([0, *ends], [*ends, len(array)], strict=True)]


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
    made, samples = codec(kind=kind, deltas=deltas, normalise=normalise), noise(length, 9)
    stream = made.stream()
    for _ in range(2):  # finish makes it as new
        parts = [stream.push(part) for part in pieces(samples, cuts)]
        streamed = np.concatenate([*parts, stream.finish()])
        whole = made.features(samples)
        assert streamed.shape == whole.shape == (max(0, (length - 200) // 80 + 1), made.size)
        assert streamed.dtype == whole.dtype == np.float32
        np.testing.assert_allclose(streamed, whole, rtol=1e-6, atol=1e-6)


def test_json_there_and_back():
    made = codec(kind="mfcc", deltas=2, normalise="running")
    assert FeatureCodec.from_json(json.loads(json.dumps(made.to_json()))) == made
