"""Tables for the tests of reading them."""

import numpy as np
import polars as pl


def long(**columns):
    """Two series of four days, their rows by turns."""
    days = np.repeat(np.arange("2024-01-01", "2024-01-05", dtype="M8[D]"), 2)
    plain = {"unique_id": ["a", "b"] * 4, "ds": days.astype("M8[us]"), "y": np.arange(8.0)}
    return pl.DataFrame(plain | columns)
