"""Lengths, resets and packed sequences, against one row at a time."""

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence, pad_packed_sequence

from loopwise.nn.state import leaves, map_state
from nn.cases import CASES, INPUT, OWN, PLAIN, ROWS, STEPS, STRUCTURES, ids, sample
from nn.oracle import assert_near

every_case = pytest.mark.parametrize("case", CASES, ids=ids(CASES))
every_structure = pytest.mark.parametrize("structure", STRUCTURES, ids=["one", "stacked"])


@every_structure
@every_case
def test_a_row_with_a_length_runs_as_if_alone(case, structure):
    layer = case.make(**structure)
    data = sample(layer)
    lengths = [3, 0, STEPS]
    y, state, history = layer(data.x, data.hx, lengths=lengths, return_all="states")
    for row, length in enumerate(lengths):
        hx = map_state(lambda s: s[:, row : row + 1], data.hx)  # noqa: B023
        alone, last, steps = layer(data.x[:length, row : row + 1], hx, return_all="states")
        assert_near(y[:length, row], alone[:, 0])
        assert not y[length:, row].any()
        for part, want in zip(leaves(state), leaves(last), strict=True):
            assert_near(part[:, row], want[:, 0])
        for part, want in zip(leaves(history.states), leaves(steps.states), strict=True):
            assert_near(part[:, :length, row], want[:, :, 0])
            assert not part[:, length:, row].any()


@every_structure
@every_case
def test_resets_separate_sequences(case, structure):
    """Each piece between resets runs as if alone, in both directions; `hx` reaches one end only."""
    layer = case.make(**structure, num_layers=1) if not structure else case.make(bidirectional=True)
    data = sample(layer)
    reset = torch.zeros(STEPS, ROWS, dtype=torch.bool)
    reset[[2, 4], 0] = reset[0, 1] = True
    y, state = layer(data.x, data.hx, reset=reset)
    initial = layer(data.x[:0])[1]
    for row, cuts in enumerate([(0, 2, 4, STEPS), (0, STEPS), (0, STEPS)]):
        for begin, end in pairwise(cuts):
            first = begin == 0 and not reset[0, row]
            hx = map_state(
                lambda h, i: torch.stack(  # forward: begins with hx; backward: where the row ends
                    [h[0] if first else i[0], *(h if end == STEPS else i)[1:]]  # noqa: B023
                )[:, row : row + 1],  # noqa: B023
                data.hx,
                initial,
            )
            piece, last = layer(data.x[begin:end, row : row + 1], hx)
            assert_near(y[begin:end, row], piece[:, 0])
        for part, want in zip(leaves(state), leaves(last), strict=True):
            assert_near(part[0, row], want[0, 0])  # the forward state is the last piece's


@every_case
def test_reset_and_lengths_together(case):
    """Resets beyond a row's end mean nothing; those within it act as without lengths."""
    layer = case.make(bidirectional=True)
    data = sample(layer)
    lengths = torch.tensor([3, 0, STEPS])
    y, state = layer(data.x, data.hx, lengths=lengths, reset=data.reset)
    beyond = data.reset | (torch.arange(STEPS)[:, None] >= lengths)
    again, last = layer(data.x, data.hx, lengths=lengths, reset=beyond)
    assert torch.equal(y, again)
    assert all(torch.equal(a, b) for a, b in zip(leaves(state), leaves(last), strict=True))
    for row, length in enumerate(lengths.tolist()):
        hx = map_state(lambda s: s[:, row : row + 1], data.hx)  # noqa: B023
        x, reset = data.x[:length, row : row + 1], data.reset[:length, row : row + 1]
        assert_near(y[:length, row], layer(x, hx, reset=reset)[0][:, 0])


