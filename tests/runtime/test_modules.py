"""Laws of layers, stacks and whole models."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loopwise.errors import DataError
from loopwise.runtime.description import parse_description
from loopwise.runtime.modules import Model
from runtime.tiny import CELLS, description, draw, language_model, layer

T, B = 9, 3
OPTIONS = {"layer_norm": True, "learn_initial_state": True, "proj_size": 3, "residual": True}
MODELS = {cell: language_model(layer(cell, **OPTIONS), layer(cell)) for cell in CELLS}
IDS = np.random.default_rng(5).integers(0, 7, (T, B))


def flat(state):
    return [a for part in state for a in part]


def assert_states_close(left, right):
    for a, b in zip(flat(left), flat(right), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("cell", CELLS)
@settings(max_examples=25, deadline=None)
@given(cuts=st.sets(st.integers(0, T)))
def test_chunks_are_the_whole(cell, cuts):
    model = MODELS[cell]
    whole, after = model.hidden(IDS, model.initial_state(B))
    state, parts = model.initial_state(B), []
    for chunk in np.split(IDS, sorted(cuts)):
        y, state = model.hidden(chunk, state)
        parts.append(y)
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-12, atol=1e-13)
    assert_states_close(state, after)


@pytest.mark.parametrize("cell", CELLS)
@given(order=st.permutations(range(B)))
@settings(max_examples=6, deadline=None)
def test_batch_permutes(cell, order):
    model = MODELS[cell]
    whole, after = model.hidden(IDS, model.initial_state(B))
    y, state = model.hidden(IDS[:, order], model.initial_state(B))
    np.testing.assert_allclose(y, whole[:, order], rtol=1e-12, atol=1e-13)
    assert_states_close(state, [[a[order] for a in part] for part in after])


def test_empty_chunk_changes_nothing():
    model = MODELS["lstm"]
    state = model.initial_state(B)
    y, after = model.hidden(np.zeros((0, B), int), state)
    assert y.shape == (0, B, 4)
    assert model.outputs(y).shape == (0, B, 7)
    assert_states_close(after, state)


def test_residual_adds_the_input():
    options = {"input_size": 4, "hidden_size": 4}
    with_it = language_model(layer("gru", residual=True, **options))
    without = language_model(layer("gru", **options))
    state = with_it.initial_state(B)
    expected = without.hidden(IDS, state)[0] + without.embedding(IDS)
    np.testing.assert_allclose(with_it.hidden(IDS, state)[0], expected, rtol=1e-14)


@pytest.mark.parametrize("tied", [False, True])
def test_logits_are_a_product_and_a_bias(tied):
    described = parse_description(description(layer("rnn", input_size=4), tied=tied))
    tensors = draw(described.tensor_shapes(), dtype=np.float64)
    assert ("head.weight" in tensors) != tied
    weight = tensors["embedding.weight" if tied else "head.weight"]
    h = draw({"h": (T, B, 4)}, 3, np.float64)["h"]
    expected = np.einsum("tbs,vs->tbv", h, weight) + tensors["head.bias"]
    np.testing.assert_allclose(Model(described, tensors).outputs(h), expected, rtol=1e-12)


@pytest.mark.parametrize("wrong", [-1, 7])
def test_id_outside_the_vocabulary(wrong):
    model = MODELS["rnn"]
    with pytest.raises(DataError, match=f"token id {wrong} .* 0 to 6"):
        model.hidden(np.array([[0], [wrong]]), model.initial_state())


@pytest.mark.parametrize(
    ("stored", "computed"), [("float16", "float32"), ("float32", "float32"), ("float64", "float64")]
)
def test_precision_follows_the_weights(stored, computed):
    model = language_model(layer("lstm"), dtype=stored)
    assert model.outputs(model.hidden(IDS, model.initial_state(B))[0]).dtype == computed
