import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from loopwise.codec.search import largest as module
from loopwise.codec.search.largest import largest
from loopwise.errors import DataError

ROWS = st.tuples(st.integers(0, 3), st.integers(1, 200))


@pytest.fixture
def many_levels(monkeypatch):
    """Blocks of blocks of blocks in rows that are short enough to be drawn."""
    for name, value in (("DEPTH", 2), ("NARROW", 2), ("FEW", 0)):
        monkeypatch.setattr(module, name, value)


@given(st.data(), st.sampled_from([np.float32, np.float64]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_as_by_sorting_whole_rows(many_levels, data, dtype):
    # few values, so that many are equal, at the edges of blocks as well
    few = st.sampled_from([-np.inf, -2.0, -1.0, 0.0]) | st.floats(-3, 0, width=32)
    values = data.draw(arrays(dtype, ROWS, elements=few))
    k = data.draw(st.integers(1, values.shape[1]))
    expected = np.argsort(-values, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(largest(values, k), expected)


@pytest.mark.parametrize("columns", [63, 64, 65, 1000, 6001])
@pytest.mark.parametrize("k", [1, 5, 6, 60])
def test_long_rows(columns, k):
    values = np.random.default_rng(columns).normal(size=(24, columns)).astype(np.float32)
    values[3:8] = np.round(values[3:8], 1)
    values[8:12, 9:] = -np.inf
    expected = np.argsort(-values, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(largest(values, k), expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("k", [1, 9, 100])
def test_what_is_not_below_infinity_is_found_at_any_level(many_levels, bad, k):
    values = np.zeros((3, 100))
    values[1, 57] = bad
    with pytest.raises(DataError, match=r"row 1, column 57: (nan|inf); must be"):
        largest(values, k)
