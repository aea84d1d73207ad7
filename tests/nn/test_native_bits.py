"""The engine gives equal bits, however many threads, neighbours or calls share the work."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from loopwise import engine
from nn.problems import CELLS, SPLITTABLE, draw, joined, rows_of, solve, threads

pytestmark = pytest.mark.skipif(not engine.available(), reason="no native engine here")

every_cell = pytest.mark.parametrize("cell", CELLS)
OPTIONS = [(), ("ragged", "mask", "zoneout", "trace"), ("norm", "reverse", "ragged")]
every_option = pytest.mark.parametrize("options", OPTIONS, ids=["plain", "noisy", "normed"])


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, want in expected.items():
        assert torch.equal(found[name], want), name


@pytest.mark.parametrize("rows", [7, 37])
@every_option
@every_cell
def test_threads_that_share_rows(cell, options, rows):
    problem = draw(cell, 40, rows, 65, 65, options=options)
    assert_same_on_any_threads(problem)


@pytest.mark.parametrize("options", [(), SPLITTABLE], ids=["plain", "all"])
@pytest.mark.parametrize("rows", [1, 2, 20])
@every_cell
def test_threads_that_share_units(cell, rows, options):
    """Where there are more threads than rows, a long state is divided."""
    assert_same_on_any_threads(draw(cell, 12, rows, 33, 530, options=options))


def assert_same_on_any_threads(problem):
    with threads(1):
        expected = solve(problem)
    for count in (2, 3):
        with threads(count):
            for _ in range(3):
                assert_same(solve(problem), expected)


def test_calls_from_several_threads():
    """Each has threads of its own, more than there are cores."""
    problem = draw("lstm", 12, 2, 33, 530)
    expected = solve(problem)

    def call(_):
        torch.set_num_threads(3)
        return [solve(problem) for _ in range(3)]

    with threads(3), ThreadPoolExecutor(4) as pool:
        for found in pool.map(call, range(4)):
            for each in found:
                assert_same(each, expected)


@every_option
@every_cell
def test_neighbours(cell, options):
    """A row alone, and in batches of every size up to 14. Tiles begin with 16 rows."""
    problem = draw(cell, 6, 14, 9, 37, options=options)
    alone = [solve(rows_of(problem, [row]), gradients=False) for row in range(14)]
    for size in range(1, 15):
        for rows in (list(range(size)), list(range(14 - size, 14))):
            found = solve(rows_of(problem, rows), gradients=False)
            assert_same(found, joined([alone[row] for row in rows]))


@every_option
@every_cell
def test_neighbours_in_large_batches(cell, options):
    """Rows that tiles may hold: in batches from 16 on, and wherever they lie."""
    problem = draw(cell, 6, 50, 33, 130, options=options)
    everything = solve(problem, gradients=False)
    for rows in (range(16), range(33), range(34, 50), range(49, 20, -1)):
        found = solve(rows_of(problem, list(rows)), gradients=False)
        for name, part in found.items():
            whole = everything[name]
            axis = whole.shape.index(50)
            assert torch.equal(part, whole.index_select(axis, torch.tensor(list(rows)))), name


@pytest.mark.parametrize("options", [(), ("mask", "zoneout", "norm", "peephole")])
@pytest.mark.parametrize("rows", [3, 18])
@every_cell
def test_pieces(cell, rows, options):
    """A sequence at once, and cut anywhere with the state carried on."""
    problem = draw(cell, 150, rows, 9, 37, options=options)
    whole = solve(problem, gradients=False)
    for cuts in ([1], [149], [64], [63, 64, 65], list(range(1, 150, 7))):
        state, outputs = problem.state, []
        for begin, end in zip([0, *cuts], [*cuts, 150], strict=True):
            keep = tuple(part[begin:end] for part in problem.keep)
            piece = problem._replace(x=problem.x[begin:end], state=state, keep=keep)
            found = solve(piece, gradients=False)
            outputs.append(found["output"])
            state = tuple(found[f"state {k}"] for k in range(len(state)))
        assert torch.equal(torch.cat(outputs), whole["output"])
        for k, part in enumerate(state):
            assert torch.equal(part, whole[f"state {k}"])


@every_option
@pytest.mark.parametrize("size", [(70, 5, 3, 33), (5, 1, 9, 530)], ids=["rows", "units"])
@every_cell
def test_inference_and_training(cell, size, options):
    problem = draw(cell, *size, options=options)
    trained = solve(problem)
    with threads(2), torch.no_grad():
        found = solve(problem, gradients=False)
    assert_same(found, {name: trained[name] for name in found})
