"""Bundles: exact bytes, the way back, and files that must be refused."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save
from safetensors.torch import save as save_torch

from loopwise.errors import BundleError
from loopwise.runtime.bundle import Bundle, read_bundle, write_bundle
from loopwise.runtime.description import parse_description
from loopwise.runtime.precision import decode, encode
from runtime.tiny import bundle, description, layer

GOLDEN = "0116cc387a46a2f1af8f3c9a03fc8bb5e9b21f73a123e9a634033099834d234c"
NAN_IN_JSON = '{"format": 1, "task": "t", "model": {}, "codec": {}, "info": {"loss": NaN}}'


def golden():
    model = description(layer("gru"), vocabulary=256)
    shapes = parse_description(model).tensor_shapes()
    tensors = {k: np.full(shape, len(k), np.float32) for k, shape in shapes.items()}
    return Bundle(
        "language-model", model, {"unit": "bytes", "format": 1}, tensors, {"Größe": [1.5]}
    )


def assert_equal(left, right):
    for field in ("task", "model", "codec", "info"):
        assert getattr(left, field) == getattr(right, field)
    assert left.tensors.keys() == right.tensors.keys()
    for name, tensor in left.tensors.items():
        assert tensor.dtype == right.tensors[name].dtype
        np.testing.assert_array_equal(tensor, right.tensors[name])


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The bytes of a bundle that reads."""
    path = tmp_path_factory.mktemp("good") / "bundle"
    write_bundle(path, golden())
    return path.read_bytes()


def refused(path, data, match):
    path.write_bytes(data)
    with pytest.raises(BundleError, match=match) as caught:
        read_bundle(path)
    assert str(path) in str(caught.value)


def test_golden_bytes(good):
    assert hashlib.sha256(good).hexdigest() == GOLDEN


