"""What stands between a table of series and a forecasting network, kept in its bundle."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.series.calendar import calendar, calendar_names
from loopwise.codec.series.columns import Columns
from loopwise.codec.series.layouts import Layout
from loopwise.codec.series.mending import Missing
from loopwise.codec.series.panel import Panel, Schema
from loopwise.codec.series.stamps import Stamps

Space: TypeAlias = Literal["log", "plain", "counts", "as-is"]


@dataclass(frozen=True)
class Standard:
    """Covariates less their means, over their standard deviations.

    Attributes:
        mean: of each.
        deviation: of each, 1 where one does not vary.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> "Standard":
        """Of the rows of `values` [n, K]; what is missing is left out."""
        if not values.size:
            return cls((0.0,) * values.shape[-1], (1.0,) * values.shape[-1])
        known = np.isfinite(values)
        count = np.maximum(known.sum(0), 1)
        mean = np.where(known, values, 0).sum(0) / count
        square = np.where(known, (values - mean) ** 2, 0).sum(0) / count
        deviation = np.where(square > 0, np.sqrt(square), 1.0)
        return cls(tuple(mean.tolist()), tuple(deviation.tolist()))

    def __call__(self, values: NDArray[np.float64]) -> NDArray[np.float32]:
        """Standardised, [..., K]; what is missing becomes the mean, 0."""
        scaled = (values - np.array(self.mean)) / np.array(self.deviation)
        return np.nan_to_num(scaled, nan=0.0).astype(np.float32)


@dataclass(frozen=True)
class SeriesCodec:
    """How tables become what a network reads, and forecasts tables.

    Attributes:
        schema: what a table must hold.
        columns: what its columns are called.
        mixed: whether the targets of a series are channels read together, or each a series.
        space: how series of any size come to one: ``"log"``, in standard deviations of the
            logarithm where all values are positive, else as ``"plain"``; ``"plain"``, in standard
            deviations; ``"counts"``, divided by the mean; ``"as-is"``.
        calendar: whether the network is told the time of day, of the week and of the year.
        country: whose holidays it is told besides; empty for none.
        past, future, static: how covariates are standardised.
        series: the names of the series that it was trained on where it learned each one's
            smoothing; else empty.
        alias: what forecasts are called in tables.
        bounded: whether series that were never below 0 are not forecast below 0.
        layout: of the table that it was trained on, see `loopwise.codec.series.layouts`.
        missing: what was done with what was missing there, see `loopwise.codec.series.mending`.
    """

    schema: Schema
    columns: Columns
    mixed: bool
    space: Space
    calendar: bool
    country: str
    past: Standard
    future: Standard
    static: Standard
    series: tuple[str, ...] = ()
    alias: str = "loopwise"
    bounded: bool = False
    layout: Layout = "long"
    missing: Missing = "error"

    @property
    def channels(self) -> int:
        """Values of a point as the network reads it."""
        return len(self.schema.targets) if self.mixed else 1

    @property
    def rows_per_series(self) -> int:
        """Windows that a series has at each of its points."""
        return 1 if self.mixed else len(self.schema.targets)

    @property
    def shifts(self) -> bool:
        """Whether windows are put about 0."""
        return self.space in ("log", "plain")

    @property
    def ahead(self) -> int:
        """Covariates known ahead, calendar included."""
        return len(self.schema.future) + self.calendar_size

    @property
    def calendar_size(self) -> int:
        """How many of them are the calendar's."""
        country = self.country or None
        return len(calendar_names(self.schema.frequency, country)) if self.calendar else 0

    def told_ahead(self, given: NDArray[np.float64], stamps: Stamps) -> NDArray[np.float32]:
        """Covariates known ahead as the network reads them.

        Args:
            given: the table's own, [n, F].
            stamps: of the n points.

        Returns:
            [n, `ahead`].
        """
        parts = [self.future(given)]
        if self.calendar:
            country = self.country or None
            parts.append(calendar(self.schema.frequency, stamps, self.schema.zone, country))
        return np.concatenate(parts, axis=-1)

    def row_of(self, panel: Panel) -> NDArray[np.int64]:
        """Which trained series each row of a panel is, -1 for none."""
        known = {name: n for n, name in enumerate(self.series)}
        found = [known.get(str(name), -1) for name in panel.ids] if known else [-1] * len(panel)
        each = np.repeat(np.array(found, np.int64), self.rows_per_series)
        channel = np.tile(np.arange(self.rows_per_series), len(panel))
        return np.where(each < 0, -1, each * self.rows_per_series + channel)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "schema": self.schema.to_json()}

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> "SeriesCodec":
        """The inverse of `to_json`.

        Raises:
            KeyError, TypeError, ValueError, DataError: it is none.
        """
        given = dict(plain)
        for name in ("past", "future", "static"):
            parts = given[name]
            given[name] = Standard(tuple(parts["mean"]), tuple(parts["deviation"]))
        given["schema"] = Schema.from_json(given["schema"])
        given["columns"] = Columns(**given["columns"])
        given["series"] = tuple(given["series"])
        return cls(**given)
