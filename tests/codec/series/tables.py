"""Tables for the tests of reading them."""

import numpy as np
import polars as pl
import pytest

from loopwise.codec.series.table import panel_from_table
from loopwise.errors import DataError, DataWarning


def long(**columns):
    """Two series of four days, their rows by turns."""
    days = np.repeat(np.arange("2024-01-01", "2024-01-05", dtype="M8[D]"), 2)
    plain = {"unique_id": ["a", "b"] * 4, "ds": days.astype("M8[us]"), "y": np.arange(8.0)}
    return pl.DataFrame(plain | columns)


def error_of(*args, **options):
    with pytest.raises(DataError) as error:
        panel_from_table(*args, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def warning_of(*args, **options):
    with pytest.warns(DataWarning) as caught:
        panel = panel_from_table(*args, **options)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    return panel, str(caught[0].message)
