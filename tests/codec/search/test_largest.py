import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from loopwise.codec.search.largest import largest

ROWS = st.tuples(st.integers(0, 3), st.integers(1, 200))


@given(st.data(), st.sampled_from([np.float32, np.float64]))
def test_as_by_sorting_whole_rows(data, dtype):
    # few values, so that many are equal, at the edges of blocks as well
    few = st.sampled_from([-np.inf, -2.0, -1.0, 0.0]) | st.floats(-3, 0, width=32)
    values = data.draw(arrays(dtype, ROWS, elements=few))
    k = data.draw(st.integers(1, values.shape[1]))
    expected = np.argsort(-values, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(largest(values, k), expected)


@pytest.mark.parametrize("columns", [63, 64, 65, 1000, 6001])
@pytest.mark.parametrize("k", [1, 5, 6, 60])
def test_long_rows(columns, k):
    values = np.random.default_rng(columns).normal(size=(7, columns)).astype(np.float32)
    values[3:] = np.round(values[3:], 1)
    expected = np.argsort(-values, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(largest(values, k), expected)
