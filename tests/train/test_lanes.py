"""Lanes: windows put together are the lanes, and every pair comes once."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from loopwise.errors import DataError
from loopwise.train.lanes import Lanes, Window


def read_epoch(lanes: Lanes) -> list[Window]:
    assert lanes.starts_epoch
    windows = [lanes.next()]
    while not lanes.starts_epoch:
        windows.append(lanes.next())
    return windows


def joined(windows: list[Window]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.cat([w.inputs for w in windows]), torch.cat([w.targets for w in windows])


sizes = {
    "tokens": st.integers(20, 300),
    "batch": st.integers(1, 6),
    "world": st.integers(1, 3),
    "window": st.integers(1, 40),
    "vary": st.booleans(),
}


@settings(deadline=None, max_examples=60)
@given(**sizes)
def test_every_pair_of_neighbours_comes_once_per_epoch(tokens, batch, world, window, vary):
    text = np.arange(tokens, dtype=np.int32)  # a token is its own position
    seen = []
    for rank in range(world):
        lanes = Lanes(text, batch, window, vary=vary, rank=rank, world=world)
        inputs, targets = joined(read_epoch(lanes))
        assert torch.equal(targets, inputs + 1)
        assert torch.equal(inputs[1:], inputs[:-1] + 1), "a lane is contiguous across windows"
        assert lanes.epoch == 1
        assert lanes.progress == 1.0
        seen += inputs.flatten().tolist()
    assert sorted(seen) == list(range(len(seen)))
    assert 0 <= tokens - 1 - len(seen) < batch * world


@settings(deadline=None, max_examples=30)
@given(**sizes)
def test_processes_read_the_rows_of_one_large_batch(tokens, batch, world, window, vary):
    text = np.random.default_rng(0).integers(0, 50, tokens).astype(np.int32)
    whole = Lanes(text, batch * world, window, vary=vary)
    parts = [Lanes(text, batch, window, vary=vary, rank=r, world=world) for r in range(world)]
    for _ in range(4):
        expected = whole.next()
        given_out = [part.next() for part in parts]
        assert torch.equal(expected.inputs, torch.cat([w.inputs for w in given_out], dim=1))
        assert torch.equal(expected.targets, torch.cat([w.targets for w in given_out], dim=1))
        assert {w.scale for w in given_out} == {expected.scale}


@settings(deadline=None, max_examples=30)
@given(before=st.integers(0, 30), after=st.integers(1, 20), vary=st.booleans())
def test_a_restored_place_continues_the_same_stream(before, after, vary):
    text = np.arange(500, dtype=np.int32)
    lanes, fresh = Lanes(text, 3, 10, vary=vary), Lanes(text, 3, 10, vary=vary)
    for _ in range(before):
        lanes.next()
    fresh.load_state_dict(json.loads(json.dumps(lanes.state_dict())))
    for _ in range(after):
        assert (fresh.epoch, fresh.progress) == (lanes.epoch, lanes.progress)
        assert torch.equal(fresh.next().inputs, lanes.next().inputs)


def test_varied_lengths_follow_merity():
    lanes = Lanes(np.zeros(2_000_000, dtype=np.int32), 1, 70, vary=True)
    windows = [lanes.next() for _ in range(4000)]
    lengths = np.array([w.inputs.shape[0] for w in windows])
    assert lengths.min() >= 5
    short = lengths < 52  # half-way between the two means, more than 3 deviations from either
    assert 0.03 < short.mean() < 0.07
    # lengths are rounded down, so means lie half a token lower
    assert abs(lengths[~short].mean() - 69.5) < 0.5
    assert abs(lengths[short].mean() - 34.5) < 1.5
    assert abs(lengths[~short].std() - 5) < 0.3
    assert all(w.scale == len(w.inputs) / 70 for w in windows)


def test_constant_windows_have_scale_one_also_at_the_end():
    assert {w.scale for w in read_epoch(Lanes(np.arange(26, dtype=np.int32), 1, 10))} == {1.0}


def test_text_too_short_for_the_batch_is_refused_with_the_numbers():
    Lanes(np.zeros(9, dtype=np.int32), 4, 5, world=2)
    with pytest.raises(DataError, match=r"8 tokens; 8 lanes .* at least 9.*train\.batch_size"):
        Lanes(np.zeros(8, dtype=np.int32), 4, 5, world=2)


def test_a_place_in_other_lanes_is_refused():
    place = Lanes(np.zeros(100, dtype=np.int32), 4, 5).state_dict()
    with pytest.raises(DataError, match="4 lanes of 24 tokens, the text now gives 5 of 19"):
        Lanes(np.zeros(100, dtype=np.int32), 5, 5).load_state_dict(place)
