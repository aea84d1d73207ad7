"""Measurements of models whose answers are known in closed form."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import loopwise
from loopwise.diagnose.effort import QUICK, THOROUGH

EXACT = 1e-6


def linear(radius, *, units=6, orthogonal=False, steps=30, rows=3, dtype=torch.float64):
    """A ReLU network that never leaves its linear side, ``h' = W h + x``, and an input for it."""
    layer = loopwise.RNN(units, units, nonlinearity="relu", bias=False, dtype=dtype)
    w = torch.eye(units, dtype=dtype)
    if orthogonal:  # a permutation keeps numbers positive
        w = w.roll(1, 0)
    with torch.no_grad():
        layer.weight_hh_l0.copy_(radius * w)
        layer.weight_ih_l0.copy_(torch.eye(units, dtype=dtype))
    return layer, torch.rand(steps, rows, units, dtype=dtype) + 0.1


@pytest.mark.parametrize("radius", [0.5, 0.9, 1.0, 1.1])
@pytest.mark.parametrize("orthogonal", [False, True])
def test_a_linear_network_of_known_radius(radius, orthogonal):
    layer, x = linear(radius, orthogonal=orthogonal)
    report = loopwise.diagnose(layer, x)["l0"]
    lags = np.arange(30)
    norms = np.array(report.gradients.h)[::-1]
    np.testing.assert_allclose(norms / norms[0], radius**lags, rtol=EXACT)
    np.testing.assert_allclose(norms[0], math.sqrt(3 * 6), rtol=EXACT)  # of a sum over units
    assert report.gradients.slope_h == pytest.approx(math.log(radius), abs=EXACT)
    np.testing.assert_allclose(report.influence.h, radius**lags, rtol=EXACT)
    np.testing.assert_allclose(report.influence.x, radius**lags, rtol=EXACT)
    assert report.influence.slope == pytest.approx(math.log(radius), abs=EXACT)
    assert report.spectrum.radius["h"] == pytest.approx(radius, abs=EXACT)
    assert report.spectrum.norm["h"] == pytest.approx(radius, abs=EXACT)
    np.testing.assert_allclose(report.spectrum.jacobian_radius, radius, rtol=EXACT)
    np.testing.assert_allclose(report.spectrum.jacobian_norm, radius, rtol=EXACT)
    np.testing.assert_allclose(report.spectrum.lyapunov, math.log(radius), atol=EXACT)


def test_the_horizon_is_where_the_influence_crosses():
    layer, x = linear(0.9)
    influence = loopwise.diagnose(layer, x)["l0"].influence
    assert influence.horizon == math.ceil(1 / -math.log(0.9))
    assert influence.horizon_1_percent is None  # 0.9^29 is 0.047
    layer, x = linear(0.8)
    assert loopwise.diagnose(layer, x)["l0"].influence.horizon_1_percent == math.ceil(
        math.log(0.01) / math.log(0.8)
    )


def test_in_single_precision_and_on_the_engine():
    layer, x = linear(0.9, units=16, orthogonal=True, dtype=torch.float32)
    report = loopwise.diagnose(layer, x)["l0"]
    np.testing.assert_allclose(report.influence.h, 0.9 ** np.arange(30), rtol=1e-5)
    np.testing.assert_allclose(report.spectrum.lyapunov, math.log(0.9), atol=1e-6)


def test_a_unit_with_fixed_gates_forgets_by_the_product_of_its_forget_gates():
    """With no weight but biases every gate is a number; c' = f c + i g."""
    layer = loopwise.LSTM(1, 1, dtype=torch.float64)
    biases = {"i": 0.3, "f": 1.2, "g": -0.4, "o": 0.7}
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.bias_ih_l0.copy_(torch.tensor(list(biases.values())))
    report = loopwise.diagnose(layer, torch.randn(25, 2, 1, dtype=torch.float64))["l0"]
    forget = 1 / (1 + math.exp(-1.2))
    norms = np.array(report.gradients.c)[::-1]
    np.testing.assert_allclose(norms / norms[0], forget ** np.arange(25), rtol=EXACT)
    assert report.gradients.slope_c == pytest.approx(math.log(forget), abs=EXACT)
    np.testing.assert_allclose(report.influence.memory, forget ** np.arange(25), rtol=EXACT)
    # of h and c together: while c settles the direction turns, which is a share of 1/T
    assert report.spectrum.lyapunov[0] == pytest.approx(math.log(forget), abs=5e-3)
    assert report.influence.h[1] == 0  # of h itself nothing is left


