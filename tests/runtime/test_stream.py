"""Sessions: streaming is the whole sequence, and states can be kept, refused and never mixed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from loopwise.errors import DataError
from loopwise.runtime.modules import CHUNK
from runtime.tiny import CELLS, loaded

IDS = np.random.default_rng(1).integers(0, 256, 12)
MODELS = {cell: loaded(cell=cell) for cell in CELLS}


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
@settings(max_examples=20, deadline=None)
@given(cuts=st.sets(st.integers(0, len(IDS))))
def test_steps_and_chunks_are_the_whole(cell, cuts):
    whole = MODELS[cell].stream().push(IDS)
    assert whole.shape == (len(IDS), 256)
    stepped, chunked = MODELS[cell].stream(), MODELS[cell].stream()
    close([stepped.push(int(i)) for i in IDS], whole)
    close(np.concatenate([chunked.push(c) for c in np.split(IDS, sorted(cuts))]), whole)


@pytest.mark.parametrize("length", [1, CHUNK, 2 * CHUNK + 3])
def test_feed_returns_the_last_logits(length):
    ids = np.random.default_rng(2).integers(0, 256, length).astype(np.int32)
    fed, pushed = MODELS["lstm"].stream(), MODELS["lstm"].stream()
    close(fed.feed(ids), pushed.push(ids)[-1])
    close(fed.push(1), pushed.push(1))


@pytest.mark.parametrize("cell", CELLS)
def test_sessions_do_not_share(cell):
    alone = MODELS[cell].stream().push(IDS)
    one, other = MODELS[cell].stream(), MODELS[cell].stream()
    for i, expected in zip(IDS.tolist(), alone, strict=True):
        logits = one.push(i)
        close(logits, expected)
        logits[:] = np.nan
        other.push(255 - i)


@pytest.mark.parametrize("cell", CELLS)
def test_snapshot_and_restore(cell):
    session = MODELS[cell].stream()
    session.push(IDS[:5])
    kept = session.snapshot()
    after = session.push(IDS[5:])
    session.restore(kept)
    np.testing.assert_array_equal(session.push(IDS[5:]), after)
    elsewhere = loaded(cell=cell).stream()
    elsewhere.restore(kept)
    np.testing.assert_array_equal(elsewhere.push(IDS[5:]), after)
    session.restore(kept)
    assert session.snapshot() == kept


def test_reset_is_the_beginning():
    session = MODELS["gru"].stream()
    first = session.push(IDS)
    session.reset()
    np.testing.assert_array_equal(session.push(IDS), first)


def test_snapshot_of_another_model_is_refused():
    kept = loaded(seed=1).stream().snapshot()
    session = MODELS["lstm"].stream()
    session.push(IDS)
    before = session.snapshot()
    with pytest.raises(DataError, match="another model"):
        session.restore(kept)
    assert session.snapshot() == before


def test_damaged_snapshots_are_refused():
    session = MODELS["lstm"].stream()
    session.push(3)
    kept = session.snapshot()
    for length in [*range(20), *range(20, len(kept), 41), len(kept) - 1]:
        with pytest.raises(DataError, match="damaged"):
            session.restore(kept[:length])
    with pytest.raises(DataError, match="damaged"):
        session.restore(b"\x02\0\0\0\0\0\0\0{}")
    # A later format, wrong names, other sizes: of equal length, so that the header stays whole.
    for old, new in [
        (b'\\"format\\": 1', b'\\"format\\": 2'),
        (b'"0.1"', b'"0.7"'),
        (b'"shape":[1,3]', b'"shape":[3,1]'),
    ]:
        assert old in kept
        with pytest.raises(DataError, match="snapshot"):
            session.restore(kept.replace(old, new))
    assert session.snapshot() == kept


@pytest.mark.parametrize("label", ["[]", "1", "null", '"x"', "[" * 200_000, "{}"], ids=len)
def test_labels_of_another_kind_are_refused(label):
    with pytest.raises(DataError, match="snapshot"):
        MODELS["lstm"].stream().restore(save({}, {"loopwise-session": label}))


def test_snapshots_may_be_any_bytes():
    session = MODELS["lstm"].stream()
    session.push(IDS)
    kept = session.snapshot()
    for snapshot in (bytearray(kept), memoryview(kept)):
        session.reset()
        session.restore(snapshot)
        assert session.snapshot() == kept
    for wrong in (None, 3, kept.hex()):
        with pytest.raises(DataError, match="not a snapshot"):
            session.restore(wrong)


@pytest.mark.parametrize("ids", [[1, 2, 3], (1, 2, 3), range(1, 4), [1], 1], ids=repr)
def test_feed_takes_what_push_takes(ids):
    fed, pushed = MODELS["lstm"].stream(), MODELS["lstm"].stream()
    close(fed.feed(ids), np.atleast_2d(pushed.push(ids))[-1])
    assert fed.snapshot() == pushed.snapshot()


@pytest.mark.parametrize(
    "wrong", [-1, 256, [1, -1], [1, 256], [[1]], [[]], 1.0, [1.5], True, "a"], ids=repr
)
def test_wrong_ids_leave_the_state(wrong):
    session = MODELS["rnn"].stream()
    session.push(3)
    before = session.snapshot()
    with pytest.raises(DataError, match="token id"):
        session.push(wrong if isinstance(wrong, int) else np.array(wrong))
    with pytest.raises(DataError, match="token id"):
        session.feed(wrong)
    assert session.snapshot() == before


def test_rows_of_different_lengths_are_refused():
    with pytest.raises(DataError, match="token ids must be integers"):
        MODELS["rnn"].stream().push([[1], [1, 2]])


def test_empty_push_and_feed():
    session = MODELS["lstm"].stream()
    before = session.snapshot()
    for empty in (np.zeros(0, np.int32), []):
        assert session.push(empty).shape == (0, 256)
        assert session.snapshot() == before
        with pytest.raises(DataError, match="at least one"):
            session.feed(empty)
