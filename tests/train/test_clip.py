"""Clipping against its definitions."""

import math

import pytest
import torch
from torch import nn

from loopwise.nn.ensemble import Ensemble
from loopwise.train.clip import (
    clip_gradients,
    clipped_together,
    first_not_finite,
    gradient_norm,
)
from loopwise.train.config import TrainConfig


@pytest.fixture
def parameters() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(4, 3), (5,), (2, 3, 2), (6, 2)]
    made = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
    for parameter in made[:-1]:
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    return made  # the last one has no gradient


def clip(parameters, limit, mode) -> tuple[float, bool, list[torch.Tensor], list[torch.Tensor]]:
    before = [p.grad.clone() for p in parameters if p.grad is not None]
    norm = gradient_norm(parameters)
    clipped = clip_gradients(parameters, norm, TrainConfig(clip=limit, clip_mode=mode))
    after = [p.grad for p in parameters if p.grad is not None]
    return float(norm), bool(clipped), before, after


def test_norm_is_that_of_one_vector(parameters):
    entries = torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])
    assert float(gradient_norm(parameters)) == pytest.approx(math.sqrt(float((entries**2).sum())))


def test_norm_clipping_scales_all_gradients_to_the_limit(parameters):
    norm, clipped, before, after = clip(parameters, 0.5, "norm")
    assert clipped
    for old, new in zip(before, after, strict=True):
        torch.testing.assert_close(new, old * 0.5 / norm)
    assert float(gradient_norm(parameters)) == pytest.approx(0.5, rel=1e-5)


@pytest.mark.parametrize("mode", ["norm", "value", "adaptive"])
@pytest.mark.parametrize("limit", [0, 1e6])
def test_nothing_changes_below_the_limit(parameters, mode, limit):
    _, clipped, before, after = clip(parameters, limit, mode)
    assert not clipped
    for old, new in zip(before, after, strict=True):
        assert torch.equal(old, new)


def test_value_clipping_bounds_each_entry(parameters):
    _, clipped, before, after = clip(parameters, 0.3, "value")
    assert clipped
    for old, new in zip(before, after, strict=True):
        assert torch.equal(new, old.clip(-0.3, 0.3))


def test_adaptive_clipping_is_brock_equation_3_row_by_row(parameters):
    with torch.no_grad():
        parameters[0][1] = 0  # a unit without weights still may move by clip * 1e-3
    _, clipped, before, after = clip(parameters, 0.4, "adaptive")
    assert clipped
    for parameter, old, new in zip(parameters[:3], before, after, strict=True):
        rows = range(len(old)) if old.ndim > 1 else [slice(None)]
        for row in rows:
            limit = 0.4 * max(float(parameter[row].detach().norm()), 1e-3)
            expected = old[row] * min(1.0, limit / float(old[row].norm()))
            torch.testing.assert_close(new[row], expected)


def test_each_network_of_an_ensemble_is_clipped_for_itself():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.before = nn.Linear(2, 3)
            self.many = Ensemble(nn.Linear(3, 1) for _ in range(2))
            self.after = nn.Linear(1, 1)

    model = Model()
    for size, parameter in enumerate(model.parameters(), start=1):
        parameter.grad = torch.full_like(parameter, float(size))
    model.many[1].bias.grad = None
    groups = clipped_together(model)
    named = {parameter: name for name, parameter in model.named_parameters()}
    assert [[named[parameter] for parameter in group] for group in groups] == [
        ["before.weight", "before.bias", "after.weight", "after.bias"],
        ["many.0.weight", "many.0.bias"],
        ["many.1.weight"],
    ]
    assert [len(group) for group in clipped_together(nn.Linear(2, 3))] == []


def test_first_not_finite_names_the_first():
    good, nan = torch.zeros(3), torch.tensor([1.0, math.nan])
    assert first_not_finite([("a", good), ("b", None)]) is None
    named = [("a", good), ("b", None), ("c", torch.tensor(math.inf)), ("d", nan)]
    assert first_not_finite(named) == "c"
