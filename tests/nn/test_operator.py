"""The operator that stands for a recurrence while torch compiles or exports."""

from unittest import mock

import pytest
import torch

from loopwise.nn import ops
from loopwise.nn.backend import backend
from loopwise.nn.layers import RNN
from loopwise.nn.problem import Problem
from loopwise.nn.state import leaves
from nn.cases import HIDDEN, OWN, ROWS, STEPS, Case, ids, sample
from nn.oracle import BACKENDS, AsOperator, assert_agree, assert_near, solve

CHECKED = [OWN[-1], next(case for case in reversed(OWN) if "peephole" in case.options)]
every_case = pytest.mark.parametrize("case", OWN, ids=ids(OWN))


@every_case
def test_operator_equals_eager(case):
    layer = case.make(num_layers=2, bidirectional=True)
    data = sample(layer)
    for request in (
        {},
        {"lengths": data.lengths, "reset": data.reset},
        {"lengths": data.lengths, "return_all": "gates"},
    ):
        expected = solve(layer, data.x, data.hx, **request)
        assert_agree(solve(AsOperator(layer), data.x, data.hx, **request), expected)


@every_case
def test_operator_equals_eager_in_training(case):
    layer = case.make(bidirectional=True).train()
    data = sample(layer)
    torch.manual_seed(0)
    expected = solve(layer, data.x, data.hx)
    torch.manual_seed(0)
    assert_agree(solve(AsOperator(layer), data.x, data.hx), expected)


@pytest.mark.parametrize(("steps", "rows"), [(0, ROWS), (STEPS, 0), (1, 1)])
@every_case
def test_operator_on_empty_and_smallest_batches(case, steps, rows):
    layer = case.make()
    data = sample(layer, steps=steps, rows=rows)
    for request in ({}, {"lengths": data.lengths}):
        expected = solve(layer, data.x, data.hx, **request)
        assert_agree(solve(AsOperator(layer), data.x, data.hx, **request), expected)


@every_case
def test_double_backward(case):
    layer = case.make(bidirectional=True)
    data = sample(layer)
    found = []
    for run in (AsOperator(layer), layer):
        x = data.x.clone().requires_grad_()
        y, _ = run(x, data.hx, lengths=data.lengths, reset=data.reset)
        (grad,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
        inputs = [x, *layer.parameters()]
        found.append(torch.autograd.grad(grad.square().sum(), inputs, materialize_grads=True))
    assert any(part.any() for part in found[1])
    for part, want in zip(*found, strict=True):
        assert_near(part, want)


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_weight_in_two_places_gets_each_share_once(create_graph):
    layer = Case(RNN).make(input_size=HIDDEN)
    layer.weight_hh_l0 = layer.weight_ih_l0
    x = sample(layer, input_size=HIDDEN).x
    found, expected = (
        torch.autograd.grad(
            run(x)[0].square().sum(), layer.weight_ih_l0, create_graph=create_graph
        )[0]
        for run in (AsOperator(layer), layer)
    )
    assert_near(found, expected)


@pytest.mark.parametrize("trace", [False, True], ids=["plain", "trace"])
@pytest.mark.parametrize("case", CHECKED, ids=ids(CHECKED))
def test_torchs_own_check_of_operators(case, trace):
    """Schema, registration, fake against real, and the traced gradient."""
    layer = case.make()
    data = sample(layer)
    hx = tuple(part[0].clone().requires_grad_() for part in leaves(data.hx))
    restart = tuple(torch.zeros_like(part) for part in hx)
    x = data.x.clone().requires_grad_()
    keep = tuple(torch.rand(STEPS, *part.shape).double() for part in hx)
    ragged = (data.lengths, data.reset, True)
    for problem in (
        Problem(layer.options.cell, x, hx, layer.weights(0), restart, trace=trace),
        Problem(
            layer.options.cell, x, hx, layer.weights(0), restart, *ragged, keep=keep, trace=trace
        ),
    ):
        arguments = ops._flatten(problem)
        torch.library.opcheck(torch.ops.loopwise.recurrence.default, arguments)


def test_operator_runs_on_the_backend_in_force():
    layer = OWN[0].make()
    x = sample(layer).x
    for on in BACKENDS:
        with backend(on), mock.patch.object(ops, "_compute", wraps=ops._compute) as compute:
            AsOperator(layer)(x)[0].sum().backward()
        assert [call.args[1] for call in compute.call_args_list] == [
            on,
            on,
        ]  # forwards and backwards
