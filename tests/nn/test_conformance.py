"""What every layer promises, whatever its cell and options."""

import copy
import io
import pickle

import pytest
import torch

from loopwise.nn.backend import backend
from loopwise.nn.recurrent import Recurrent
from loopwise.nn.state import leaves, map_state
from nn.cases import CASES, HIDDEN, INPUT, OWN, ROWS, STEPS, STRUCTURES, Leaky, ids, sample
from nn.oracle import BACKENDS, assert_agree, assert_near, solve

every_case = pytest.mark.parametrize("case", CASES, ids=ids(CASES))
every_structure = pytest.mark.parametrize("structure", STRUCTURES, ids=["one", "stacked"])


def state_sizes(layer):
    """The widths that the documentation promises: (h, c) for the LSTM, h alone for the others."""
    if isinstance(layer, Recurrent) and not hasattr(layer, "options"):
        return [HIDDEN, HIDDEN]
    narrow = layer.proj_size or HIDDEN
    return {"lstm": [narrow, HIDDEN], "gru": [HIDDEN]}.get(layer.options.cell, [narrow])


def output_size(layer):
    return Leaky.output_size if not hasattr(layer, "options") else layer.proj_size or HIDDEN


def assert_same(found, expected, tolerance=1e-12):
    """Compare two results of a layer, ``(output, state)``."""
    assert_near(found[0], expected[0], tolerance, "output")
    for part, want in zip(leaves(found[1]), leaves(expected[1]), strict=True):
        assert_near(part, want, tolerance, "state")


@every_structure
@every_case
def test_shapes(case, structure):
    layer = case.make(**structure)
    count = layer.num_layers * layer.num_directions
    y, state = layer(sample(layer).x)
    assert y.shape == (STEPS, ROWS, layer.num_directions * output_size(layer))
    assert [part.shape for part in leaves(state)] == [
        (count, ROWS, size) for size in state_sizes(layer)
    ]


@every_structure
@every_case
def test_batch_first_only_transposes(case, structure):
    layer, twin = case.make(**structure), case.make(batch_first=True, **structure)
    data = sample(layer)
    request = {"lengths": data.lengths, "return_all": "states"}
    expected = layer(data.x, data.hx, reset=data.reset, **request)
    found = twin(data.x.transpose(0, 1), data.hx, reset=data.reset.T, **request)
    assert_same((found[0].transpose(0, 1), found[1]), expected)
    for part, want in zip(leaves(found[2].states), leaves(expected[2].states), strict=True):
        assert torch.equal(part.transpose(1, 2), want)


@every_structure
@pytest.mark.parametrize("on", BACKENDS)
@pytest.mark.parametrize(("steps", "rows"), [(0, ROWS), (STEPS, 0), (0, 0), (1, 1)])
@every_case
def test_empty_and_smallest_batches(case, structure, on, steps, rows):
    layer = case.make(**structure)
    data = sample(layer, steps=steps, rows=rows)
    ragged = {"lengths": data.lengths, "reset": data.reset}
    for request in ({}, {"lengths": data.lengths}, ragged, {"return_all": "states"}):
        found = solve(layer, data.x, data.hx, on=on, **request)
        assert found["output"].shape[:2] == (steps, rows)
        if not steps:
            for k, part in enumerate(leaves(data.hx)):
                assert torch.equal(found[f"state {k}"], part)


@every_structure
@every_case
def test_one_sequence_needs_no_batch(case, structure):
    layer = case.make(**structure)
    data = sample(layer, rows=1)
    alone = map_state(lambda s: s.squeeze(1), data.hx)
    request = {"return_all": "states"}
    for first in (False, True):
        layer.batch_first, axis = first, 0 if first else 1
        x, reset = (data.x.transpose(0, 1), data.reset.T) if first else (data.x, data.reset)
        y, state, history = layer(x, data.hx, lengths=[3], reset=reset, **request)
        found = layer(data.x[:, 0], alone, lengths=[3], reset=data.reset[:, 0], **request)
        assert_same(found[:2], (y.squeeze(axis), map_state(lambda s: s.squeeze(1), state)))
        for part, want in zip(leaves(found[2].states), leaves(history.states), strict=True):
            assert torch.equal(part, want.squeeze(1 + axis))
    again = layer(data.x[:, 0], alone, lengths=torch.tensor(3), reset=data.reset[:, 0])
    assert_same(again, found)


