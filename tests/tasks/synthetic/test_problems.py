"""What is drawn, what the answers are, and what chance loses, from their definitions."""

import math

import numpy as np
import pytest

from loopwise.errors import ConfigError
from loopwise.tasks.synthetic.measure import figures, losses
from loopwise.tasks.synthetic.problems import (
    Adding,
    Copy,
    DelayedRecall,
    Parity,
    held_out,
    make_problem,
    training_generator,
)
from tasks.synthetic.runs import NAMES

MANY = 4000


def draw(problem, count=MANY):
    return held_out(problem, count, 3)


@pytest.mark.parametrize("length", [2, 3, 8])
def test_adding_adds_what_is_marked_once_in_each_half(length):
    inputs, targets = draw(Adding(length))
    values, markers = inputs[..., 0], inputs[..., 1]
    assert inputs.shape == (length, MANY, 2)
    assert inputs.dtype == targets.dtype == np.float32
    assert set(np.unique(markers)) <= {0, 1}
    assert (markers[: length // 2].sum(0) == 1).all()
    assert (markers[length // 2 :].sum(0) == 1).all()
    assert ((values >= 0) & (values < 1)).all()
    np.testing.assert_allclose(targets[0, :, 0], (values * markers).sum(0), rtol=1e-6)
    expected = np.repeat(
        [1 / (length // 2), 1 / (length - length // 2)], [length // 2, -(-length // 2)]
    )
    np.testing.assert_allclose(markers.mean(1), expected, atol=0.04)


def test_copy_shows_ten_symbols_waits_and_wants_them_back():
    inputs, targets = draw(Copy(5))
    assert inputs.shape == targets.shape == (25, MANY)
    assert (targets[-10:] == inputs[:10]).all()
    assert (targets[:-10] == 8).all()
    assert sorted(np.unique(inputs[:10])) == list(range(8))
    assert (inputs[10:14] == 8).all()
    assert (inputs[14] == 9).all()  # the signal, the first of the last eleven
    assert (inputs[15:] == 8).all()


def test_parity_says_whether_the_ones_so_far_are_odd():
    inputs, targets = draw(Parity(7), 50)
    for row in range(50):
        assert targets[:, row].tolist() == [sum(inputs[: t + 1, row]) % 2 for t in range(7)]


def test_delayed_recall_wants_the_first_of_length_and_one():
    inputs, targets = draw(DelayedRecall(7))
    assert inputs.shape == (8, MANY)
    assert targets.shape == (1, MANY)
    assert (targets[0] == inputs[0]).all()
    assert sorted(np.unique(inputs[1:])) == list(range(8))


def test_chance_is_what_the_best_answer_without_memory_loses():
    def loss(problem, outputs):
        targets = draw(problem).targets
        whole = np.broadcast_to(outputs, (*targets.shape[:2], problem.output_size))
        return losses(problem, whole.astype(np.float32), targets)

    blanks = np.full((25, 1, 9), -40.0)  # sure of a blank, then of any symbol
    blanks[:15, :, 8], blanks[15:, :, :8] = 0, 0
    for problem, outputs in (
        (Adding(9), np.ones(1)),
        (Copy(5), blanks),
        (Parity(9), np.zeros(2)),
        (DelayedRecall(9), np.zeros(8)),
    ):
        found = loss(problem, outputs)
        noise = found.std() / math.sqrt(MANY)
        assert problem.chance == pytest.approx(found.mean(), abs=4 * noise + 1e-6)
    assert Adding(600).chance == 1 / 6
    assert Copy(1000).chance == 10 * math.log(8) / 1020
    assert Parity(3).chance == math.log(2)
    assert DelayedRecall(3).chance == math.log(8)


@pytest.mark.parametrize("name", NAMES)
def test_who_remembers_all_loses_the_optimum_and_has_solved_it(name):
    problem = make_problem(name, 6)
    targets = draw(problem, 50).targets
    right = targets if name == "adding" else 40.0 * np.eye(problem.output_size)[targets]
    found = figures(problem, right, targets)
    assert found["loss"] == pytest.approx(problem.optimal, abs=1e-12)
    assert found["solved"] == pytest.approx(1)
    assert found.get("accuracy", 1) == 1


def test_the_accuracy_of_copy_counts_what_is_to_be_repeated():
    targets = draw(Copy(5), 800).targets
    blanks = np.eye(9)[np.full_like(targets, 8)]
    assert figures(Copy(5), blanks, targets)["accuracy"] == 0
    zeros = np.eye(9)[np.zeros_like(targets)]
    assert figures(Copy(5), zeros, targets)["accuracy"] == pytest.approx(1 / 8, abs=0.02)


def test_chance_has_solved_nothing():
    problem, targets = DelayedRecall(4), draw(DelayedRecall(4), 9).targets
    assert figures(problem, np.zeros((1, 9, 8)), targets)["solved"] == pytest.approx(0)


def test_cross_entropy_of_large_logits_is_finite():
    problem, targets = Parity(2), np.zeros((2, 1), int)
    assert losses(problem, np.full((2, 1, 2), 1e30), targets)[0] == pytest.approx(math.log(2))


@pytest.mark.parametrize("name", NAMES)
def test_equal_seeds_draw_equal_sequences_and_nothing_else_does(name):
    problem = make_problem(name, 20)
    drawn = [held_out(problem, 5, seed).inputs for seed in (1, 1, 2)]
    for place in ((1, 0, 0), (1, 0, 1), (1, 1, 0), (2, 0, 0), (1, 0, 0)):
        drawn.append(problem.draw(training_generator(*place), 5).inputs)
    alike = [[bool((a == b).all()) for b in drawn] for a in drawn]
    pairs = {(a, b) for a in range(8) for b in range(a) if alike[a][b]}
    assert pairs == {(1, 0), (7, 3)}


def test_too_short_a_length_is_told():
    with pytest.raises(ConfigError, match=r"length 1: adding needs a step in each half"):
        Adding(1)
    for name in NAMES[1:]:
        assert draw(make_problem(name, 1), 2).inputs.shape[1] == 2
