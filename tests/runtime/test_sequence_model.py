"""Sequence models: descriptions, streams, whole sequences, what is refused."""

import copy
import dataclasses

import numpy as np
import pytest

from loopwise.errors import BundleError, ConfigError, DataError
from loopwise.runtime import loaded as loaded_module
from loopwise.runtime.bundle import write_bundle
from loopwise.runtime.description import parse_description
from loopwise.runtime.load import load
from loopwise.runtime.sequence_model import LoadedSequenceModel
from loopwise.runtime.steps import NumpySteps
from runtime.tiny import CELLS, bundle, sequence_description, sequence_model

KINDS = ("numbers", "symbols")


def inputs(kind, steps=9, rows=3):
    rng = np.random.default_rng(1)
    if kind == "symbols":
        return rng.integers(5, size=(steps, rows))
    return rng.normal(size=(steps, rows, 3)).astype(np.float32)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("kind", KINDS)
def test_streams_chunks_and_whole_sequences_agree(kind, cell, monkeypatch):
    model, x = sequence_model(kind, cell), inputs(kind)
    whole = model.run(x)
    assert whole.shape == (9, 3, 2)
    np.testing.assert_array_equal(model.run(x, 4), whole[-4:])
    close = {"rtol": 1e-5, "atol": 1e-5}
    for row in range(3):
        stream = model.stream()
        one_by_one = [stream.push(step) for step in x[:4, row]]
        np.testing.assert_allclose([*one_by_one, *stream.push(x[4:, row])], whole[:, row], **close)
    several = model.stream(3)
    for step, expected in zip(x, whole, strict=True):
        np.testing.assert_allclose(several.step([0, 1, 2], step), expected, **close)
    monkeypatch.setattr(loaded_module, "engine_takes", lambda *_: False)
    in_numpy = model.stream()
    assert isinstance(in_numpy._steps, NumpySteps)
    np.testing.assert_allclose(in_numpy.push(x[:, 1]), whole[:, 1], **close)


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
@pytest.mark.parametrize("kind", KINDS)
def test_lower_precisions_are_near(kind, dtype):
    x = inputs(kind)
    model = sequence_model(kind, dtype=dtype)
    exact, near = sequence_model(kind).run(x), model.run(x)
    assert 0 < np.abs(near - exact).mean() < 0.1
    np.testing.assert_allclose(model.stream().push(x[:, 1]), near[:, 1], rtol=1e-5, atol=1e-5)


def test_long_sequences_are_read_in_pieces():
    model, x = sequence_model(), inputs("numbers", steps=1000, rows=2)
    np.testing.assert_allclose(model.run(x)[-1, 1], model.stream().feed(x[:, 1]), atol=1e-5)
    np.testing.assert_array_equal(model.run(x, 700), model.run(x)[300:])


def test_a_file_holds_the_same_model(tmp_path):
    model = sequence_model("symbols")
    model.save(tmp_path / "b.safetensors")
    again = load(tmp_path / "b.safetensors")
    assert isinstance(again, LoadedSequenceModel)
    np.testing.assert_array_equal(again.run(inputs("symbols")), model.run(inputs("symbols")))
    snapshot = model.stream().snapshot()
    again.stream().restore(snapshot)


@pytest.mark.parametrize(
    ("kind", "x", "message"),
    [
        ("numbers", np.zeros((4, 3)), r"x: expected \[T, B, I\], none of them 0, given \[4, 3\]"),
        ("numbers", np.zeros((0, 2, 3)), r"given \[0, 2, 3\]"),
        ("numbers", np.zeros((4, 1, 2)), r"x: expected \[3\] or \[n, 3\]"),
        ("symbols", np.zeros((4, 1, 2), int), r"x: expected \[T, B\]"),
        ("symbols", np.zeros((4, 1)), "must be integers"),
        ("symbols", np.full((4, 1), 5), "allowed are 0 to 4"),
    ],
)
def test_what_the_model_does_not_read_is_told(kind, x, message):
    with pytest.raises(DataError, match=message):
        sequence_model(kind).run(x)


def test_a_type_that_is_not_there_is_told():
    with pytest.raises(ConfigError, match="float16"):
        sequence_model().stream(dtype="float16")


def test_tensors_follow_from_the_description():
    shapes = parse_description(sequence_description("symbols")).tensor_shapes()
    assert shapes["embedding.weight"] == (5, 3)
    assert (shapes["head.weight"], shapes["head.bias"]) == ((2, 4), (2,))
    assert "embedding.weight" not in parse_description(sequence_description()).tensor_shapes()


WRONG = {
    ("inputs",): ["words", None],
    ("outputs",): ["symbols", 1],
    ("input_size",): [0, 2.5, 4],
    ("output_size",): [0, "2"],
    ("embedding_size",): [-1, 3, None],
    ("layers",): [[], None],
    ("layers", 1, "input_size"): [3],
}


@pytest.mark.parametrize(
    ("path", "value"),
    [(path, value) for path, values in WRONG.items() for value in values],
    ids=str,
)
def test_wrong_descriptions_are_refused(path, value):
    broken = copy.deepcopy(sequence_description())
    inner = broken
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(BundleError, match=f"model.*{path[-1]}"):
        parse_description(broken)


def test_symbols_need_features():
    with pytest.raises(BundleError, match="embedding_size: 0, the inputs are symbols"):
        parse_description({**sequence_description("symbols"), "embedding_size": 0})


@pytest.mark.parametrize(
    ("given", "task"), [(bundle(), "sequence-model"), (sequence_model().bundle, "language-model")]
)
def test_a_task_and_a_model_that_do_not_fit_are_refused(given, task, tmp_path):
    write_bundle(tmp_path / "b", dataclasses.replace(given, task=task))
    with pytest.raises(BundleError, match="not the kind of model expected here"):
        load(tmp_path / "b")
