"""Streams of the engine: equal to NumPy's, to themselves however they are fed, flat in memory."""

import dataclasses
import gc
import math
import resource
import threading

import numpy as np
import pytest

from loopwise import engine
from loopwise.codec.corpus import Source
from loopwise.errors import ConfigError, DataError
from loopwise.export.precision import lower
from loopwise.runtime import loaded, native, steps
from loopwise.runtime.bundle import Bundle
from loopwise.runtime.cache import NeuralCache
from loopwise.runtime.description import parse_description
from loopwise.runtime.language_model import LoadedLanguageModel
from loopwise.runtime.shapes import parameter_shapes
from runtime.tiny import CELLS, CODECS, description, draw, layer

pytestmark = pytest.mark.skipif(not engine.available(), reason="no native engine is installed")

IDS = np.random.default_rng(1).integers(0, 256, 200)


def single(cell="lstm", **options):
    """Two layers in float32, as the engine takes them; sizes that leave tiles unfilled."""
    options |= {"learn_initial_state": True}
    if "zoneout" in options and cell == "lstm":
        options["zoneout"] = [options["zoneout"][0]] * 2
    model = description(
        layer(cell, input_size=20, hidden_size=37, **options),
        layer(cell, input_size=37, hidden_size=37, **options | {"residual": True}),
        vocabulary=256,
    )
    tensors = draw(parse_description(model).tensor_shapes(), scale=0.15)
    return LoadedLanguageModel(
        Bundle("language-model", model, CODECS["bytes"].to_json(), tensors, {})
    )


@pytest.mark.parametrize("rows", [1, native.MANY])
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_layer_packs_its_weights_once_for_few_rows(cell, rows, monkeypatch):
    described = parse_description(description(layer(cell, input_size=20, hidden_size=37))).layers[0]
    tensors = draw({f"{k}_l0": v for k, v in parameter_shapes(described).items()}, scale=0.15)
    calls = {"pack": 0, "packed": 0}
    forward, pack = engine.forward, engine.pack

    def counted_forward(*args, **arrays):
        calls["packed"] += "packed_w_ih" in arrays
        forward(*args, **arrays)

    def counted_pack(*args):
        calls["pack"] += 1
        return pack(*args)

    monkeypatch.setattr(engine, "forward", counted_forward)
    monkeypatch.setattr(engine, "pack", counted_pack)
    made = native.native_layer(described, tensors)
    x = np.random.default_rng(0).standard_normal((6, rows, 20), np.float32)
    state = tuple(np.zeros((rows, 37), np.float32) for _ in described.state_sizes)
    for _ in range(3):
        made.read(x, state)
    few = rows < native.MANY
    assert calls == {"pack": 2 * few, "packed": 3 * few}


