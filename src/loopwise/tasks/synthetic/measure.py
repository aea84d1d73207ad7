"""How well answers are: loss, chance, the share of the way between, accuracy. No torch here."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwise.runtime.sequence_model import LoadedSequenceModel
from loopwise.tasks.synthetic.problems import Array, Problem, Sequences, held_out

ROWS = 100
"""Sequences that are read at once; bounds memory, and changes no figure."""


def losses(problem: Problem, outputs: NDArray[np.floating[Any]], targets: Array) -> Array:
    """The loss of each sequence, float64 [B], whose mean is what training lowers.

    Args:
        problem: says whether answers are numbers or classes.
        outputs: [K, B, O].
        targets: as `loopwise.tasks.synthetic.problems.Sequences.targets`.
    """
    outputs = outputs.astype(np.float64)
    if problem.outputs == "numbers":
        return ((outputs - targets) ** 2).mean((0, 2))
    outputs -= outputs.max(-1, keepdims=True)
    chosen = np.take_along_axis(outputs, targets[..., np.newaxis], -1)[..., 0]
    return (np.log(np.exp(outputs).sum(-1)) - chosen).mean(0)


def figures(
    problem: Problem, outputs: NDArray[np.floating[Any]], targets: Array
) -> dict[str, float]:
    """What answers amount to.

    Args:
        problem: whose answers they are.
        outputs: [K, B, O].
        targets: as `loopwise.tasks.synthetic.problems.Sequences.targets`.

    Returns:
        ``loss``; ``chance`` and ``optimal``, the losses of one who remembers nothing and of one
        who remembers all; ``solved``, the share of the way from the one to the other, at most 1 and
        negative below chance; of classes also ``accuracy``, the share of right answers among those
        that need memory.
    """
    loss = float(losses(problem, outputs, targets).mean())
    chance, optimal = problem.chance, problem.optimal
    solved = 1 - (loss - optimal) / (chance - optimal)
    found = {"loss": loss, "chance": chance, "optimal": optimal, "solved": solved}
    if problem.outputs == "classes":
        asked = slice(-problem.asked, None)
        found["accuracy"] = float((outputs[asked].argmax(-1) == targets[asked]).mean())
    return found


def answers(model: LoadedSequenceModel, sequences: Sequences) -> Array:
    """What a deployed model answers, [K, B, O]; `ROWS` sequences at a time."""
    inputs, targets = sequences
    parts = [inputs[:, begin : begin + ROWS] for begin in range(0, inputs.shape[1], ROWS)]
    return np.concatenate([model.run(part, len(targets)) for part in parts], axis=1)


def evaluate(
    model: LoadedSequenceModel, problem: Problem, count: int, seed: int
) -> dict[str, float]:
    """The `figures` of a deployed model on `count` held-out sequences drawn with `seed`."""
    sequences = held_out(problem, count, seed)
    return figures(problem, answers(model, sequences), sequences.targets)
