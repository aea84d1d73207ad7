"""What the estimator reads and keeps of its series, and how measures become tables."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.series.output import TableKind
from loopwise.codec.series.panel import Panel, listed
from loopwise.codec.series.table import panel_from_table
from loopwise.errors import DataError, DataWarning
from loopwise.runtime.forecast_evaluation import Evaluation
from loopwise.tasks.forecast.config import ForecastConfig
from loopwise.tasks.forecast.plan import columns_of

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Known:
    """Series as an estimator was given them.

    Attributes:
        panel: as it learns from them.
        raw: as they came: where values are interpolated in `panel`, NaN here.
        kind: of the table that they came in.
    """

    panel: Panel
    raw: Panel
    kind: TableKind


def read_known(df: Any, config: ForecastConfig) -> Known:
    """The series of a data frame, to learn from."""
    data = config.data

    def read(missing: Any) -> Panel:
        return panel_from_table(
            df, columns_of(data), frequency=data.frequency or None, missing=missing,
            layout=data.layout,
        )  # fmt: skip

    panel = read(data.missing)
    kind = TableKind.of(df, columns_of(data), data.layout)
    return Known(panel, _as_they_came(panel, data.missing, read), kind)


def _as_they_came(panel: Panel, missing: str, read: Any) -> Panel:
    """Without what was interpolated, which would tell a forecast of what comes after it."""
    if missing != "interpolate":
        return panel
    with warnings.catch_warnings():  # it has been told
        warnings.simplefilter("ignore", DataWarning)
        return read("mask")


def long_enough(panel: Panel, ends: Integers) -> Integers:
    """Which series have two points or more before their first window, of ends [N, K]."""
    chosen = np.flatnonzero(ends[:, 0] >= 2)
    left = len(panel) - len(chosen)
    if not len(chosen):
        needed = 2 + int((panel.lengths - ends[:, 0]).max())
        raise DataError(
            f"{panel.longest}; these windows need at least {needed}: take fewer windows or steps"
        )
    if left:
        short = [panel.ids[i] for i in np.setdiff1d(np.arange(len(panel)), chosen)]
        warnings.warn(
            f"{left} of {len(panel)} series are left out, too short for the first window: "
            f"{listed(short)}",
            DataWarning,
            stacklevel=3,
        )
    return chosen


def ahead_of(panel: Panel, ends: Integers, h: int) -> Floats | None:
    """The covariates known ahead after places in series, [N, h, F]; None without covariates.

    Args:
        panel: N series.
        ends: how many points come before each place, [N].
        h: steps; those after the end of a series are NaN.
    """
    if not panel.future_names:
        return None
    places = ends[:, None] + np.arange(h)
    there = places < panel.lengths[:, None]
    index = panel.offsets[:-1, None] + np.where(there, places, 0)
    return np.where(there[..., None], panel.future[index], np.nan)


def measures_table(kind: TableKind, found: Evaluation, *, per_series: bool) -> Any:
    """Measures as a data frame of the kind that came in.

    Args:
        kind: of the table of the series.
        found: what was measured.
        per_series: as in `Evaluation.table`.
    """
    columns = found.table(kind.id or "unique_id", per_series=per_series)
    if kind.library == "pandas":
        import pandas as pd

        return pd.DataFrame(columns)
    import polars as pl

    table = pl.DataFrame(columns)
    return table.to_arrow() if kind.library == "pyarrow" else table
