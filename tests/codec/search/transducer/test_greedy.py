import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.search.transducer.toy import Toy, encoded
from loopwise.codec.search.transducer.greedy import GreedyTransducer


@given(st.integers(0, 999), st.integers(0, 10), st.integers(1, 4), st.integers(0, 10))
def test_the_likeliest_symbol_each_time_however_it_is_cut(seed, frames, most, cut):
    toy = Toy(seed)
    ids, starts, total = (), [], 0.0
    for t in range(frames):
        for _ in range(most):
            row = toy.log_probs(t, ids)
            total += row.max()
            if row.argmax() == 0:
                break
            ids, starts = (*ids, int(row.argmax())), [*starts, t]
    search = GreedyTransducer(toy, most)
    search.push(encoded(frames)[:cut])
    search.push(encoded(frames)[cut:])
    assert search.frames == frames
    [found] = search.finish()
    assert (found.ids, list(found.starts)) == (ids, starts)
    assert found.score == pytest.approx(total)
    for start, end, bound in zip(starts, found.ends, [*starts, frames][1:], strict=True):
        assert start <= end == min(start + 1, bound)
    assert search.best().ids == ()
