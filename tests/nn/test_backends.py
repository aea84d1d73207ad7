"""Every backend against the oracle: outputs, states and gradients, in every type."""

import subprocess
import sys
from unittest import mock

import pytest
import torch

from loopwise.nn.layers import GRU, LSTM, RNN
from loopwise.nn.state import leaves
from nn.cases import CASES, PLAIN, STRUCTURES, Case, ids, sample
from nn.oracle import BACKENDS, TOLERANCES, assert_agree, solve


@pytest.mark.parametrize("ragged", [False, True], ids=["whole", "ragged"])
@pytest.mark.parametrize("structure", STRUCTURES, ids=["one", "stacked"])
@pytest.mark.parametrize("case", CASES, ids=ids(CASES))
def test_backends_agree(case, structure, ragged):
    layer = case.make(**structure)
    data = sample(layer)
    request = {"lengths": data.lengths, "reset": data.reset} if ragged else {}
    expected = solve(layer, data.x, data.hx, on="reference", **request)
    assert_agree(solve(layer, data.x, data.hx, on="torch", **request), expected)
    assert any(g.abs().max() > 0 for name, g in expected.items() if name.startswith("grad"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("on", BACKENDS)
@pytest.mark.parametrize("case", CASES, ids=ids(CASES))
def test_lower_precision_stays_near(case, on, dtype):
    """The oracle gets the very numbers that the layer has, so that only arithmetic differs."""
    layer = case.make(dtype=dtype, bidirectional=True)
    data = sample(layer).to(dtype)
    request = {"lengths": data.lengths}
    found = solve(layer, data.x, data.hx, on=on, **request)
    assert {part.dtype for part in found.values()} == {dtype}
    layer, data = layer.double(), data.to(torch.float64)
    expected = solve(layer, data.x, data.hx, on="reference", **request)
    assert_agree(found, expected, TOLERANCES[dtype])


@pytest.mark.parametrize("case", PLAIN, ids=ids(PLAIN))
def test_large_sizes_agree(case):
    """Sizes past the width of a vector register, where fused kernels take other paths."""
    layer = case.kind(37, 65, dtype=torch.float32, **case.options)
    data = sample(layer, steps=20, rows=17, input_size=37).to(torch.float32)
    found = solve(layer, data.x, data.hx, on="torch", lengths=data.lengths)
    layer, data = layer.double(), data.to(torch.float64)
    expected = solve(layer, data.x, data.hx, on="reference", lengths=data.lengths)
    assert_agree(found, expected, TOLERANCES[torch.float32])


def test_projections_raise_no_warning():
    """Torch warns of its own LSTM with projections, once a process: so in a fresh one."""
    code = "import torch, loopwise; loopwise.LSTM(3, 4, proj_size=2)(torch.zeros(2, 1, 3))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("kind", "name"), [(LSTM, "lstm"), (GRU, "gru"), (RNN, "rnn_tanh")])
def test_kernels_get_a_contiguous_state(kind, name):
    """cuDNN refuses the view that spreads a learned initial state over the rows."""
    layer = Case(kind, {"learn_initial_state": True}).make(num_layers=2)
    x = sample(layer).x
    with mock.patch.object(torch, name, wraps=getattr(torch, name)) as kernel:
        layer(x)
    assert kernel.call_count == 2
    for call in kernel.call_args_list:
        assert all(part.is_contiguous() for part in leaves(call.args[1]))
