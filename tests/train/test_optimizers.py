"""Optimisers: which weights decay, and NT-ASGD against a hand-written mean."""

import math

import pytest
import torch
from torch import nn

from loopwise.train.config import TrainConfig
from loopwise.train.optimizers import NTASGD, averaged_weights, make_optimizer


def one_step(optimizer, model) -> None:
    optimizer.zero_grad()
    for index, parameter in enumerate(model.parameters()):
        parameter.grad = torch.full_like(parameter, 0.1 * (index + 1))
    optimizer.step()


def weights(model) -> list[torch.Tensor]:
    return [p.detach().clone() for p in model.parameters()]


@pytest.mark.parametrize(("kind", "decayed"), [("adamw", {"weight"}), ("sgd", {"weight", "bias"})])
def test_weight_decay(kind, decayed):
    model = nn.Linear(3, 2)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    config = TrainConfig(optimizer=kind, lr=0.1, weight_decay=0.5)
    optimizer = make_optimizer(config, model)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, value in model.state_dict().items():
        factor = 1 - 0.1 * 0.5 if name in decayed else 1.0
        torch.testing.assert_close(value, before[name] * factor)


def test_frozen_parameters_are_left_out():
    model = nn.Linear(3, 2)
    model.bias.requires_grad_(False)
    for kind in ("adamw", "sgd", "nt-asgd"):
        groups = make_optimizer(TrainConfig(optimizer=kind), model).param_groups
        assert [p is model.weight for group in groups for p in group["params"]] == [True]


def triggered_at(metrics: list[float]) -> int | None:
    model = nn.Linear(1, 1)
    optimizer = make_optimizer(TrainConfig(optimizer="nt-asgd"), model)
    assert isinstance(optimizer, NTASGD)
    for number, metric in enumerate(metrics):
        optimizer.observe(metric)
        if optimizer.averaged:
            return number
    return None


def merity(metrics: list[float], n: int = 5) -> int | None:
    """Algorithm 1 of Merity et al. 2017, as their code has it."""
    logs: list[float] = []
    for t, v in enumerate(metrics):
        if t > n and v > min(logs[: t - n]):
            return t
        logs.append(v)
    return None


@pytest.mark.parametrize(
    "metrics",
    [
        [10 - i for i in range(12)],
        [5, 4, 3, 2, 2.1, 2.2, 2.1, 2.3, 2.4, 2.5],
        [1.0, 2, 2, 2, 2, 2, 2, 2],
        [5, 1, 4, 4, 4, 4, 3, 2],
        [3, 3, 3, 3, 3, 3, 3, 3],
    ],
)
def test_nt_asgd_starts_when_merity_does(metrics):
    assert triggered_at(metrics) == merity(metrics)


def test_nt_asgd_takes_a_validation_that_is_not_finite_as_worse():
    assert triggered_at([3, 2, 1, 1, 1, 1, math.nan]) == 6
    assert triggered_at([math.nan] * 6 + [1.0]) is None


@pytest.fixture
def averaging() -> tuple[nn.Module, NTASGD, list[list[torch.Tensor]]]:
    """A model some steps into averaging, and all iterates since its start."""
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    optimizer = make_optimizer(TrainConfig(optimizer="nt-asgd", lr=0.3), model)
    assert isinstance(optimizer, NTASGD)
    one_step(optimizer, model)
    for metric in [1, 2, 2, 2, 2, 2, 2]:
        optimizer.observe(metric)
    iterates = [weights(model)]
    for lr in (0.3, 0.3, 0.1, 0.7):
        for group in optimizer.param_groups:
            group["lr"] = lr
        one_step(optimizer, model)
        iterates.append(weights(model))
    return model, optimizer, iterates


def test_nt_asgd_holds_the_mean_of_the_iterates_since_the_trigger(averaging):
    model, optimizer, iterates = averaging
    with averaged_weights(optimizer):
        for number, parameter in enumerate(model.parameters()):
            mean = torch.stack([iterate[number] for iterate in iterates]).mean(dim=0)
            torch.testing.assert_close(parameter.detach(), mean)


def test_nt_asgd_steps_are_sgd_at_the_rate_of_the_moment(averaging):
    _, _, iterates = averaging
    for before, after, lr in zip(iterates[:-1], iterates[1:], (0.3, 0.3, 0.1, 0.7), strict=True):
        for index in range(2):
            torch.testing.assert_close(after[index], before[index] - lr * 0.1 * (index + 1))


def test_weights_are_swapped_back_exactly_even_after_an_error(averaging):
    model, optimizer, iterates = averaging
    with pytest.raises(KeyError), averaged_weights(optimizer):
        raise KeyError
    assert all(torch.equal(p, w) for p, w in zip(model.parameters(), iterates[-1], strict=True))


def test_other_optimisers_have_no_averages():
    model = nn.Linear(2, 2)
    before = weights(model)
    with averaged_weights(make_optimizer(TrainConfig(), model)):
        assert all(torch.equal(p, w) for p, w in zip(model.parameters(), before, strict=True))
