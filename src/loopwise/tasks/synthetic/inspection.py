"""A model of a synthetic task over one sequence, seen from inside."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from loopwise.diagnose.attribution import attribute
from loopwise.diagnose.states import Array, Attribution, Inspection
from loopwise.diagnose.telling import telling
from loopwise.diagnose.trace import trace
from loopwise.errors import DataError
from loopwise.runtime.bundle import Bundle
from loopwise.runtime.description import SequenceModelDescription, parse_as
from loopwise.tasks.layers.sequence_model import SequenceModel
from loopwise.tasks.synthetic.config import SyntheticConfig
from loopwise.tasks.synthetic.problems import Adding, Parity, Problem, held_out

ROWS = 100
"""Sequences that telling units are measured on."""


def inspect_sequence(
    config: SyntheticConfig,
    bundle: Bundle,
    inputs: NDArray[np.floating] | NDArray[np.integer],
    at: int,
) -> Inspection:
    """Look at one sequence.

    Args:
        config: of the run.
        bundle: its model.
        inputs: numbers [T, I] or symbols [T].
        at: the step after which the answer is explained, from 0.
    """
    problem = config.problem
    description = parse_as(SequenceModelDescription, bundle.model)
    model = SequenceModel(description, config.model, one_hot=not config.model.embedding_size).eval()
    model.load_state_dict({k: torch.from_numpy(np.array(t)) for k, t in bundle.tensors.items()})
    one = torch.from_numpy(inputs).unsqueeze(1)
    many = held_out(problem, ROWS, config.data.valid_seed).inputs
    states = trace(model, lambda: model(one, 1))
    usual = trace(model, lambda: model(torch.from_numpy(many), 1), gates=False)
    source = f"{ROWS} sequences of {config.task}, held out"
    own = {k: v[:, 0] for k, v in features(problem, inputs[:, np.newaxis]).items()}
    numbers = problem.inputs == "numbers"
    return Inspection(
        "numbers" if numbers else "symbols",
        tuple(
            " ".join(f"{part:.2g}" for part in step) if numbers else str(step) for step in inputs
        ),
        states,
        own,
        telling(usual, features(problem, many), source),
        _attribution(problem, model, one[: at + 1], many),
    )


def features(problem: Problem, inputs: Array | NDArray[np.integer]) -> dict[str, Array]:
    """What units may follow, each [T, B], of numbers [T, B, I] or symbols [T, B]."""
    steps = np.broadcast_to(np.arange(len(inputs), dtype=np.float64)[:, None], inputs.shape[:2])
    found: dict[str, Array] = {"time step": steps}
    if isinstance(problem, Adding):
        value, marker = np.moveaxis(inputs.astype(np.float64), -1, 0)
        seen = marker.cumsum(0)
        last = np.maximum.accumulate(np.where(marker > 0, steps, -1.0))
        return found | {
            "value": value,
            "marker": marker,
            "a marker seen": (seen > 0).astype(float),
            "both markers seen": (seen > 1).astype(float),
            "steps since a marker": np.where(last >= 0, steps - last, 0.0),
            "sum so far": (value * marker).cumsum(0),
        }
    for symbol in range(problem.input_size):
        found[f"reads {symbol}"] = (inputs == symbol).astype(float)
        if not isinstance(problem, Parity):
            first = np.broadcast_to(inputs[:1] == symbol, inputs.shape)
            found[f"the first was {symbol}"] = first.astype(float)
    if isinstance(problem, Parity):
        found["odd so far"] = (inputs.cumsum(0) % 2).astype(float)
    return found


def require_inputs(problem: Problem, table: NDArray[np.float64]) -> Array | NDArray[np.int64]:
    """A table of numbers [T, columns] as inputs of a problem.

    Raises:
        DataError: it has other columns, or what are no symbols.
    """
    columns = problem.input_size if problem.inputs == "numbers" else 1
    if table.ndim != 2 or table.shape[1] != columns or len(table) < 2:
        raise DataError(
            f"series: expected 2 rows or more of {columns} columns, given {list(table.shape)}"
        )
    if problem.inputs == "numbers":
        return table.astype(np.float32)
    ids = table[:, 0].astype(np.int64)
    wrong = (ids != table[:, 0]) | (ids < 0) | (ids >= problem.input_size)
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"series: row {row + 1} is {table[row, 0]:g}; symbols are 0 to {problem.input_size - 1}"
        )
    return ids


def _attribution(
    problem: Problem, model: SequenceModel, one: Tensor, many: Array | NDArray[np.integer]
) -> Attribution:
    def embedded(ids: Tensor) -> Tensor:
        return ids if model.embedding is None else model.embedding(ids)

    with torch.no_grad():
        x = embedded(one)[:, 0]
        baseline = embedded(torch.from_numpy(many)).flatten(0, 1).mean(0)
        answer = model.head(model.layers(x.unsqueeze(1)).dropped[-1])[0]
    classes = problem.outputs == "classes"
    target = int(answer.argmax()) if classes else 0

    def score(inputs: Tensor) -> Tensor:
        outputs = model.head(model.layers(inputs).dropped[-1])
        return (torch.log_softmax(outputs, -1) if classes else outputs)[:, target]

    shares = attribute(score, x, baseline)
    with torch.no_grad():
        value = float(score(x.unsqueeze(1))[0])
    what = f"the log-probability of the answer {target}" if classes else "the answer"
    return Attribution(len(x) - 1, 0, what, value, *shares)
