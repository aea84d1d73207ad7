"""Streams of a layer: what the layer computes, flat in memory, right or refused among threads."""

import gc
import resource
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

import loopwise
from loopwise import engine
from loopwise.errors import ConfigError
from loopwise.runtime.steps import NumpySteps

CASES = [
    (loopwise.LSTM, {}),
    (loopwise.GRU, {}),
    (loopwise.RNN, {"nonlinearity": "relu"}),
    (loopwise.LSTM, {"layer_norm": True, "peephole": True, "zoneout": 0.2, "proj_size": 5}),
    (loopwise.GRU, {"layer_norm": True, "zoneout": 0.2}),
]


def numbers(*shape):
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def wide():
    """A layer whose single step lets go of the interpreter."""
    torch.manual_seed(1)
    return loopwise.LSTM(256, 256).eval()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(("kind", "options"), CASES)
def test_streams_are_the_layer(kind, options, dtype):
    layer = kind(7, 9, num_layers=2, dtype=dtype, **options).eval()
    stream = layer.stream()
    assert isinstance(stream._steps, NumpySteps) == (
        dtype == torch.float64 or not engine.available()
    )
    x = numbers(40, 7)
    with torch.no_grad():
        expected = layer(torch.from_numpy(x).to(dtype)[:, None])[0][:, 0].numpy()
    found = np.concatenate([stream.push(x[:3]), [stream.push(x[3])], stream.push(x[4:])])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_both_directions_are_no_stream():
    with pytest.raises(ConfigError, match="bidirectional"):
        loopwise.GRU(2, 3, bidirectional=True).stream()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_steps_leave_memory_flat(dtype):
    if not engine.available():
        pytest.skip("no native engine here, and NumPy would take minutes")
    layer = loopwise.LSTM(4, 8).eval()
    stream, many = layer.stream(dtype=dtype), layer.stream(6, dtype=dtype)
    x, ids = numbers(6, 4), [3, 0, 5]

    def run(steps):
        for i in range(steps):
            stream.push(x[i % 6])
        for _ in range(steps // 20):
            many.step(ids, x[:3])
        gc.collect()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    before = run(2000)
    assert run(1_000_000) - before < 1024  # KiB


def test_threads_with_streams_of_their_own_are_right():
    layer, x = wide(), numbers(100, 256)
    expected = layer.stream().push(x)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: layer.stream().push(x), range(8)):
            np.testing.assert_array_equal(found, expected)


def test_threads_in_one_arena_are_right_once_they_are_not_refused():
    layer, x = wide(), numbers(4, 100, 8, 256)
    expected = [layer.stream(8) for _ in x]
    many, together = layer.stream(32), threading.Barrier(4)
    refused = []

    def feed(part):
        ids, outputs = range(8 * part, 8 * part + 8), []
        together.wait(10)
        while len(outputs) < len(x[part]):
            try:
                outputs.append(many.step(ids, x[part, len(outputs)]))
            except RuntimeError as error:
                refused.append(str(error))
        return outputs

    with ThreadPoolExecutor(4) as pool:
        for found, alone, given in zip(pool.map(feed, range(4)), expected, x, strict=True):
            np.testing.assert_array_equal(found, [alone.step(range(8), step) for step in given])
    assert all("another thread" in message for message in refused)


def test_numpy_refuses_a_second_thread_as_well():
    stream = loopwise.LSTM(2, 3, dtype=torch.float64).stream(2)
    at_work, over = threading.Event(), threading.Event()
    run = stream._steps._run

    def slow(x, state):
        at_work.set()
        assert over.wait(10)
        return run(x, state)

    stream._steps._run = slow
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(stream.push, [1.0, 2.0])
        assert at_work.wait(10)
        for call in (lambda: stream.push([0.0, 0.0]), lambda: stream.step([1], [[0.0, 0.0]]),
                     stream.reset, stream.snapshot):  # fmt: skip
            with pytest.raises(RuntimeError, match="another thread"):
                call()
        over.set()
        assert first.result(10).shape == (3,)
    stream.push([0.0, 0.0])
