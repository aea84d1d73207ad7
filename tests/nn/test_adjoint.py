"""What flows back through a recurrence, step by step."""

import pytest
import torch

from loopwise.nn.adjoint import follow
from loopwise.nn.backend import AVAILABLE, backend
from loopwise.nn.reference import STEPS, project_input
from nn.problems import CELLS, OPTIONS, draw

native = pytest.mark.skipif("native" not in AVAILABLE, reason="no native engine")


def directions(problem):
    """Gradients of the results: of the output, which is as wide as h, and of the final state."""
    generator = torch.Generator().manual_seed(3)
    like = [problem.x.new_empty(*problem.x.shape[:2], problem.state[0].shape[1]), *problem.state]
    output, *state = (torch.randn(part.shape, generator=generator).to(part) for part in like)
    return output, state


def back(problem, on):
    with backend(on):
        followed = follow(problem)
        adjoint = followed.back(*directions(problem))
    parts = {"h": adjoint.h, "gates": adjoint.gates, "x": adjoint.x, "activated": followed.gates}
    if adjoint.c is not None:
        parts["c"] = adjoint.c
    return parts | {f"states {i}": part for i, part in enumerate(followed.states)}


def to_double(problem):
    problem = problem.over(iter([part.double() for part in problem.tensors()]))
    mask = None if problem.mask is None else problem.mask.double()
    return problem._replace(mask=mask, keep=tuple(part.double() for part in problem.keep))


@native
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("options", [(), *((option,) for option in OPTIONS), OPTIONS])
@pytest.mark.parametrize(("rows", "units", "outputs"), [(3, 5, None), (17, 40, None), (3, 7, 4)])
def test_the_engine_sends_back_what_the_definition_does(cell, options, rows, units, outputs):
    if cell == "gru":  # of which the engine has no projected one
        outputs = None
    problem = draw(cell, 6, rows, units=units, outputs=outputs, options=options)
    found, expected = back(problem, "native"), back(to_double(problem), "reference")
    assert found.keys() == expected.keys()
    for name, part in expected.items():
        torch.testing.assert_close(found[name].double(), part, rtol=2e-5, atol=2e-5, msg=name)


@pytest.mark.parametrize("cell", CELLS)
def test_a_nudge_of_a_state_moves_the_loss_by_its_adjoint(cell):
    """The definition by differences: add a little to h or c where a step has just computed it."""
    problem = to_double(draw(cell, 4, 2, units=3))
    output, final = directions(problem)
    found = back(problem, "reference")

    def loss(part, at, nudge):
        state, total = problem.state, 0.0
        shares = project_input(problem.x, problem.weights)
        for t, share in enumerate(shares):
            state, gates = STEPS[cell](share, state, problem.weights, problem.mask)
            if t == at:
                state = list(state)
                state[part] = state[part] + nudge
                if cell == "lstm" and part == 1:  # h is a function of c
                    state[0] = gates.chunk(4, -1)[3] * torch.tanh(state[1])
                state = tuple(state)
            total = total + (output[t] * state[0]).sum()
        return total + sum((d * part).sum() for d, part in zip(final, state, strict=True))

    for part, name in enumerate("hc"[: len(problem.state)]):
        nudge = torch.zeros_like(problem.state[part])
        nudge[1, 2] = 1e-6
        slope = (loss(part, 1, nudge) - loss(part, 1, -nudge)) / 2e-6
        torch.testing.assert_close(slope, found[name][1, 1, 2], rtol=1e-7, atol=1e-8)


def test_nothing_flows_beyond_a_rows_end_or_past_a_reset():
    problem = draw("lstm", 6, 2)
    reset = torch.zeros(6, 2, dtype=torch.bool)
    reset[2, 1] = True
    problem = problem._replace(lengths=torch.tensor([4, 6]), reset=reset, restart=problem.state)
    _, state = directions(problem)
    for on in AVAILABLE:
        with backend(on):
            adjoint = follow(problem).back(None, state)
        for part in (adjoint.h, adjoint.c, adjoint.gates, adjoint.x):
            assert part[4:, 0].count_nonzero() == 0
            assert part[:2, 1].count_nonzero() == 0
            assert part[2:, 1].count_nonzero() > 0
            assert part[:4, 0].count_nonzero() > 0