def test_bytes_do_not_depend_on_order_or_layout(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    write_bundle(first, golden())
    shuffled = golden()
    tensors = {k: np.asfortranarray(v) for k, v in reversed(shuffled.tensors.items())}
    model = dict(reversed(shuffled.model.items()))
    write_bundle(second, dataclasses.replace(shuffled, tensors=tensors, model=model))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_round_trip(tmp_path, dtype):
    written = bundle(dtype=dtype)
    written.tensors["head.bias"][:3] = [np.nan, np.inf, -np.inf]
    written.tensors["head.weight"] = written.tensors["head.weight"].T.copy().T
    write_bundle(tmp_path / "bundle.safetensors", written)
    assert_equal(read_bundle(tmp_path / "bundle.safetensors"), written)
    assert_equal(read_bundle(str(tmp_path)), written)


def test_fingerprint_names_the_model():
    first = golden()
    assert first.fingerprint == golden().fingerprint
    assert first.fingerprint == dataclasses.replace(golden(), info={}).fingerprint
    nudged = golden()
    nudged.tensors["head.bias"][5] += 1e-3
    others = [
        nudged,
        dataclasses.replace(golden(), codec={}),
        dataclasses.replace(golden(), task="t"),
    ]
    assert len({first.fingerprint, *(other.fingerprint for other in others)}) == 4


def test_a_reader_of_the_old_file_keeps_it(tmp_path, good):
    path = tmp_path / "bundle"
    path.write_bytes(good)
    with path.open("rb") as reading:
        write_bundle(path, dataclasses.replace(golden(), info={}))
        assert reading.read() == good
    assert read_bundle(path).info == {}
    assert list(tmp_path.iterdir()) == [path]


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "bundle"
    write_bundle(path, golden())
    before = path.read_bytes()

    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("loopwise.files.os.fsync", fail)
    with pytest.raises(BundleError, match="No space left"):
        write_bundle(path, dataclasses.replace(golden(), info={}))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_write_refuses_what_could_not_be_read(tmp_path):
    lacking = golden()
    del lacking.tensors["head.bias"]
    for wrong in (
        lacking,
        dataclasses.replace(golden(), model={}),
        dataclasses.replace(golden(), model=None),
        dataclasses.replace(golden(), task=None),
        dataclasses.replace(golden(), codec=[]),
        dataclasses.replace(golden(), dtype="int4"),
        dataclasses.replace(golden(), info="trained"),
        dataclasses.replace(golden(), info={"loss": float("nan")}),
        dataclasses.replace(golden(), info={"when": object()}),
    ):
        with pytest.raises(BundleError, match="bundle"):
            write_bundle(tmp_path / "bundle", wrong)
    with pytest.raises(BundleError, match="cannot be written"):
        write_bundle(tmp_path / "no folder" / "bundle", golden())
    assert not list(tmp_path.iterdir())


def test_missing(tmp_path):
    with pytest.raises(BundleError, match=r"nowhere.*no such file"):
        read_bundle(tmp_path / "nowhere")
    with pytest.raises(BundleError, match=r"bundle\.safetensors.*no such file"):
        read_bundle(tmp_path)


def test_every_truncation_is_refused(tmp_path, good):
    for length in [*range(40), *range(40, len(good), 97), len(good) - 1]:
        refused(tmp_path / "b", good[:length], "damaged, or not")
    refused(tmp_path / "b", good + b"\0", "damaged, or not")


def test_every_flip_in_the_header_length_is_refused(tmp_path, good):
    for bit in range(64):
        length = int.from_bytes(good[:8], "little") ^ (1 << bit)
        refused(tmp_path / "b", length.to_bytes(8, "little") + good[8:], "damaged, or not")


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_flip_is_refused_or_harmless(tmp_path, good, data):
    broken = bytearray(good)
    header = 8 + int.from_bytes(good[:8], "little")
    broken[data.draw(st.integers(0, header - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path / "b"
    path.write_bytes(broken)
    try:
        read = read_bundle(path)
    except BundleError:
        return
    shapes = {k: v.shape for k, v in read.tensors.items()}
    assert shapes == parse_description(read.model).tensor_shapes()


def header(**changes):
    content = golden()
    fields = {"format": 1, "task": content.task, "model": content.model}
    fields |= {"codec": content.codec, "info": content.info} | changes
    return {"loopwise": json.dumps({k: v for k, v in fields.items() if v is not None})}


@pytest.mark.parametrize(
    ("metadata", "match"),
    [
        (None, "not a bundle"),
        ({"format": "pt"}, "not a bundle"),
        ({"loopwise": ""}, "not JSON"),
        ({"loopwise": "{'format': 1}"}, "not JSON"),
        ({"loopwise": "[" * 200_000}, "not JSON"),
        ({"loopwise": NAN_IN_JSON}, "NaN"),
        ({"loopwise": "[1]"}, "not a JSON object"),
        (header(format=None), "format is None"),
        (header(format="1"), "format is '1'"),
        (header(format=True), "format is True"),
        (header(format=0), "format is 0"),
        (header(format=3), "format 3 is newer"),
        (header(format=3, task=None, colour=1), "format 3 is newer"),
        (header(format=1, dtype="int8"), "unknown key 'dtype'"),
        (header(format=2), "dtype is missing"),
        (header(format=2, dtype="int4"), "dtype is 'int4'; allowed: bfloat16, int8"),
        (header(format=2, dtype="float32"), "dtype is 'float32'; allowed: bfloat16, int8"),
        (header(task=None), "task is missing"),
        (header(codec=[]), "codec is missing or not a dict"),
        (header(colour=1), "unknown key 'colour'"),
        (header(model={"kind": "\ud800"}), "model.kind"),
        (header(model=golden().model | {"tied": True}), "tied"),
        (header(model=golden().model | {"vocabulary": 10**400}), "vocabulary"),
        (header(model=golden().model | {"vocabulary": 10**9}), "shape"),
    ],
)
def test_foreign_metadata(tmp_path, metadata, match):
    refused(tmp_path / "b", save(golden().tensors, metadata), match)


def test_tensors_that_do_not_fit(tmp_path):
    def with_tensors(**changes):
        tensors = golden().tensors | changes
        return save({k: v for k, v in tensors.items() if v is not None}, header())

    bias = golden().tensors["head.bias"]
    path = tmp_path / "b"
    refused(path, with_tensors(**{"head.bias": None}), "head.bias is missing")
    refused(path, with_tensors(extra=bias), "extra is not in the description")
    refused(path, with_tensors(**{"head.bias": bias[:-1]}), r"head.bias has shape \(255,\)")
    refused(path, with_tensors(**{"head.bias": bias[:, None]}), r"head.bias has shape \(256, 1\)")
    refused(path, with_tensors(**{"head.bias": bias.astype(np.int64)}), "head.bias is int64")


def test_bfloat16_that_is_not_announced_is_refused(tmp_path):
    tensors = {k: torch.from_numpy(v).bfloat16() for k, v in golden().tensors.items()}
    refused(tmp_path / "b", save_torch(tensors, header()), "is bfloat16; allowed: float16, float32")


def lowered(dtype, **options):
    """A bundle whose tensors are what the precision makes of them."""
    exact = bundle(dtype="float32", **options)
    tensors = decode(encode(exact.tensors, dtype), dtype)
    return dataclasses.replace(exact, tensors=tensors, dtype=dtype)


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_a_lower_precision_comes_back_to_the_bit(tmp_path, dtype):
    written, path = lowered(dtype), tmp_path / "b"
    write_bundle(path, written)
    read = read_bundle(path)
    assert_equal(read, written)
    assert (read.dtype, read.fingerprint) == (dtype, written.fingerprint)
    assert {tensor.dtype.name for tensor in read.tensors.values()} == {"float32"}
    before = path.read_bytes()
    write_bundle(path, read)
    assert path.read_bytes() == before


@pytest.mark.parametrize(("dtype", "share"), [("bfloat16", 2), ("int8", 4)])
def test_a_lower_precision_is_so_much_smaller(tmp_path, dtype, share):
    model = description(layer("lstm", input_size=64, hidden_size=256), vocabulary=256)
    shapes = parse_description(model).tensor_shapes()
    exact = dataclasses.replace(
        golden(), model=model, tensors={k: np.ones(s, np.float32) for k, s in shapes.items()}
    )
    sizes = []
    for made in (exact, dataclasses.replace(exact, dtype=dtype)):
        write_bundle(tmp_path / "b", made)
        sizes.append((tmp_path / "b").stat().st_size)
    assert sizes[1] < 1.06 * sizes[0] / share


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_the_stored_types_are_those_of_safetensors(tmp_path, dtype):
    write_bundle(tmp_path / "b", lowered(dtype))
    with safe_open(tmp_path / "b", "np") as file:
        types = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    assert types["head.weight"] == {"bfloat16": "BF16", "int8": "I8"}[dtype]
    assert types["head.bias"] == "F32"
    assert ("head.weight.scale" in types) == (dtype == "int8")


@pytest.mark.parametrize(
    ("name", "change", "match"),
    [
        ("head.weight.scale", None, r"tensor head.weight.scale is missing"),
        ("head.weight.scale", lambda t: t[:-1], r"head.weight.scale has shape \(255,\)"),
        ("head.weight.scale", lambda t: t[:, None], r"head.weight.scale has shape \(256, 1\)"),
        (
            "head.weight.scale",
            lambda t: t.astype(np.float64),
            r"scale is float64; allowed: float32",
        ),
        ("head.weight", lambda t: t.astype(np.float32), r"is float32; allowed: int8"),
        ("head.weight", lambda t: t.astype(np.uint8), r"is uint8; allowed: int8"),
        ("head.weight", lambda t: t[:, :-1], r"head.weight has shape \(256, 3\)"),
        ("head.bias", lambda t: t.astype(np.int8), r"head.bias is int8; allowed: float32"),
        ("head.bias.scale", lambda t: np.ones(256, np.float32), r"head.bias.scale is not in the"),
    ],
)
def test_malformed_int8_is_refused(tmp_path, name, change, match):
    stored = encode(golden().tensors, "int8")
    if change is None:
        del stored[name]
    else:
        stored[name] = np.ascontiguousarray(change(stored.get(name)))
    refused(tmp_path / "b", save(stored, header(format=2, dtype="int8")), match)


def test_a_bundle_in_another_precision_than_it_says_is_refused(tmp_path):
    stored = encode(golden().tensors, "int8")
    said = header(format=2, dtype="bfloat16")
    refused(tmp_path / "b", save(stored, said), r"scale is not in the description")
    plain = save(golden().tensors, said)
    refused(tmp_path / "b", plain, r"is float32; allowed: bfloat16")
