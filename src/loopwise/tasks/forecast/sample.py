"""What a forecaster in a lower precision is measured on: the ends of series. No torch here."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from loopwise.codec.series.files import read_table
from loopwise.codec.series.metrics import mae, mase_scale, overall
from loopwise.errors import DataError
from loopwise.export.precision import Measurement
from loopwise.runtime.forecast_evaluation import Floats, forecasts_at, origins, values_after
from loopwise.runtime.forecaster import LoadedForecaster
from loopwise.tasks.forecast.config import DataConfig

SERIES = 500
"""Series of a sample, at most."""
_LEVELS = (0.1, 0.5, 0.9)


@dataclass(frozen=True)
class SeriesSample:
    """The last horizon of each series of a table; see `export.precision.Sample`.

    Attributes:
        file: the table, of the layout of that of the training.
    """

    file: str
    metric = "MASE"
    output = "quantile of a forecast, in mean errors of the seasonal naive one"

    @property
    def name(self) -> str:
        """Which table, and what of it."""
        return f"the last horizon of the series of {self.file}"

    def measure(self, model: LoadedForecaster) -> Measurement:
        """MASE, and what is forecast.

        Raises:
            DataError: the table cannot be read, or all its series are too short.
        """
        panel = model.read(self._table).panel
        panel, ends, _ = origins(panel.select(np.arange(len(panel))[:SERIES]), model.horizon)
        points, quantiles = forecasts_at(model, panel, ends, model.horizon, "median", _LEVELS)
        actual, before = values_after(panel, ends[:, 0], model.horizon), panel.head(ends[:, 0])
        season, errors, outputs = model.description.season, [np.empty(0)], [np.empty(0)]
        for target in range(actual.shape[2]):
            scale = mase_scale(before.values[:, target], before.offsets, season)
            errors.append(mae(actual[:, :, target], points[:, 0, :, target]) / scale)
            by = np.where(scale > 0, scale, 1.0)[:, None, None]
            outputs.append((quantiles[:, 0, :, target] / by).ravel())
        return Measurement(_mean(errors, self.file), np.concatenate(outputs))

    @cached_property
    def _table(self) -> Any:
        return read_table(self.file)


def sample_of_table(data: DataConfig) -> SeriesSample:
    """A sample of the table that a training with these options read.

    Raises:
        DataError: the table was no file.
    """
    data.require_files()
    return SeriesSample(data.train)


def _mean(errors: list[Floats], file: str) -> float:
    found = overall(np.concatenate(errors))
    if np.isnan(found):
        raise DataError(f"{file}: no series has a season that varies: there is no MASE")
    return found