def in_numpy(model, ids, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(loaded, "engine_takes", lambda *_: False)
        stream = model.stream()
        assert isinstance(stream._steps, steps.NumpySteps)
        return stream.push(ids)


@pytest.mark.parametrize("options", [{}, {"layer_norm": True}, {"zoneout": [0.2]}], ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_the_engine_equals_numpy(cell, options, monkeypatch):
    model = single(cell=cell, **options)
    stream = model.stream()
    assert not isinstance(stream._steps, steps.NumpySteps)
    np.testing.assert_allclose(
        stream.push(IDS), in_numpy(model, IDS, monkeypatch), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("cell", CELLS)
def test_cuts_change_no_bit(cell):
    model = single(cell=cell)
    whole = model.stream().push(IDS)
    stream = model.stream()
    np.testing.assert_array_equal([stream.push(int(i)) for i in IDS], whole)
    stream.reset()
    parts = [stream.push(part) for part in np.split(IDS, [1, 3, 70, 71, 140])]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("count", [1, 2, 5, 6, 7, 8, 9, 17, 32])
@pytest.mark.parametrize("cell", CELLS)
def test_neighbours_change_no_bit(cell, count):
    model = single(cell=cell)
    alone = model.stream().push(IDS[:20])
    many = model.stream(40)
    rng = np.random.default_rng(count)
    for t in range(20):
        ids = rng.choice(39, count - 1, replace=False) if count > 1 else np.zeros(0, int)
        at = int(rng.integers(0, count))
        ids, x = np.insert(ids, at, 39), np.insert(rng.integers(0, 256, count - 1), at, IDS[t])
        np.testing.assert_array_equal(many.step(ids, x)[at], alone[t])


@pytest.mark.parametrize(("dtype", "limit"), [("bfloat16", 0.02), ("int8", 0.05)])
@pytest.mark.parametrize("options", [{}, {"layer_norm": True}], ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_lower_precisions_are_near_and_no_bit_depends_on_cuts_or_neighbours(
    cell, options, dtype, limit
):
    model = single(cell, **options)
    exact, near = model.stream().push(IDS), model.stream(dtype=dtype).push(IDS)
    off = np.sqrt(np.square(exact - near).mean() / np.square(exact).mean())
    assert 0 < off < limit
    stream, many = model.stream(dtype=dtype), model.stream(9, dtype=dtype)
    for i, expected in zip(IDS[:30], near, strict=False):
        np.testing.assert_array_equal(stream.push(i), expected)
        beside = many.step(range(9), [3, 4, 5, 6, i, 7, 8, 9, 0])
        np.testing.assert_array_equal(beside[4], expected)


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
@pytest.mark.parametrize("cell", CELLS)
def test_a_bundle_of_a_lower_precision_runs_in_it(cell, dtype):
    exact = single(cell).bundle
    model = LoadedLanguageModel(lower(exact, dtype, None, math.inf))
    logits = model.stream().push(IDS)
    np.testing.assert_array_equal(model.stream(dtype=dtype).push(IDS), logits)
    rounded = model.stream(dtype="float32").push(IDS)
    if dtype == "bfloat16":  # the same numbers, only narrower
        np.testing.assert_array_equal(logits, rounded)
    else:  # activations are rounded, too
        assert np.abs(logits - rounded).max() > 1e-4
    # the same weights as if the engine had rounded them itself, but for the embedding
    tensors = exact.tensors | {"embedding.weight": model.bundle.tensors["embedding.weight"]}
    itself = LoadedLanguageModel(dataclasses.replace(exact, tensors=tensors))
    np.testing.assert_array_equal(itself.stream(dtype=dtype).push(IDS), logits)


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_scores_of_a_lower_precision_are_those_of_its_streams(dtype, monkeypatch):
    model = LoadedLanguageModel(lower(single().bundle, dtype, None, math.inf))
    texts = [bytes(IDS[:n].astype(np.uint8)) for n in (200, 3, 0, 70)]
    expected = [-nats_by_steps(model, text) for text in texts]
    np.testing.assert_allclose(model.score(texts), [sum(nats) for nats in expected], rtol=1e-5)
    tokens = [token.nats for token in model.score_tokens(texts[0])]
    np.testing.assert_allclose(tokens, -expected[0], rtol=1e-4, atol=1e-4)
    score = model.score_source(Source("text", texts[0]))
    assert score.nats == pytest.approx(sum(tokens))
    cached = model.score_source(Source("text", texts[0]), cache=NeuralCache(interpolation=0))
    assert cached.nats == pytest.approx(score.nats, rel=1e-3)
    with monkeypatch.context() as patch:  # without the engine: the rounded weights in float32
        patch.setattr(loaded, "engine_takes", lambda *_: False)
        assert isinstance(model.stream()._steps, steps.NumpySteps)
        assert model.score(texts[0]) == pytest.approx([-score.nats], rel=1e-3)
        with pytest.raises(ConfigError, match=r"needs the native engine"):
            model.stream(dtype=dtype)


def nats_by_steps(model, text):
    stream, nats = model.stream(), []
    for before, i in zip([model.codec.start, *text], text, strict=False):
        logits = stream.push(before).astype(float)
        nats.append(np.logaddexp.reduce(logits) - logits[i])
    return np.array(nats)


def test_an_unknown_precision_is_refused():
    with pytest.raises(ConfigError, match=r"dtype='float16'.*float32, bfloat16, int8"):
        single().stream(dtype="float16")


def test_states_are_the_streams_own():
    model = single()
    many = model.stream(3)
    many.step([0, 2], [5, 7])
    kept = many.snapshot(2)
    first = many.step([2], [9])
    many.restore(kept, 1)
    np.testing.assert_array_equal(many.step([1], [9]), first)
    many.reset(2)
    np.testing.assert_array_equal(many.step([2], [5])[0], model.stream().push(5))
    lone = model.stream()
    lone.restore(kept)
    np.testing.assert_array_equal(lone.push(9), first[0])


@pytest.mark.parametrize(
    ("streams", "x", "message"),
    [
        ([3], [1], "from 0 to 2"),
        ([-1], [1], "from 0 to 2"),
        ([1, 1], [1, 2], "once"),
        ([0, 1], [1], "1 inputs"),
        ([0], [256], "token id 256"),
        ([[0]], [1], "inputs for streams"),
    ],
    ids=str,
)
def test_wrong_calls_leave_the_states(streams, x, message):
    many = single().stream(3)
    before = [many.snapshot(k) for k in range(3)]
    with pytest.raises(DataError, match=message):
        many.step(streams, x)
    assert [many.snapshot(k) for k in range(3)] == before


@pytest.mark.parametrize(
    "rows", [[], [2], [3, 3, 0, 0], [1, 0], [0, 1, 2, 3], [3, 2, 1, 0]], ids=str
)
@pytest.mark.parametrize("numpy", [False, True], ids=["engine", "numpy"])
@pytest.mark.parametrize("cell", CELLS)
def test_reordered_streams_go_on_from_the_states_of_others(cell, numpy, rows, monkeypatch):
    if numpy:
        monkeypatch.setattr(loaded, "engine_takes", lambda *_: False)
    model = single(cell)
    many, expected = model.stream(4), model.stream(4)
    assert isinstance(many._steps, steps.NumpySteps) == numpy
    for _ in range(2):  # the second time into memory that has been used
        many.step(range(4), [5, 6, 7, 8])
        states = [many.snapshot(k) for k in range(4)]
        many._steps.reorder(np.array(rows, np.int32))
        after = [states[k] for k in rows] + states[len(rows) :]
        assert [many.snapshot(k) for k in range(4)] == after
        for k, state in enumerate(after):
            expected.restore(state, k)
        np.testing.assert_array_equal(
            many.step(range(4), [9, 9, 3, 3]), expected.step(range(4), [9, 9, 3, 3])
        )


@pytest.mark.parametrize(
    ("rows", "message"),
    [([0, 4], "0 to 3"), ([-1, 0], "0 to 3"), ([0] * 5, "more than there are")],
    ids=str,
)
@pytest.mark.parametrize("numpy", [False, True], ids=["engine", "numpy"])
def test_rows_that_are_no_streams_leave_the_states(numpy, rows, message, monkeypatch):
    if numpy:
        monkeypatch.setattr(loaded, "engine_takes", lambda *_: False)
    many = single().stream(4)
    many.step(range(4), [5, 6, 7, 8])
    before = [many.snapshot(k) for k in range(4)]
    with pytest.raises(ValueError, match=message):
        many._steps.reorder(np.array(rows, np.int32))
    assert [many.snapshot(k) for k in range(4)] == before


def test_the_engine_reorders_by_int32_in_a_row():
    native = single().stream(4)._steps
    for rows in (np.zeros(2, np.int64), np.zeros((2, 1), np.int32), np.zeros(2, np.float32)):
        with pytest.raises(ValueError, match=r"rows: expected int32 \[n\]"):
            native.reorder(rows)
    for rows in ([0, 1], np.zeros(8, np.int32)[::2]):
        with pytest.raises(TypeError, match="rows: expected a C-contiguous array"):
            native.reorder(rows)


def test_streams_that_are_not_there():
    many = single().stream(2)
    for call in (many.reset, many.snapshot, lambda k: many.restore(many.snapshot(), k)):
        with pytest.raises(DataError, match="expected 0 to 1"):
            call(2)
    with pytest.raises(ConfigError, match="streams=0"):
        single().stream(0)


def test_steps_leave_memory_flat():
    stream = single().stream()
    for i in range(1000):
        stream.push(i % 256)
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for i in range(1_000_000):
        stream.push(i & 255)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1024  # KiB


def test_many_threads_are_right_or_refused():
    model = single()
    alone = model.stream().push(IDS)
    wrong, refused = [], []
    shared = model.stream()

    def own():
        if not np.array_equal(model.stream().push(IDS), alone):
            wrong.append("own")

    def together():
        for i in IDS:
            try:
                shared.push(np.full(64, i))
                shared._steps.reorder(np.zeros(1, np.int32))
            except RuntimeError as error:
                refused.append(str(error))

    threads = [threading.Thread(target=target) for target in [own, together] * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert all("another thread" in message for message in refused)
