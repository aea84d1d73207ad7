"""Hypothesis strategies, shared by all tests."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st

from nn.cases import CASES, Case, sample


@dataclass(frozen=True)
class Drawn:
    """A layer's case and a batch of drawn shape and content for it."""

    case: Case
    steps: int
    rows: int
    seed: int
    lengths: tuple[int, ...]
    resets: tuple[tuple[bool, ...], ...]

    def make(self, **structure):
        """The layer, the same weights at every call."""
        return self.case.make(seed=self.seed, **structure)

    def data(self, layer):
        """Inputs and state in float64, with the drawn lengths and resets."""
        drawn = sample(layer, steps=self.steps, rows=self.rows, seed=self.seed)
        reset = torch.tensor(self.resets, dtype=torch.bool).reshape(self.steps, self.rows)
        return drawn._replace(lengths=torch.tensor(self.lengths), reset=reset)


@st.composite
def problems(draw, cases=CASES, *, least_steps=1, most_steps=6):
    """A layer of one of `cases` with a small batch: 1 to 4 rows, lengths from 0, any resets."""
    steps = draw(st.integers(least_steps, most_steps))
    rows = draw(st.integers(1, 4))
    return Drawn(
        case=draw(st.sampled_from(cases)),
        steps=steps,
        rows=rows,
        seed=draw(st.integers(0, 2**16)),
        lengths=tuple(draw(st.lists(st.integers(0, steps), min_size=rows, max_size=rows))),
        resets=tuple(
            tuple(draw(st.lists(st.booleans(), min_size=rows, max_size=rows))) for _ in range(steps)
        ),
    )
