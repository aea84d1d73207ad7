"""The NumPy cells against their equations in float64, and against torch.nn."""

import itertools

import numpy as np
import pytest
import torch

from loopwise.runtime.description import LayerDescription
from loopwise.runtime.modules import Layer
from runtime.tiny import CELLS, draw, layer

T, B = 6, 3
PEERS = [
    ("rnn", "tanh", 0),
    ("rnn", "relu", 0),
    ("lstm", "tanh", 0),
    ("lstm", "tanh", 2),
    ("gru", "tanh", 0),
]


def s(x):
    return 1 / (1 + np.exp(-x))


def norm(x, weight, bias=0.0):
    deviation = np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return (x - x.mean(-1, keepdims=True)) / deviation * weight + bias


def affine(p, which, x):
    y = x @ p[f"weight_{which}_l0"].T
    y = norm(y, p[f"norm_weight_{which}_l0"]) if f"norm_weight_{which}_l0" in p else y
    return y + p.get(f"bias_{which}_l0", 0.0)


def project(p, h):
    return h @ p["weight_hr_l0"].T if "weight_hr_l0" in p else h


def rnn(d, p, x, h):
    m = affine(p, "ih", x) + affine(p, "hh", h)
    h = project(p, np.tanh(m) if d["nonlinearity"] == "tanh" else m * (m > 0))
    return h, (h,)


def lstm(d, p, x, h, c):
    i, f, g, o = np.split(affine(p, "ih", x) + affine(p, "hh", h), 4, -1)
    w = p.get("weight_peephole_l0", np.zeros(3))
    new = s(f + w[1] * c) * c + s(i + w[0] * c) * np.tanh(g)
    m = norm(new, p["norm_weight_c_l0"], p["norm_bias_c_l0"]) if d["layer_norm"] else new
    h = project(p, s(o + w[2] * new) * np.tanh(m))
    return h, (h, new)


def gru(d, p, x, h):
    (ar, az, an), u = np.split(affine(p, "ih", x), 3, -1), affine(p, "hh", project(p, h))
    ur, uz, un = np.split(u, 3, -1)
    r, z = s(ar + ur), s(az + uz)
    h = (1 - z) * np.tanh(an + r * un) + z * h
    return project(p, h), (h,)


def definition(d, p, x, state):
    outputs = []
    for x_t in x:
        _, new = {"rnn": rnn, "lstm": lstm, "gru": gru}[d["cell"]](d, p, x_t, *state)
        state = tuple(k * a + (1 - k) * b for k, a, b in zip(d["zoneout"], state, new, strict=True))
        outputs.append(project(p, state[0]) if d["cell"] == "gru" else state[0])
    return np.stack(outputs), state


def every_layer():
    """All combinations of options that each cell allows."""
    flags = itertools.product(CELLS, (0, 2), (True, False), (False, True), (0.0, 0.3), (0, 1))
    for cell, proj, bias, layer_norm, p, other in flags:
        options = {"proj_size": proj, "bias": bias, "layer_norm": layer_norm}
        options["zoneout"] = [p, p / 2] if cell == "lstm" else [p]
        if other and cell == "gru":
            continue
        if cell == "rnn":
            options["nonlinearity"] = ("tanh", "relu")[other]
        if cell == "lstm":
            options["peephole"] = bool(other)
        yield layer(cell, **options)


LAYERS = list(every_layer())


def make(described, dtype=np.float64, seed=0):
    typed = LayerDescription(**described | {"zoneout": tuple(described["zoneout"])})
    tensors = draw(typed.tensor_shapes(), seed, dtype)
    x = draw({"x": (T, B, described["input_size"])}, seed + 1, dtype)["x"]
    sizes = enumerate(typed.state_sizes)
    state = tuple(draw({k: (B, size) for k, size in sizes}, seed + 2, dtype).values())
    return Layer(typed, tensors), tensors, x, state


def name(described):
    plain = layer(described["cell"])
    return "-".join(
        [described["cell"]] + [f"{k}={v}" for k, v in described.items() if v != plain[k]]
    )


@pytest.mark.parametrize("described", LAYERS, ids=name)
def test_layer_is_its_definition(described):
    made, tensors, x, state = make(described)
    given = [a.copy() for a in (x, *state)]
    y, after = made.forward(x, state)
    expected_y, expected = definition(described, tensors, x, state)
    np.testing.assert_allclose(y, expected_y, rtol=1e-11, atol=1e-12)
    for got, wanted in zip(after, expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-11, atol=1e-12)
    for before, now in zip(given, (x, *state), strict=True):
        np.testing.assert_array_equal(before, now)


@pytest.mark.parametrize("described", LAYERS, ids=name)
def test_float32_stays_float32_and_close(described):
    made, tensors, x, state = make(described, np.float32)
    y, after = made.forward(x, state)
    assert {y.dtype, *(a.dtype for a in after)} == {np.dtype(np.float32)}
    double = {k: v.astype(np.float64) for k, v in tensors.items()}
    expected, _ = definition(described, double, x.astype(np.float64), state)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("cell", "nonlinearity", "proj"), PEERS)
def test_plain_layer_is_torch(cell, nonlinearity, proj, bias):
    made, tensors, x, state = make(
        layer(cell, bias=bias, nonlinearity=nonlinearity, proj_size=proj)
    )
    kind = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell]
    options = {"nonlinearity": nonlinearity} if cell == "rnn" else {}
    peer = kind(
        3, 4, bias=bias, dtype=torch.float64, **options, **({"proj_size": proj} if proj else {})
    )
    peer.load_state_dict({k: torch.from_numpy(v) for k, v in tensors.items()})
    hidden = tuple(torch.from_numpy(a[None]) for a in state)
    with torch.no_grad():
        expected, last = peer(torch.from_numpy(x), hidden if cell == "lstm" else hidden[0])
    y, after = made.forward(x, state)
    np.testing.assert_allclose(y, expected.numpy(), rtol=1e-12, atol=1e-13)
    for got, wanted in zip(after, last if cell == "lstm" else (last,), strict=True):
        np.testing.assert_allclose(got, wanted[0].numpy(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("cell", CELLS)
def test_saturated_gates_give_no_warning(cell):
    made, _, x, state = make(layer(cell), np.float32)
    y, after = made.forward(x * np.float32(1e30), state)
    assert all(np.isfinite(a).all() for a in (y, *after))


@pytest.mark.parametrize("cell", CELLS)
def test_initial_state_is_zero_or_learned(cell):
    plain, *_ = make(layer(cell))
    assert all((a == 0).all() and a.shape == (2, 4) for a in plain.initial_state(2))
    learned, tensors, *_ = make(layer(cell, learn_initial_state=True))
    expected = [tensors[k] for k in ("initial_h", "initial_c") if k in tensors]
    state = learned.initial_state(2)
    assert len(state) == len(expected)
    for got, wanted in zip(state, expected, strict=True):
        np.testing.assert_array_equal(got, np.concatenate([wanted, wanted]))
        got += 1
    np.testing.assert_array_equal(learned.initial_state(1)[0], expected[0])
