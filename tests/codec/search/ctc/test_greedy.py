import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from codec.search.ctc.enumeration import collapsed, frames
from loopwise.codec.search.ctc.greedy import GreedySearch


@given(st.integers(0, 999), st.integers(0, 20), st.integers(2, 5), st.integers(0, 20))
def test_the_likeliest_path_however_it_is_cut(seed, count, size, cut):
    log_probs = frames(seed, count, size)
    search = GreedySearch(size)
    search.push(log_probs[:cut])
    search.push(log_probs[cut:])
    assert search.n_best(3) == [search.best()]
    [spoken] = search.finish()
    path = log_probs.argmax(axis=1).tolist()
    assert spoken.ids == collapsed(path)
    assert np.isclose(spoken.score, log_probs.max(axis=1).sum())
    covered = [0] * count
    for i, start, end, peak in zip(
        spoken.ids, spoken.starts, spoken.ends, spoken.confidences, strict=True
    ):
        covered[start:end] = [i] * (end - start)
        assert np.isclose(peak, np.exp(log_probs[start:end, i].max()))
    assert covered == path
    assert search.best().ids == ()
