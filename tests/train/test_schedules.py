"""Learning-rate factors against their closed forms."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwise.train.config import TrainConfig
from loopwise.train.schedules import Plateau, lr_factor

fractions = st.floats(0, 1)


@given(x=fractions, final=fractions)
def test_cosine(x, final):
    config = TrainConfig(schedule="cosine", final_lr=final)
    expected = final + (1 - final) * 0.5 * (1 + math.cos(math.pi * x))
    assert lr_factor(config, x, 0) == pytest.approx(expected, abs=1e-12)


@given(x=fractions, warmup=st.floats(0.01, 1), schedule=st.sampled_from(["constant", "plateau"]))
def test_warmup_is_a_ramp_to_one(x, warmup, schedule):
    config = TrainConfig(schedule=schedule, warmup=warmup)
    assert lr_factor(config, x, 0) == pytest.approx(min(1, x / warmup))


def test_cosine_falls_over_what_warmup_leaves():
    config = TrainConfig(schedule="cosine", warmup=0.2, final_lr=0.1)
    values = [lr_factor(config, x, 0) for x in (0.0, 0.1, 0.2, 0.6, 1.0)]
    assert values == pytest.approx([0, 0.5, 1, 0.55, 0.1])


def test_zaremba_2014():
    """The medium model: six epochs at 1, then divided by 1.2 after each epoch."""
    config = TrainConfig(schedule="exponential", hold_epochs=6, decay=1 / 1.2)
    factors = [lr_factor(config, 0.5, epoch) for epoch in range(9)]
    assert factors == pytest.approx([1] * 6 + [1 / 1.2, 1 / 1.2**2, 1 / 1.2**3])


def test_one_cycle():
    config = TrainConfig(schedule="one-cycle", warmup=0.25, final_lr=0.01)
    values = [lr_factor(config, x, 0) for x in (0, 0.125, 0.25, 0.625, 1)]
    assert values == pytest.approx([1 / 25, (1 + 1 / 25) / 2, 1, (1 + 0.01) / 2, 0.01])
    rise = TrainConfig(schedule="one-cycle")
    assert lr_factor(rise, 0.3, 0) == pytest.approx(1)


@given(
    x=st.floats(-1, 2),
    schedule=st.sampled_from(["constant", "cosine", "one-cycle", "plateau", "exponential"]),
    warmup=fractions,
    final=fractions,
)
def test_factors_stay_between_zero_and_one(x, schedule, warmup, final):
    falls = {"final_lr": final} if schedule in ("cosine", "one-cycle") else {}
    config = TrainConfig(schedule=schedule, warmup=warmup, **falls)
    assert 0 <= lr_factor(config, x, 3) <= 1 + 1e-12


def test_plateau_falls_after_patience_and_counts_anew():
    plateau, factors = Plateau(), []
    for improved in [True, False, False, False, False, True, False, False]:
        plateau.observe(improved, patience=2, decay=0.5)
        factors.append(plateau.factor)
    assert factors == [1, 1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]