@every_structure
@every_case
def test_absent_state_is_the_initial_one(case, structure):
    layer = case.make(**structure)
    data = sample(layer)
    if hasattr(layer, "options"):
        names = [n for n in ("initial_h", "initial_c") if hasattr(layer, n)]
        learned = iter([getattr(layer, n)[:, None].expand(-1, ROWS, -1) for n in names])
        hx = map_state(lambda s: next(learned) if names else torch.zeros_like(s), data.hx)
    else:
        hx = map_state(torch.zeros_like, data.hx)
        hx = hx[0], (hx[1][0] + 0.5,)
    assert_same(layer(data.x), layer(data.x, hx))


@every_case
def test_state_carries_a_sequence_on(case):
    """Whole = chunk + chunk, the state handed over."""
    layer = case.make(num_layers=2)
    data = sample(layer)
    first, state = layer(data.x[:2], data.hx)
    second, state = layer(data.x[2:], state)
    assert_same((torch.cat((first, second)), state), layer(data.x, data.hx))


@every_structure
@every_case
def test_copies_compute_the_same(case, structure):
    layer = case.make(**structure)
    data = sample(layer)
    expected = layer(data.x, data.hx)
    buffer = io.BytesIO()
    torch.save(layer.state_dict(), buffer)
    buffer.seek(0)
    fresh = case.make(seed=9, **structure)
    assert not torch.equal(fresh(data.x, data.hx)[0], expected[0])
    fresh.load_state_dict(torch.load(buffer, weights_only=True))
    for twin in (copy.deepcopy(layer), fresh):
        assert_same(twin(data.x, data.hx), expected, 0)
    if hasattr(layer, "options"):  # a user's cell, made by a function, need not be importable
        assert_same(pickle.loads(pickle.dumps(layer))(data.x, data.hx), expected, 0)


@every_structure
@pytest.mark.parametrize("on", BACKENDS)
@every_case
def test_evaluation_is_repeatable_and_training_is_the_same_without_noise(case, structure, on):
    layer = case.make(**structure)
    data = sample(layer)
    evaluated = solve(layer, data.x, data.hx, on=on)  # a backward in evaluation mode, too
    assert_agree(solve(layer, data.x, data.hx, on=on), evaluated, 0)
    trained = solve(layer.train(), data.x, data.hx, on=on)
    if case.deterministic:
        assert_agree(trained, evaluated, 1e-12)
    else:
        assert not torch.equal(trained["output"], evaluated["output"])


@every_case
def test_dropout_between_layers_acts_in_training_alone(case):
    layer = case.make(num_layers=2, dropout=1.0)
    plain = case.make(num_layers=2)
    data = sample(layer)
    assert_same(layer(data.x, data.hx), plain(data.x, data.hx))
    if case.deterministic:
        history = layer.train()(data.x, data.hx, return_all="states")[2]
        silent = layer(torch.zeros_like(data.x), data.hx, return_all="states")[2]
        for part, want in zip(leaves(history.states), leaves(silent.states), strict=True):
            assert torch.equal(part[1], want[1])  # the upper layer sees nothing of the input
            assert not torch.equal(part[0], want[0])


@pytest.mark.parametrize("case", OWN, ids=ids(OWN))
def test_gradients_flow_to_every_parameter(case):
    layer = case.make(num_layers=2, bidirectional=True)
    data = sample(layer, rows=16)  # enough rows that no rectifier stays shut
    found = solve(layer, data.x, None)
    for name, _ in layer.named_parameters():
        assert found[f"gradient of {name}"].abs().max() > 0, name


@every_case
def test_inference_mode_and_no_grad(case):
    layer = case.make()
    data = sample(layer)
    expected = layer(data.x, data.hx)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            found = layer(data.x, data.hx)
            assert not found[0].requires_grad
            assert_same(found, expected)


def test_hooks_run_once_for_every_kind_of_input():
    """Unbatched and packed inputs are not passed through the module a second time."""
    layer = torch.nn.Sequential(Recurrent(Leaky, INPUT))[0]
    calls = []
    layer.register_forward_hook(lambda *_: calls.append(1))
    packed = torch.nn.utils.rnn.pack_sequence([torch.zeros(2, INPUT)])
    for x in (torch.zeros(2, INPUT), torch.zeros(2, 1, INPUT), packed):
        calls.clear()
        layer(x)
        assert calls == [1]


@pytest.mark.parametrize("structure", STRUCTURES, ids=["one", "stacked"])
def test_cells_of_a_stack_see_their_own_input_size(structure):
    """`initial_state` gets a probe shaped as the layer's own input."""
    seen = []

    class Nosy(Leaky):
        def __init__(self, input_size):
            super().__init__(input_size)
            self.expected = input_size

        def initial_state(self, x):
            seen.append(x.shape[1] == self.expected)
            return super().initial_state(x)

    with backend("reference"):
        Recurrent(Nosy, INPUT, **structure)(torch.zeros(STEPS, ROWS, INPUT))
    assert seen
    assert all(seen)
