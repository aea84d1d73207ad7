"""The losses in torch are those that the distributions of deployment define."""

import numpy as np
import pytest
import torch

from loopwise.codec.series.distributions import make_output
from loopwise.tasks.forecast.losses import target_loss

OUTPUTS = {
    "quantiles": make_output("quantiles", levels=(0.02, 0.1, 0.4, 0.5, 0.9)),
    "normal": make_output("normal"),
    "student-t": make_output("student-t"),
    "mixture": make_output("mixture", components=4),
    "poisson": make_output("poisson"),
    "negative-binomial": make_output("negative-binomial"),
    "bernoulli": make_output("bernoulli"),
    "point": make_output("point"),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_torch_and_numpy_agree(name):
    output, rng = OUTPUTS[name], np.random.default_rng(3)
    raw = 3 * rng.standard_normal((40, 7, output.size))
    scale = rng.uniform(0.5, 20, (40, 1))
    y = rng.standard_normal((40, 7))
    if name == "bernoulli":
        y = rng.integers(0, 2, (40, 7)).astype(float)
        scale = np.ones_like(scale)
    elif output.counts:
        y = rng.poisson(5.0, (40, 7)).astype(float)
    expected = output.distribution(raw, scale if output.counts else None).loss(y)
    given = y / scale if output.counts else y
    ours = target_loss(output, *map(torch.from_numpy, (raw, given, scale)), "mse")
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-9, atol=1e-9)


def test_losses_of_a_point():
    raw, y = torch.tensor([[0.0], [0.0]]), torch.tensor([0.5, -3.0])
    point, one = OUTPUTS["point"], torch.ones(1)
    found = {loss: target_loss(point, raw, y, one, loss).tolist() for loss in ("mae", "mse", "huber")}
    assert found == {"mae": [0.5, 3.0], "mse": [0.25, 9.0], "huber": [0.125, 2.5]}


@pytest.mark.parametrize("name", OUTPUTS)
def test_gradients_are_finite_far_out(name):
    output = OUTPUTS[name]
    raw = torch.full((2, output.size), -30.0, requires_grad=True)
    y = torch.tensor([0.0, 1.0]) if output.counts else torch.tensor([-50.0, 50.0])
    target_loss(output, raw, y, torch.ones(1), "mae").sum().backward()
    assert raw.grad is not None
    assert torch.isfinite(raw.grad).all()
