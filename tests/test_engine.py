"""The compiled engine itself: what it refuses, its functions, its instruction sets, its build."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from loopwise import engine

ROOT = Path(__file__).parents[1]
SENTINEL = 123.0
T, B, I, H, P = 4, 3, 2, 5, 3  # noqa: E741, the documentation's letters

needs_engine = pytest.mark.skipif(not engine.available(), reason="no native engine here")


def test_there_is_an_engine_where_there_is_a_compiler():
    """The installation goes on without one, so that a broken build would go unseen."""
    if engine.available():
        return
    names = (os.environ.get("CXX", "c++"), "g++", "clang++")
    compiler = next(filter(None, map(shutil.which, names)), None)
    if compiler is None:
        pytest.skip(f"no C++ compiler here, and so no engine: {engine.MISSING}")
    pytest.fail(f"{compiler} is here, but the engine is not: {engine.MISSING}; see its build")


IMPORTED = """
import os
from loopwise import engine
print([name for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY") if name in os.environ])
"""


@needs_engine
@pytest.mark.parametrize(
    ("said", "left", "spins"),
    [
        ({}, "[]", "3000"),
        ({"GOMP_SPINCOUNT": "77"}, "['GOMP_SPINCOUNT']", "77"),
        ({"OMP_WAIT_POLICY": "passive"}, "['OMP_WAIT_POLICY']", "0"),
    ],
)
def test_threads_that_wait_soon_sleep_unless_the_environment_says_otherwise(said, left, spins):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMP", "GOMP"))}
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED],
        env=environment | said | {"OMP_DISPLAY_ENV": "verbose"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == left
    if "GOMP" not in done.stderr and not sys.platform.startswith("linux"):
        pytest.skip("another OpenMP than GNU's")
    assert f"GOMP_SPINCOUNT = '{spins}'" in done.stderr


def arguments(**changes):
    """A projected LSTM over rows of unequal length, with everything that `forward` knows."""

    def floats(*shape):
        return np.zeros(shape, np.float32)

    inputs = {
        "x": floats(T, B, I), "h0": floats(B, P), "c0": floats(B, H),
        "restart_h": floats(B, P), "restart_c": floats(B, H),
        "w_ih": floats(4 * H, I), "w_hh": floats(4 * H, P), "w_hr": floats(P, H),
        "b_ih": floats(4 * H), "b_hh": floats(4 * H), "peephole": floats(3, H),
        "norm_ih": floats(4 * H), "norm_hh": floats(4 * H),
        "norm_c": floats(H), "norm_c_bias": floats(H),
        "mask": floats(B, P), "keep_h": floats(T, B, P), "keep_c": floats(T, B, H),
        "reset": np.zeros((T, B), np.bool_),
        "order": np.array([2, 0, 1], np.int32), "length": np.array([4, 2, 0], np.int32),
    }  # fmt: skip
    results = {
        "y": floats(T, B, P), "hn": floats(B, P), "cn": floats(B, H),
        "kept": floats(T, B, 4 * H), "cells": floats(T, B, H),
        "share_x": floats(T, B, 4 * H), "share_h": floats(T, B, 4 * H),
    }  # fmt: skip
    for array in results.values():
        array.fill(SENTINEL)
    return {**inputs, **results, **changes}, results


def gradients():
    """What `backward` takes besides, all of it optional."""
    arrays, _ = arguments()
    results = ("y", "hn", "cn", "kept", "cells")
    wanted = [n for n in arrays if n not in (*results, "share_x", "share_h", "mask", "reset")]
    wanted = [n for n in wanted if not n.startswith(("keep", "order", "length"))]
    return {
        **{f"d_{name}": np.ones_like(arrays[name]) for name in results},
        **{f"d_{name}": np.full_like(arrays[name], SENTINEL) for name in wanted},
    }


BAD = [
    ({"x": np.zeros((T, B), np.float32)}, ValueError, "x: has too few dimensions"),
    ({"x": None}, ValueError, "x: expected an array"),
    ({"x": np.zeros((T, B, I))}, TypeError, "x: expected type 'f', given 'd'"),
    ({"h0": None}, ValueError, "h0: is missing"),
    ({"c0": None}, ValueError, "c0: is missing"),
    ({"h0": np.zeros((B, H), np.float32)}, ValueError, r"h0: .* \(3, 3\), given \(3, 5\)"),
    ({"w_ih": np.zeros((I, 4 * H), np.float32).T}, TypeError, "w_ih: .* a C-contiguous array$"),
    ({"w_hh": np.zeros((3, P), np.float32)}, ValueError, "w_hh: expected at least one unit"),
    ({"w_hr": None}, ValueError, "w_hr: expected where"),
    ({"peephole": np.zeros((H, 3), np.float32)}, ValueError, "peephole: expected shape"),
    ({"norm_hh": None}, ValueError, "norm_ih and norm_hh: give both or none"),
    ({"norm_c": None}, ValueError, "norm_c: expected together with norm_ih"),
    ({"restart_c": None}, ValueError, "reset: needs restart_h, restart_c"),
    ({"reset": np.zeros((T, B), np.uint8)}, TypeError, "reset: expected type '[?]', given 'B'"),
    ({"order": None}, ValueError, "order and length: give both or none"),
    ({"order": np.array([0, 0, 1], np.int32)}, ValueError, "order: expected each row once"),
    ({"order": np.array([0, 3, 1], np.int32)}, ValueError, "order: expected each row once"),
    ({"order": np.array([0, -1, 1], np.int32)}, ValueError, "order: expected each row once"),
    ({"length": np.array([5, 2, 0], np.int32)}, ValueError, "length: expected 0 to T"),
    ({"length": np.array([4, 2, -1], np.int32)}, ValueError, "length: expected 0 to T"),
    ({"length": np.array([2, 4, 0], np.int32)}, ValueError, "length: expected falling numbers"),
    ({"length": np.array([4, 2, 0])}, TypeError, "length: expected type 'i', given 'l'"),
    ({"keep_c": np.zeros((T, B, P), np.float32)}, ValueError, "keep_c: expected shape"),
    ({"kept": None}, ValueError, "kept and cells: give both or none"),
    ({"cn": None}, ValueError, "cn: is missing"),
    ({"y": np.zeros((T, B, H), np.float32)}, ValueError, "y: expected shape"),
    ({"hn": np.zeros((P, B), np.float32).T}, TypeError, "hn: .* that may be written to"),
]  # fmt: skip


def names(bad):
    return [f"{'-'.join(change)}-{k}" for k, (change, *_) in enumerate(bad)]


@needs_engine
@pytest.mark.parametrize(("change", "kind", "message"), BAD, ids=names(BAD))
def test_what_does_not_fit_is_refused_before_anything_is_touched(change, kind, message):
    arrays, results = arguments(**change)
    with pytest.raises(kind, match=message):
        engine.forward("lstm", False, 1, **arrays)
    extra = gradients()
    before = {name: array.copy() for name, array in extra.items()}
    with pytest.raises(kind, match=message):
        engine.backward("lstm", False, 1, **arrays, **extra)
    assert all((array == SENTINEL).all() for array in results.values())
    assert all((array == before[name]).all() for name, array in extra.items())


@needs_engine
def test_what_fits_is_computed():
    """Else the test above could not fail."""
    arrays, results = arguments()
    engine.forward("lstm", False, 1, **arrays)
    assert all((results[name] != SENTINEL).all() for name in ("hn", "cn"))
    assert (results["y"][:, 2] == 0).all()
    assert (results["y"][2:, 0] == SENTINEL).all()  # beyond its end
    extra = gradients()
    engine.backward("lstm", False, 1, **arrays, **extra)
    assert (extra["d_x"][:, 2] == 0).all()


def packed(weights, **changes):
    """Weights of `arguments` as `forward` wants them packed."""
    gates = {"w_ih": 4, "w_hh": 4, "w_hr": 1}
    found = {f"packed_{name}": engine.pack(n, weights[name]) for name, n in gates.items()}
    return {**found, **changes}


@needs_engine
@pytest.mark.parametrize("rows", [1, 3, 20])  # of which the last may go through tiles
@pytest.mark.parametrize("cell", ["rnn_tanh", "lstm", "gru"])
def test_packed_weights_change_nothing(cell, rows):
    rng = np.random.default_rng(0)
    gates, units, steps, inputs = {"rnn_tanh": 1, "lstm": 4, "gru": 3}[cell], 45, 6, 7

    def floats(*shape):
        return rng.standard_normal(shape, np.float32) / 4

    weights = {"w_ih": floats(gates * units, inputs), "w_hh": floats(gates * units, units)}
    rest = {"x": floats(steps, rows, inputs), "h0": floats(rows, units)}
    results = {"y": floats(steps, rows, units), "hn": floats(rows, units)}
    if cell == "lstm":
        rest["c0"], results["cn"] = floats(rows, units), floats(rows, units)
    engine.forward(cell, True, 1, **weights, **rest, **results)
    before = {name: array.copy() for name, array in results.items()}
    ready = {f"packed_{name}": engine.pack(gates, weight) for name, weight in weights.items()}
    useless = {name: np.full_like(weight, np.nan) for name, weight in weights.items()}
    for array in results.values():
        array.fill(SENTINEL)
    # only tiles still read them as they are
    engine.forward(cell, True, 1, **(weights if rows > 15 else useless), **ready, **rest, **results)
    assert all((results[name] == before[name]).all() for name in results)


@needs_engine
def test_packed_weights_of_a_projection():
    arrays, results = arguments()
    rng = np.random.default_rng(0)
    for name in ("w_ih", "w_hh", "w_hr", "x", "mask"):
        arrays[name][...] = rng.standard_normal(arrays[name].shape)
    engine.forward("lstm", False, 1, **arrays)
    before = {name: array.copy() for name, array in results.items()}
    ready = packed(arrays)
    for name in ("w_ih", "w_hh", "w_hr"):
        arrays[name][...] = np.nan
    for array in results.values():
        array.fill(SENTINEL)
    engine.forward("lstm", False, 1, **arrays, **ready)
    assert all((results[name] == before[name]).all() for name in results)


@needs_engine
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"packed_w_hh": None}, "give all or none"),
        ({"packed_w_hr": None}, "give all or none"),
        ({"packed_w_ih": None, "packed_w_hh": None}, "give all or none"),
        ({"packed_w_ih": np.zeros(8, np.float32)}, "packed_w_ih: expected shape"),
    ],
)
def test_packed_weights_that_do_not_fit(change, message):
    arrays, results = arguments()
    with pytest.raises(ValueError, match=message):
        engine.forward("lstm", False, 1, **arrays, **packed(arrays, **change))
    assert all((array == SENTINEL).all() for array in results.values())
    with pytest.raises(ValueError, match="as many rows for each gate"):
        engine.pack(3, arrays["w_hh"])


@needs_engine
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"d_y": np.zeros((B, T, P), np.float32)}, "d_y: expected shape"),
        ({"d_w_hh": np.zeros((4 * H, H), np.float32)}, "d_w_hh: expected shape"),
    ],
)
def test_gradients_that_do_not_fit_are_refused(change, message):
    arrays, _ = arguments()
    extra = {**gradients(), **change}
    with pytest.raises(ValueError, match=message):
        engine.backward("lstm", False, 1, **arrays, **extra)
    assert (extra["d_x"] == SENTINEL).all()


@needs_engine
def test_a_result_must_be_writable_and_an_input_need_not():
    arrays, _ = arguments()
    arrays["x"].flags.writeable = False
    engine.forward("lstm", False, 1, **arrays)
    arrays["y"].flags.writeable = False
    with pytest.raises(TypeError, match="y: expected a C-contiguous array that may be written to"):
        engine.forward("lstm", False, 1, **arrays)


@needs_engine
def test_unknown_cells_and_functions():
    arrays, _ = arguments()
    with pytest.raises(ValueError, match=r"cell: expected rnn_tanh, .* given elman"):
        engine.forward("elman", False, 1, **arrays)
    row = np.zeros(3, np.float32)
    with pytest.raises(ValueError, match="function: expected sigmoid or tanh"):
        engine.activate("relu", x=row, y=row)


@needs_engine
def test_targets_beyond_the_classes():
    logits = np.full((2, 3), SENTINEL, np.float32)
    nats = np.full(2, SENTINEL, np.float32)
    with pytest.raises(ValueError, match="targets: expected numbers below"):
        engine.surprisal(1, 1.0, logits=logits, targets=np.array([0, 3]), nats=nats)
    assert (logits == SENTINEL).all()
    assert (nats == SENTINEL).all()


@needs_engine
@pytest.mark.parametrize("kind", [np.int_, np.longlong], ids=["l", "q"])
def test_platforms_differ_in_the_letter_of_64_bits(kind):
    logits, nats = np.zeros((2, 3), np.float32), np.zeros(2, np.float32)
    engine.surprisal(1, 1.0, logits=logits, targets=np.array([0, 2], kind), nats=nats)
    np.testing.assert_allclose(nats, np.log([3, 3]), rtol=1e-6)


def floats():
    """Float32 numbers of every size: each 4099th bit pattern, and closely from -20 to 20."""
    patterns = np.arange(0, 2**32, 4099, dtype=np.uint32).view(np.float32)
    extremes = np.array([0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45], np.float32)
    return np.concatenate((patterns, np.linspace(-20, 20, 1_000_001, dtype=np.float32), extremes))


def apply(function, x):
    y = np.empty_like(x)
    engine.activate(function, x=x, y=y)
    return y


def assert_within(found, expected, units):
    """In units of the last place; what is denormal counts as zero."""
    tiny = np.finfo(np.float32).tiny
    error = np.abs(found - expected) / np.spacing(np.abs(expected).astype(np.float32))
    error[np.abs(expected) < tiny] = 0
    worst = error.argmax()
    assert error[worst] <= units, (found[worst], expected[worst], error[worst])
    assert (np.abs(found[np.abs(expected) < tiny]) <= tiny).all()


@needs_engine
def test_tanh():
    x = floats()
    found = apply("tanh", x)
    assert (np.isnan(found) == np.isnan(x)).all()
    x, found = x[~np.isnan(x)], found[~np.isnan(x)]
    assert_within(found, np.tanh(x.astype(np.float64)), 3)
    assert (np.abs(found) <= 1).all()
    assert (np.signbit(found) == np.signbit(x)).all()
    assert (found[np.isinf(x)] == np.sign(x[np.isinf(x)])).all()


@needs_engine
def test_sigmoid():
    x = floats()
    found = apply("sigmoid", x)
    assert (np.isnan(found) == np.isnan(x)).all()
    x, found = x[~np.isnan(x)], found[~np.isnan(x)]
    with np.errstate(over="ignore"):
        expected = 1 / (1 + np.exp(-x.astype(np.float64)))
    normal = x >= -87
    assert_within(found[normal], expected[normal], 3)
    assert (np.abs(found - expected)[~normal] < 2e-38).all()
    assert ((found >= 0) & (found <= 1)).all()


@needs_engine
def test_any_number_of_values():
    """What does not fill a vector is computed alike, and nothing beyond it is touched."""
    whole = np.linspace(-3, 3, 70, dtype=np.float32)
    expected = apply("tanh", whole)
    for n in range(71):
        y = np.full(70, SENTINEL, np.float32)
        engine.activate("tanh", x=whole[:n], y=y[:n])
        assert (y[:n] == expected[:n]).all()
        assert (y[n:] == SENTINEL).all()


def python(code: str, isa: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", f"from loopwise import engine\n{code}"],
        env={**os.environ, "LOOPWISE_ISA": isa}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@needs_engine
def test_an_instruction_set_that_does_not_exist():
    done = python("engine.isa()", "avx3")
    error = done.stderr.splitlines()[-1]
    assert error.startswith("loopwise.errors.ConfigError: LOOPWISE_ISA='avx3': expected one of ")
    assert error.endswith("this machine offers " + ", ".join(engine.isas()))


@needs_engine
def test_a_wrong_instruction_set_is_told_wherever_it_is_met():
    code = (
        "import torch, loopwise\n"
        "try:\n    loopwise.LSTM(2, 3)(torch.zeros(1, 1, 2))\n"
        "except loopwise.LoopwiseError as error:\n    print(error)\n"
    )
    assert "LOOPWISE_ISA='avx3': expected" in python(code, "avx3").stdout


@needs_engine
def test_no_choice_is_the_best():
    assert python("print(engine.isa())", "").stdout.strip() == engine.isas()[0]


def other_instruction_sets():
    return [isa for isa in engine.isas() if isa != engine.isa()]


FAST = [
    "tests/test_engine.py::test_tanh",
    "tests/test_engine.py::test_sigmoid",
    "tests/nn/test_native.py::test_sizes_and_options",
    "tests/nn/test_native.py::test_accuracy_of_one_step",
    "tests/nn/test_native_bits.py::test_threads_that_share_units[gru-2-all]",
    "tests/nn/test_native_bits.py::test_neighbours",
    "tests/nn/test_cross_entropy.py::test_it_is_cross_entropy",
    "tests/nn/test_transducer.py::test_sizes",
]


@needs_engine
@pytest.mark.parametrize("isa", other_instruction_sets())
def test_every_instruction_set_of_this_machine(isa):
    """The rest of the suite runs on one of them: here are the others."""
    assert python("print(engine.isa())", isa).stdout.strip() == isa
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *FAST],
        cwd=ROOT, env={**os.environ, "LOOPWISE_ISA": isa}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def objects():
    return sorted(ROOT.glob("build/cp*/CMakeFiles/kernels_*.dir/kernels.cpp.o"))


@pytest.mark.skipif(not objects(), reason="no object files of a build here")
@pytest.mark.skipif(shutil.which("nm") is None, reason="no nm here")
@pytest.mark.parametrize("path", objects(), ids=lambda path: path.parent.stem)
def test_instruction_sets_share_no_symbol(path):
    """Of two functions of one name the linker keeps one: maybe the one the machine cannot run."""
    isa = path.parent.stem.removeprefix("kernels_")
    listing = subprocess.run(
        ["nm", "--demangle", "--defined-only", "--extern-only", path],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    symbols = [line.split(maxsplit=2)[2] for line in listing]
    own = f"loopwise_{isa}::"
    assert f"{own}kernels" in symbols
    # data of the compiler's, the same for all
    foreign = [name for name in symbols if own not in name and not name.startswith("DW.ref.")]
    assert not foreign, foreign


@needs_engine
def test_memory_is_kept_for_the_next_and_belongs_to_one_at_a_time():
    shape = (3, 400_000)
    arrays = [engine.empty(shape) for _ in range(3)]
    for k, array in enumerate(arrays):
        assert array.shape == shape
        assert array.dtype == np.float32
        array.fill(k)
    assert all((array == k).all() for k, array in enumerate(arrays))
    places = {array.ctypes.data for array in arrays}
    view = arrays[0][1]
    del arrays, array
    again = engine.empty(shape)
    assert again.ctypes.data in places - {view.ctypes.data - view.nbytes}
    again.fill(7)
    assert (view == 0).all()  # what is still looked at is not given away


@needs_engine
def test_memory_for_many_threads():
    def work(k):
        for size in (200_000, 200_000 + 16 * k, 3_000_000):
            array = engine.empty((size,))
            array.fill(k)
            assert (array == k).all()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(200)))
