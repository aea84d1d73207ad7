"""The conformance of outputs and gradients on CUDA, where cuDNN runs the plain layers."""

import pytest
import torch

from loopwise.nn.state import map_state
from nn.cases import CASES, PLAIN, STRUCTURES, Case, ids, sample
from nn.oracle import BACKENDS, TOLERANCES, assert_agree, solve

if not torch.cuda.is_available():
    pytest.skip("needs a GPU that torch can use", allow_module_level=True)

# cuDNN compacts live weights at every call, which torch finds worth a warning.
pytestmark = pytest.mark.filterwarnings(
    "ignore:RNN module weights are not part of single contiguous"
)


def on_gpu(layer, data):
    hx = map_state(lambda s: s.cuda(), data.hx)
    return layer.cuda(), data._replace(x=data.x.cuda(), hx=hx)


@pytest.mark.parametrize("ragged", [False, True], ids=["whole", "ragged"])
@pytest.mark.parametrize("structure", STRUCTURES, ids=["one", "stacked"])
@pytest.mark.parametrize("on", BACKENDS)
@pytest.mark.parametrize("case", CASES, ids=ids(CASES))
def test_gpu_equals_the_oracle_in_evaluation_mode(case, on, structure, ragged):
    """With a backward, which cuDNN alone would refuse there; lengths on either device."""
    layer = case.make(**structure)
    data = sample(layer)
    request = {"lengths": data.lengths, "reset": data.reset} if ragged else {}
    expected = solve(layer, data.x, data.hx, on="reference", **request)
    layer, data = on_gpu(layer, data)
    assert_agree(solve(layer, data.x, data.hx, on=on, **request), expected)
    alone = solve(layer, data.x, on=on, **request)
    assert_agree(alone, solve(layer, data.x, on="reference", **request))
    moved = {name: value.cuda() for name, value in request.items()}
    assert_agree(solve(layer, data.x, data.hx, on=on, **moved), expected)


@pytest.mark.parametrize("case", PLAIN, ids=ids(PLAIN))
def test_large_sizes(case):
    layer = case.kind(37, 65, dtype=torch.float64, **case.options)
    data = sample(layer, steps=20, rows=17, input_size=37)
    expected = solve(layer, data.x, data.hx, on="reference", lengths=data.lengths)
    layer, data = on_gpu(layer, data)
    found = solve(layer, data.x, data.hx, lengths=data.lengths)
    assert_agree(found, expected)
    layer, data = layer.float(), data.to(torch.float32)
    found = solve(layer, data.x, data.hx, lengths=data.lengths)
    assert_agree(found, expected, 100 * TOLERANCES[torch.float32])  # TF32 in cuDNN


@pytest.mark.parametrize("case", PLAIN, ids=ids(PLAIN))
def test_checkpoint(case):
    layer, small = (
        Case(case.kind, {**case.options, **option}).make(num_layers=2, bidirectional=True)
        for option in ({}, {"checkpoint": True})
    )
    data = sample(layer, steps=150)
    request = {"lengths": data.lengths, "reset": data.reset}
    expected = solve(layer, data.x, data.hx, on="reference", **request)
    small, data = on_gpu(small, data)
    assert_agree(solve(small, data.x, data.hx, **request), expected)
    moved = {name: value.cuda() for name, value in request.items()}
    assert_agree(solve(small, data.x, data.hx, **moved), expected)


@pytest.mark.parametrize("case", CASES, ids=ids(CASES))
def test_autocast_to_half(case):
    layer = case.make(dtype=torch.float32).cuda()
    x = sample(case.make()).x.float().cuda()
    with torch.autocast("cuda", torch.float16):
        y, _ = layer(x, lengths=[3, 0, 5])
    y.float().sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in layer.parameters())