@pytest.mark.parametrize("cell", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("options", [{}, {"layer_norm": True}])
def test_influence_and_spectra_are_those_of_the_whole_jacobians(cell, options):
    """Against products of Jacobians that autograd writes down."""
    torch.manual_seed(0)
    layer = getattr(loopwise, cell)(3, 5, dtype=torch.float64, **options)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    x = torch.randn(7, 1, 3, dtype=torch.float64)
    size = 2 if cell == "LSTM" else 1
    state = tuple(torch.zeros(1, 5, dtype=torch.float64) for _ in range(size))
    jacobians = []
    for x_t in x:

        def step(*parts, x_t=x_t):
            after = layer(x_t[None], tuple(p[None] for p in parts) if size > 1 else parts[0][None])
            return tuple(p[0] for p in (after[1] if size > 1 else (after[1],)))

        blocks = torch.autograd.functional.jacobian(step, state)
        jacobians.append(torch.cat([torch.cat([b[0, :, 0] for b in row], 1) for row in blocks]))
        state = tuple(part.detach() for part in step(*state))
    report = loopwise.diagnose(layer, x, thorough=True)["l0"]
    picked = [jacobians[step] for step in report.spectrum.jacobian_steps]
    radii = [float(torch.linalg.eigvals(j).abs().max()) for j in picked]
    np.testing.assert_allclose(report.spectrum.jacobian_radius, radii, rtol=1e-6)
    norms = [float(torch.linalg.matrix_norm(j, 2)) for j in picked]
    np.testing.assert_allclose(report.spectrum.jacobian_norm, norms, rtol=1e-6)
    product, curve = torch.eye(5 * size, dtype=torch.float64), [1.0]
    for jacobian in reversed(jacobians[1:]):
        product = product @ jacobian
        curve.append(float(product[:5, :5].norm()) / math.sqrt(5))
    # directions are random: their mean comes near the norm, from both sides
    np.testing.assert_allclose(report.influence.h, curve, rtol=0.5)


def test_the_mean_over_random_directions_is_the_norm():
    torch.manual_seed(0)
    layer = loopwise.RNN(2, 8, nonlinearity="relu", bias=False, dtype=torch.float64)
    w = 0.1 + 0.2 * torch.rand(8, 8, dtype=torch.float64)
    with torch.no_grad():
        layer.weight_hh_l0.copy_(w)
        layer.weight_ih_l0.fill_(1.0)
    # in rows that do alike there are as many directions as rows
    x = torch.rand(5, 1, 2, dtype=torch.float64).expand(5, 4000, 2) + 0.1
    from loopwise.diagnose.curves import influence
    from loopwise.diagnose.observe import observe

    with observe(layer) as seen:
        layer(x)
    effort = type(QUICK)(**{**vars(QUICK), "rows": 4000})
    found = influence(seen.calls[0].problem, effort).h
    exact = [float(torch.linalg.matrix_power(w, k).norm()) / math.sqrt(8) for k in range(5)]
    np.testing.assert_allclose(found, exact, rtol=0.03)


def test_dead_constant_and_saturated_units_are_found():
    torch.manual_seed(0)
    layer = loopwise.RNN(4, 10, nonlinearity="relu")
    with torch.no_grad():
        layer.bias_ih_l0.fill_(1.0)
        layer.bias_ih_l0[3] = -100.0
        layer.bias_ih_l0[7] = 50.0
        layer.weight_ih_l0[7] = 0
        layer.weight_hh_l0[7] = 0
    report = loopwise.diagnose(layer, torch.randn(20, 8, 4))
    assert report["l0"].activity.dead == (3,)
    assert report["l0"].activity.constant == (7,)
    assert "dead units" in report.findings.names()

    layer = loopwise.LSTM(4, 10)
    with torch.no_grad():
        layer.bias_ih_l0[:10] = -9.0  # input gates
        layer.bias_ih_l0[10:20] = 9.0  # forget gates: open they are at their best
    report = loopwise.diagnose(layer, torch.randn(20, 8, 4))
    assert report["l0"].activity.low["i"] == 1.0
    assert report["l0"].activity.high["f"] == 1.0
    saturated = [f.where for f in report.findings if f.rule == "saturated gates"]
    assert saturated == ["l0, gate i"]


def test_effective_rank_of_states_in_a_plane():
    layer = loopwise.RNN(2, 12, nonlinearity="relu", bias=False, dtype=torch.float64)
    with torch.no_grad():
        layer.weight_hh_l0.zero_()
        layer.weight_ih_l0.copy_(torch.rand(12, 2, dtype=torch.float64))
    rank = loopwise.diagnose(layer, torch.rand(20, 8, 2, dtype=torch.float64))["l0"].activity
    assert 1 < rank.effective_rank <= 2 + 1e-9


@pytest.mark.parametrize("where", ["input", "weight", "head"])
def test_the_first_number_that_is_not_finite_is_found(where):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.LSTM(3, 4, 2)
            self.head = nn.Linear(4, 2)

        def forward(self, x):
            return self.head(self.rnn(x)[0]).square().mean()

    model, x = Model(), torch.randn(12, 2, 3)
    if where == "input":
        x[5, 1, 2] = float("nan")
        expected = ("input of rnn.l0", 5)
    elif where == "weight":
        with torch.no_grad():
            model.rnn.weight_hh_l1[0, 0] = float("inf")
        expected = ("rnn.weight_hh_l1", None)
    else:
        with torch.no_grad():
            model.head.weight.fill_(1e38)
            model.rnn.bias_ih_l1.fill_(50.0)
        expected = ("head", None)
    report = loopwise.diagnose(model, x)
    assert (report.not_finite.tensor, report.not_finite.step) == expected
    assert report.findings[0].rule == "not finite"


def test_a_gradient_that_overflows_on_its_way_back_is_found():
    layer = loopwise.RNN(1, 1, nonlinearity="relu", bias=False)
    with torch.no_grad():
        layer.weight_hh_l0.fill_(1e9)
        layer.weight_ih_l0.fill_(1e-36)
    report = loopwise.diagnose(layer, torch.ones(4, 1, 1), lambda out: (1e30 * out[0][-1]).sum())
    assert math.isfinite(report.loss)
    assert (report.not_finite.tensor, report.not_finite.step) == ("gradient of l0, h", 2)


def test_thorough_and_quick_agree_on_small_layers():
    torch.manual_seed(0)
    layer, x = loopwise.GRU(3, 8), torch.randn(20, 4, 3)
    quick, thorough = (loopwise.diagnose(layer, x, thorough=t)["l0"] for t in (False, True))
    assert quick.gradients == thorough.gradients
    assert quick.spectrum.radius == thorough.spectrum.radius
    assert QUICK != THOROUGH
