"""First and second derivatives against finite differences, in float64."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call

from loopwise.nn.backend import backend
from loopwise.nn.layers import GRU, LSTM
from loopwise.nn.state import leaves, rebuild
from nn.cases import CASES, PLAIN, STRUCTURES, Case, ids, sample
from nn.oracle import BACKENDS, assert_near

# Initial values change no equation, and torch's kernels run the plain cases alone.
FAST = (*PLAIN, Case(LSTM, {"proj_size": 2}), Case(GRU, {"bias": False}))
DISTINCT = [case for case in CASES if not {"init", "forget_bias", "chrono"} & case.options.keys()]
CHECKS = [*[(case, "reference") for case in DISTINCT], *[(case, "torch") for case in FAST]]
every_check = pytest.mark.parametrize(("case", "on"), CHECKS, ids=[f"{c}-{on}" for c, on in CHECKS])
RESET = torch.tensor([[False, True], [True, False], [False, False]])


def as_function(layer, data, **request):
    """The layer as a function of its input, its state's tensors and its parameters.

    The same seed at each call, so that what training draws is a constant.
    """
    names = [name for name, _ in layer.named_parameters()]
    inputs = [data.x, *leaves(data.hx), *layer.parameters()]
    count = len(list(leaves(data.hx)))

    def function(x, *rest):
        torch.manual_seed(0)
        hx = rebuild(data.hx, iter(rest[:count]))
        parameters = dict(zip(names, rest[count:], strict=True))
        y, state = functional_call(layer, parameters, (x, hx), request)
        return y, *leaves(state)

    return function, [tensor.detach().clone().requires_grad_() for tensor in inputs]


@every_check
def test_gradients(case, on):
    layer = case.make(bidirectional=True)
    data = sample(layer, steps=3, rows=2)
    with backend(on):
        for training in [False] if case.deterministic else [False, True]:
            for request in ({}, {"lengths": [3, 2], "reset": RESET}):
                function, inputs = as_function(layer.train(training), data, **request)
                assert gradcheck(function, inputs, fast_mode=True)


@every_check
def test_second_derivatives(case, on):
    layer = case.make().train()
    data = sample(layer, steps=3, rows=2)
    with backend(on):
        function, inputs = as_function(layer, data, lengths=[3, 2], reset=RESET)
        assert gradgradcheck(function, inputs, fast_mode=True)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("structure", STRUCTURES, ids=["one", "stacked"])
@pytest.mark.parametrize("case", PLAIN, ids=ids(PLAIN))
def test_double_backward_of_the_fast_path_is_the_references(case, structure, dtype):
    """Torch has one kernel for float64 and others for float32; both differentiate twice."""
    layer = case.make(dtype=dtype, **structure)
    data = sample(layer).to(dtype)
    found = []
    for on in BACKENDS:
        with backend(on):
            x = data.x.clone().requires_grad_()
            y, _ = layer(x, data.hx, lengths=[3, 0, 5])
            (grad,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
            inputs = [x, *layer.parameters()]
            found.append(torch.autograd.grad(grad.square().sum(), inputs, materialize_grads=True))
    *fast, expected = found
    assert any(part.any() for part in expected)
    for parts in fast:
        for part, want in zip(parts, expected, strict=True):
            assert_near(part, want, 1e-10 if dtype == torch.float64 else 1e-4)
