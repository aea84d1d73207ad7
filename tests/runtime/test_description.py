"""Descriptions: what is accepted, what is refused and how the refusal reads."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from loopwise.errors import BundleError
from loopwise.runtime.description import parse_description
from runtime.tiny import CELLS, description, layer

GOOD = description(
    layer("lstm", proj_size=2), layer("gru", input_size=2), layer("rnn", input_size=4)
)


def at(described, path):
    for key in path:
        described = described[key]
    return described


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bias", [True, False])
def test_shapes_are_those_of_torch(cell, bias):
    kind = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell]
    expected = {k: tuple(v.shape) for k, v in kind(3, 4, bias=bias).state_dict().items()}
    parsed = parse_description(description(layer(cell, bias=bias)))
    assert parsed.layers[0].tensor_shapes() == expected


def test_shapes_of_every_option():
    options = {"proj_size": 2, "layer_norm": True, "peephole": True, "learn_initial_state": True}
    parsed = parse_description(description(layer("lstm", bias=False, **options)))
    assert parsed.tensor_shapes() == {
        "embedding.weight": (7, 3),
        "layers.0.weight_ih_l0": (16, 3),
        "layers.0.weight_hh_l0": (16, 2),
        "layers.0.weight_hr_l0": (2, 4),
        "layers.0.weight_peephole_l0": (3, 4),
        "layers.0.norm_weight_ih_l0": (16,),
        "layers.0.norm_weight_hh_l0": (16,),
        "layers.0.norm_weight_c_l0": (4,),
        "layers.0.norm_bias_c_l0": (4,),
        "layers.0.initial_h": (1, 2),
        "layers.0.initial_c": (1, 4),
        "head.weight": (7, 2),
        "head.bias": (7,),
    }


def test_learned_state_of_a_projected_gru_is_not_projected():
    described = description(layer("gru", proj_size=2, learn_initial_state=True))
    assert parse_description(described).tensor_shapes()["layers.0.initial_h"] == (1, 4)


@pytest.mark.parametrize("path", [(), ("layers", 1)])
def test_missing_and_unknown_keys(path):
    for key in at(GOOD, path):
        broken = copy.deepcopy(GOOD)
        del at(broken, path)[key]
        with pytest.raises(BundleError, match=key):
            parse_description(broken)
    broken = copy.deepcopy(GOOD)
    at(broken, path)["colour"] = 1
    with pytest.raises(BundleError, match="colour"):
        parse_description(broken)


WRONG = {
    ("kind",): [None, 3, "forecast", []],
    ("vocabulary",): [0, -1, 2.5, "7", True, None],
    ("tied",): [1, "yes", True],
    ("layers",): [[], {}, None, [3]],
    ("layers", 0, "cell"): ["LSTM", None, 1],
    ("layers", 0, "hidden_size"): [0, 4.0, "4"],
    ("layers", 0, "proj_size"): [-1],
    ("layers", 0, "bias"): [1, None],
    ("layers", 0, "nonlinearity"): ["relu", "sigmoid"],
    ("layers", 0, "zoneout"): [[0.1], [0.1, 1.5], [0.1, -0.1], [0.1, 0.1, 0.1], 0.1, [None, 0.0]],
    ("layers", 0, "residual"): [True],
    ("layers", 1, "input_size"): [3],
    ("layers", 1, "peephole"): [True],
    ("layers", 2, "zoneout"): [[0.1, 0.1], [float("nan")]],
}


@pytest.mark.parametrize(
    ("path", "value"),
    [(path, value) for path, values in WRONG.items() for value in values],
    ids=str,
)
def test_wrong_values_are_named(path, value):
    broken = copy.deepcopy(GOOD)
    at(broken, path[:-1])[path[-1]] = value
    with pytest.raises(BundleError, match=f"model.*{path[-1]}"):
        parse_description(broken)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(GOOD)), json_values)
def test_garbage_is_refused_or_means_something(key, value):
    try:
        parsed = parse_description(GOOD | {key: value})
    except BundleError:
        return
    assert getattr(parsed, key) == value