@pytest.mark.parametrize("kind", [torch.int32, torch.int64, torch.uint8, list])
def test_every_form_of_lengths(kind):
    layer = PLAIN[2].make(bidirectional=True)
    data = sample(layer)
    expected = layer(data.x, lengths=[3, 0, 5])[0]
    lengths = [3, 0, 5] if kind is list else torch.tensor([3, 0, 5], dtype=kind)
    assert torch.equal(layer(data.x, lengths=lengths)[0], expected)
    assert layer(data.x[:, :0], lengths=[])[0].shape[1] == 0


PACKS = {
    "sorted": ([5, 3, 1], True),
    "sorted, order kept": ([5, 3, 1], False),
    "unsorted": ([2, 5, 3], False),
    "equal": ([4, 4, 4], False),
}


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize("structure", [*STRUCTURES, {"batch_first": True, "bidirectional": True}])
@pytest.mark.parametrize("case", PLAIN, ids=ids(PLAIN))
def test_packed_sequences_equal_torch(case, structure, pack):
    lengths, enforce = PACKS[pack]
    layer = case.make(**structure)
    theirs = getattr(nn, case.kind.__name__)(
        INPUT, layer.hidden_size, **case.options, **structure, dtype=torch.float64
    )
    theirs.load_state_dict(layer.state_dict())
    data = sample(layer)
    first = layer.batch_first
    x = data.x.transpose(0, 1) if first else data.x
    packed = pack_padded_sequence(x, torch.tensor(lengths), first, enforce)
    for hx in (None, data.hx):
        expected, expected_state = theirs(packed, hx)
        found, state = layer(packed, hx)
        assert_near(found.data, expected.data)
        assert torch.equal(found.batch_sizes, expected.batch_sizes)
        for name in ("sorted_indices", "unsorted_indices"):
            ours, want = getattr(found, name), getattr(expected, name)
            assert (ours is None and want is None) or torch.equal(ours, want)
        for part, want in zip(leaves(state), leaves(expected_state), strict=True):
            assert_near(part, want)


@every_structure
@every_case
def test_packed_is_lengths(case, structure):
    layer = case.make(**structure)
    data = sample(layer)
    lengths = [2, 5, 3]
    request = {"reset": data.reset, "return_all": "states"}
    packed = pack_padded_sequence(data.x, torch.tensor(lengths), enforce_sorted=False)
    y, state, history = layer(data.x, data.hx, lengths=lengths, **request)
    found, packed_state, packed_history = layer(packed, data.hx, **request)
    assert torch.equal(pad_packed_sequence(found)[0], y)
    for mine, theirs in ((state, packed_state), (history.states, packed_history.states)):
        assert all(torch.equal(a, b) for a, b in zip(leaves(mine), leaves(theirs), strict=True))


def test_gradients_through_packing():
    layer = PLAIN[3].make(bidirectional=True)
    rows = [torch.randn(n, INPUT, dtype=torch.float64, requires_grad=True) for n in (2, 5, 1)]
    layer(pack_sequence(rows, enforce_sorted=False))[0].data.sum().backward()
    for row in rows:
        x = row.detach().clone().requires_grad_()
        layer(x[:, None])[0].sum().backward()
        assert_near(row.grad, x.grad)


@pytest.mark.parametrize("case", OWN, ids=ids(OWN))
def test_without_a_step_there_is_a_gradient_still(case):
    """Of zero, so that a batch of empty rows is no special case for a training loop."""
    layer = case.make(num_layers=2)
    x = sample(layer).x
    for y, _ in (layer(x, lengths=[0] * ROWS), layer(x[:0])):
        layer.zero_grad()
        y.sum().backward()
        assert not layer.weight_ih_l1.grad.any()


@every_case
def test_lengths_and_resets_under_another_default_device(case):
    layer = case.make(bidirectional=True)
    data = sample(layer)
    expected = layer(data.x, data.hx, reset=data.reset)[0]
    with torch.device("meta"):
        assert_near(layer(data.x, data.hx, reset=data.reset)[0], expected)
        y, _ = layer(data.x, data.hx, lengths=[3, 0, STEPS])
    assert_near(y, layer(data.x, data.hx, lengths=[3, 0, STEPS])[0])
