"""Lower precisions: the engine's own numbers, and the same again however often they go round."""

import numpy as np
import pytest
import torch

from loopwise import engine
from loopwise.errors import BundleError, ConfigError
from loopwise.runtime.precision import decode, encode, require_precision, stored_forms

LOWER = ("bfloat16", "int8")


def matrices(rows=200_000, columns=3, seed=0):
    """Rows of all sizes, so many that scales end in all ways."""
    rng = np.random.default_rng(seed)
    size = np.exp(rng.normal(scale=8, size=(rows, 1)))
    return {"head.weight": (size * rng.normal(size=(rows, columns))).astype(np.float32)}


@pytest.mark.parametrize("precision", LOWER)
def test_what_was_decoded_is_encoded_to_the_same_bits(precision):
    stored = encode(matrices(), precision)
    again = encode(decode(stored, precision), precision)
    assert stored.keys() == again.keys()
    for name, tensor in stored.items():
        assert tensor.tobytes() == again[name].tobytes()


def test_bfloat16_is_the_nearest():
    tensors = matrices()
    expected = torch.from_numpy(tensors["head.weight"]).bfloat16().float().numpy()
    decoded = decode(encode(tensors, "bfloat16"), "bfloat16")["head.weight"]
    np.testing.assert_array_equal(decoded, expected)


def test_int8_is_within_half_a_step_of_each_row():
    exact = matrices()["head.weight"]
    stored = encode({"head.weight": exact}, "int8")
    assert (np.abs(stored["head.weight"]).max(axis=1) == 127).all()
    step = np.abs(exact).max(axis=1, keepdims=True) / 127
    off = np.abs(decode(stored, "int8")["head.weight"] - exact)
    assert (off <= 0.5001 * step).all()
    assert off.max() > 0


@pytest.mark.skipif(not engine.available(), reason="no native engine is installed")
def test_int8_has_the_numbers_that_the_engine_packs():
    rng = np.random.default_rng(3)
    exact = rng.normal(size=(300, 40)).astype(np.float32)
    both = np.concatenate([exact, -exact])  # a relu shows one side of each
    layer = {"cell": "rnn_relu", "w_ih": both, "w_hh": np.zeros((600, 600), np.float32)}
    shown = engine.streams(engine.model("int8", [layer], {}), 1).push(np.eye(40, dtype=np.float32))
    packed = (shown[:, :300] - shown[:, 300:]).T
    stored = encode({"head.weight": exact}, "int8")
    scale = stored["head.weight.scale"][:, np.newaxis]
    np.testing.assert_array_equal(np.rint(packed / scale), stored["head.weight"])
    np.testing.assert_allclose(packed, decode(stored, "int8")["head.weight"], rtol=1e-6)


def test_rows_of_zeros_and_of_tiny_numbers():
    rows = np.zeros((3, 4), np.float32)
    rows[1], rows[2, 1] = 1e-44, -1e-40
    stored = encode({"head.weight": rows}, "int8")
    np.testing.assert_array_equal(stored["head.weight"][0], 0)
    assert np.isfinite(stored["head.weight.scale"]).all()
    np.testing.assert_allclose(decode(stored, "int8")["head.weight"], rows, atol=2e-44)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_int8_refuses_what_is_not_finite(wrong):
    tensors = matrices(rows=3)
    tensors["head.weight"][1, 1] = wrong
    with pytest.raises(BundleError, match=r"tensor head.weight has numbers that are not finite"):
        encode(tensors, "int8")


def test_matrices_alone_are_lowered():
    shapes = {
        "embedding.weight": (7, 3),
        "layers.0.weight_ih_l0": (16, 3),
        "layers.0.weight_hh_l0": (16, 2),
        "layers.0.weight_hr_l0": (2, 4),
        "layers.0.norm_weight_ih_l0": (16,),
        "layers.0.weight_peephole_l0": (3, 4),
        "layers.0.initial_h": (1, 4),
        "head.bias": (7,),
    }
    tensors = {name: np.ones(shape) for name, shape in shapes.items()}
    for precision in LOWER:
        stored = encode(tensors, precision)
        forms = stored_forms(shapes, precision)
        assert {n: (t.shape, (t.dtype.name,)) for n, t in stored.items()} == forms
        lowered = {name for name, (_, dtypes) in forms.items() if dtypes == (precision,)}
        assert lowered == {
            "embedding.weight",
            *(f"layers.0.weight_{name}_l0" for name in ("ih", "hh", "hr")),
        }
        assert {t.dtype.name for t in decode(stored, precision).values()} == {"float32"}
    assert encode(tensors, "float32") == tensors


def test_an_unknown_precision_is_refused():
    with pytest.raises(ConfigError, match=r"dtype='int4': expected one of float32, bfloat16, int8"):
        require_precision("int4")
