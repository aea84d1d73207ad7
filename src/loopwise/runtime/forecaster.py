"""A trained forecaster as its users hold it: tables of series in, tables of forecasts out."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.numbers import is_integer
from loopwise.codec.series.codec import SeriesCodec
from loopwise.codec.series.conformal import Calibration
from loopwise.codec.series.distributions import Output, make_output
from loopwise.codec.series.forecast import Forecast
from loopwise.codec.series.layouts import Layout
from loopwise.codec.series.mending import Missing
from loopwise.codec.series.output import TableKind, forecast_table
from loopwise.codec.series.panel import Panel
from loopwise.codec.series.spaces import Space, Spaces, spaces_at
from loopwise.codec.series.table import future_values, panel_from_table
from loopwise.codec.series.windows import Prepared, Windows, cut, prepare
from loopwise.errors import BundleError, ConfigError, DataError
from loopwise.runtime.bundle import Bundle, write_bundle
from loopwise.runtime.description import ForecasterDescription, OutputDescription, parse_as
from loopwise.runtime.forecast_network import Raw, Read, forward
from loopwise.runtime.forecast_paths import forecast_beyond, sample_paths
from loopwise.runtime.forecast_stream import ForecastStream, empty_panel, ids_of
from loopwise.runtime.forecast_windows import places_after
from loopwise.runtime.forecasts import ROWS, Forecasts, by_series, forecast_names
from loopwise.runtime.modules import Dilated

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Table(NamedTuple):
    """A table of series, read."""

    panel: Panel
    kind: TableKind
    layout: Layout


class LoadedForecaster:
    """A forecaster that can run: networks in NumPy and the engine, without torch.

    It holds no history: every call is given the series up to now.

    Args:
        bundle: of the task ``"forecaster"``.

    Raises:
        BundleError: a model of another kind, or a codec that does not fit it.
    """

    def __init__(self, bundle: Bundle):
        self.bundle = bundle
        d = self.description = parse_as(ForecasterDescription, bundle.model)
        try:
            self.codec = SeriesCodec.from_json(bundle.codec)
            self.output = _output(d.output)
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"the codec of a forecaster is damaged: {error}") from None
        sizes = (self.codec.channels, len(self.codec.schema.past), self.codec.ahead)
        if sizes != (d.channels, d.past, d.future):
            raise BundleError("the codec and the network are of different covariates or channels")
        arrays = {name: np.asarray(array, np.float32) for name, array in bundle.tensors.items()}
        scores = arrays.pop("calibration", None)
        self.calibration = _calibration(scores, d)
        self._members = [_Member(d, _below(arrays, f"members.{n}.")) for n in range(d.members)]

    @property
    def horizon(self) -> int:
        """Steps that are forecast at once; more are forecast from forecasts."""
        return self.description.horizon

    @property
    def info(self) -> dict[str, Any]:
        """What the training left in the bundle about itself."""
        return self.bundle.info

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the bundle to a file; raises BundleError if that cannot be done."""
        write_bundle(path, self.bundle)

    def read(
        self, frame: Any, *, layout: Layout | None = None, missing: Missing | None = None
    ) -> Table:
        """Read a table of series as the model knows them.

        Args:
            frame: a data frame with the columns that it was trained on.
            layout: as in `loopwise.codec.series.table.panel_from_table`; None for that of the
                table of the training.
            missing: the same.

        Raises:
            DataError: as there.
        """
        codec = self.codec
        layout, missing = layout or codec.layout, missing or codec.missing
        columns = replace(codec.columns, weight=None)  # which matters in training alone
        panel = panel_from_table(frame, columns, missing=missing, layout=layout, like=codec.schema)
        return Table(panel, TableKind.of(frame, columns, layout), layout)

    def predict(
        self,
        frame: Any,
        h: int | None = None,
        *,
        future: Any = None,
        level: Sequence[float] | float = (),
        quantiles: Sequence[float] | float = (),
        point: str = "median",
        layout: Layout | None = None,
        missing: Missing | None = None,
    ) -> Any:
        """Forecast what follows the series of a table.

        Args:
            frame: the series up to now; they need not have been trained on.
            h: steps; None for the horizon. Beyond it forecasts are made from forecasts, and
                intervals from sample paths.
            future: a table of the covariates known ahead, over the steps forecast.
            level: intervals that hold so many percent, one or several such as ``[80, 95]``.
            quantiles: probabilities, one or several such as ``[0.1, 0.9]``.
            point: ``"median"`` or ``"mean"``.
            layout: as in `read`.
            missing: the same.

        Returns:
            A table of the kind that came in: ids, stamps, the point forecast named ``loopwise``
            (with several targets ``loopwise-<target>``), and for each level ``-lo-80`` and
            ``-hi-80``, for each quantile ``-q-0.1``.

        Raises:
            ConfigError: steps, levels, quantiles or a point that are not allowed.
            DataError: a table that the model cannot read, or covariates that are not known.
        """
        table = self.read(frame, layout=layout, missing=missing)
        return self.predict_table(
            table, h, future=future, level=level, quantiles=quantiles, point=point
        )

    def predict_table(
        self,
        table: Table,
        h: int | None = None,
        *,
        future: Any = None,
        level: Sequence[float] | float = (),
        quantiles: Sequence[float] | float = (),
        point: str = "median",
    ) -> Any:
        """As `predict`, of a table that has been read."""
        forecasts = self.forecast(table.panel, h, self.ahead(table.panel, h, future))
        columns = forecasts.columns(self.codec, level=level, quantiles=quantiles, point=point)
        steps = forecasts.steps
        return forecast_table(table.kind, table.panel, table.panel.stamps_after(steps), columns)

    def simulate(
        self,
        frame: Any,
        n_paths: int = 100,
        h: int | None = None,
        *,
        future: Any = None,
        seed: int = 0,
        layout: Layout | None = None,
        missing: Missing | None = None,
    ) -> Any:
        """Sample paths of what may follow the series of a table.

        A path draws how far off forecasts were together on one of the held-out windows, so its
        steps belong together (Clark et al. 2004, the Schaake shuffle).

        Args:
            frame: as in `predict`.
            n_paths: paths of each series.
            h: as in `predict`.
            future: the same.
            seed: of the random numbers.
            layout: as in `read`.
            missing: the same.

        Returns:
            A table of the kind that came in: ids, stamps, and columns ``loopwise-path-1``, ...

        Raises:
            ConfigError, DataError: as `predict`.
        """
        table = self.read(frame, layout=layout, missing=missing)
        return self.simulate_table(table, n_paths, h, future=future, seed=seed)

    def simulate_table(
        self,
        table: Table,
        n_paths: int = 100,
        h: int | None = None,
        *,
        future: Any = None,
        seed: int = 0,
    ) -> Any:
        """As `simulate`, of a table that has been read."""
        if not is_integer(n_paths) or n_paths < 1:
            raise ConfigError(f"n_paths={n_paths!r}: must be a whole number from 1")
        steps = self.require_steps(h)
        ahead = self.ahead(table.panel, steps, future)
        paths = sample_paths(self, table.panel, n_paths, steps, ahead, seed)
        named: dict[str, Floats] = {}
        for n in range(n_paths):
            for target, name in enumerate(self.names):
                named[f"{name}-path-{n + 1}"] = paths[n, :, :, target]
        return forecast_table(table.kind, table.panel, table.panel.stamps_after(steps), named)

    def stream(
        self,
        series: Any,
        *,
        h: int | None = None,
        first: Any = None,
        adaptive: float | None = None,
        rate: float = 0.005,
        layout: Layout | None = None,
        missing: Missing | None = "mask",
    ) -> ForecastStream:
        """Series that grow a point at a time, with a forecast and an anomaly score after each.

        Args:
            series: a table of the series so far; or the id of a series without points, or several.
            h: steps of the forecasts, at most the horizon; None for that. Fewer take less time.
            first: with ids, the stamp of the first point, one for all or one for each; needed only
                by a model that is told the calendar.
            adaptive: percent that intervals of the stream shall hold in the long run, whatever
                comes; None for none.
            rate: how fast these follow, above 0.
            layout: as in `read`.
            missing: the same.

        Raises:
            ConfigError: steps, a percentage or a rate that are not allowed.
            DataError: a table that the model cannot read, or ids or stamps that are not allowed.
        """
        ids = ids_of(series)
        if ids is None:
            panel = self.read(series, layout=layout, missing=missing).panel
        else:
            panel = empty_panel(self.codec, ids, first)
        return ForecastStream(self, panel, h, adaptive=adaptive, rate=rate)

    def recalibrated(self, panel: Panel, points: int | None = None) -> "LoadedForecaster":
        """The same networks, their intervals by how far off they were in the last part of series.

        For series that have gone on since the training, and whose noise may have changed: recent
        errors tell more than those of the windows that were held out then. Points that were
        learned from would make intervals too narrow.

        Args:
            panel: the series up to now.
            points: the last so many of each series, at least the horizon; None for five horizons.
                A series lends no more than half of its points.

        Returns:
            a forecaster that can be saved as well.

        Raises:
            ConfigError: points that are not allowed.
            DataError: no series is long enough.
        """
        h = self.horizon
        points = 5 * h if points is None else points
        if not is_integer(points) or points < h:
            raise ConfigError(f"points={points!r}: must be a whole number from the horizon, {h}")
        lengths = panel.lengths
        begin = np.maximum(lengths - points, (lengths + 1) // 2)
        series, ends = places_after(begin, lengths, h)
        if not len(series):
            raise DataError(
                f"{panel.longest}: {2 * h} are needed to see how far off forecasts of {h} steps "
                "are in its second half"
            )
        actual = panel.values[(panel.offsets[series] + ends)[:, None] + np.arange(h)]
        scores = self.forecast_within(panel, series, ends).held_out(actual)
        rows = scores.transpose(0, 2, 1).reshape(-1, h)
        rows = rows[np.isfinite(rows).all(1)].astype(np.float32)
        if not len(rows):
            raise DataError(f"no {h} values in a row are known in the last part of any series")
        model = {**self.bundle.model, "calibration": len(rows)}
        tensors = {**self.bundle.tensors, "calibration": rows}
        return LoadedForecaster(replace(self.bundle, model=model, tensors=tensors))

    @property
    def names(self) -> list[str]:
        """What the forecasts of the targets are called."""
        return forecast_names(self.codec)

    def ahead(self, panel: Panel, h: int | None, future: Any) -> Floats | None:
        """Covariates known ahead from a table, [N, h, F]; None where the model has none.

        Raises:
            ConfigError: a table is given and the model has none.
            DataError: the model needs some and they are not there.
        """
        steps, names = self.require_steps(h), self.codec.schema.future
        if not names:
            if future is not None:
                raise ConfigError("future=: this model knows no covariates ahead; leave it out")
            return None
        if future is None:
            raise DataError(
                f"the model needs {', '.join(map(repr, names))} over the {steps} steps that are "
                "forecast: give them as future="
            )
        return future_values(future, panel, self.codec.columns, horizon=steps)

    def require_steps(self, h: Any) -> int:
        """How many steps to forecast; raises ConfigError unless it is a whole number from 1."""
        if h is None:
            return self.horizon
        if not is_integer(h) or h < 1:
            if isinstance(h, int | float | str):
                raise ConfigError(f"h={h!r}: must be a whole number from 1 (steps to forecast)")
            raise ConfigError(
                f"h: must be a whole number from 1 (steps to forecast), given a "
                f"{type(h).__name__}; a table of series is given as df="
            )
        return int(h)

    def forecast(
        self, panel: Panel, h: int | None = None, ahead: Floats | None = None, seed: int = 0
    ) -> Forecasts:
        """Forecast what follows each series.

        Args:
            panel: the series up to now.
            h: steps; None for the horizon.
            ahead: covariates known ahead, [N, h, F].
            seed: of the sample paths by which steps beyond the horizon are forecast.
        """
        steps = self.require_steps(h)
        if steps > self.horizon:
            return forecast_beyond(self, panel, steps, ahead, seed)
        each = self.codec.rows_per_series
        return Forecasts(list(self.parts(panel, ahead)), self.calibration, steps, None, each)

    def forecast_at(
        self,
        panel: Panel,
        ends: Integers,
        ahead: Floats | None = None,
        until: Integers | None = None,
    ) -> Forecasts:
        """Forecast the horizon after any places within series, each from what came before it.

        Args:
            panel: the series.
            ends: how many points come before each place, [N, K].
            ahead: covariates known ahead beyond the end of each series, [N, h, F].
            until: how many points of each series decide its scale, [N]; None for those up to its
                first place.

        Returns:
            The forecasts of N * K windows, those of a series beside each other.
        """
        until = ends.min(1) if until is None else until
        prepared = prepare(panel, self.codec, self.horizon, self._beyond(ahead), until)
        each = prepared.per_series
        rows = np.arange(len(prepared.known_as)).reshape(-1, 1, each)
        rows = np.broadcast_to(rows, (*ends.shape, each)).ravel()
        parts = list(self._chunks(prepared, rows, np.repeat(ends.ravel(), each)))
        return Forecasts(parts, self.calibration, self.horizon, None, each)

    def forecast_within(self, panel: Panel, series: Integers, ends: Integers) -> Forecasts:
        """Forecast the horizon after any places within series, each from what came before it.

        As `forecast` of the beginnings of the series, but many places of one share its points.

        Args:
            panel: the series. What they know ahead is that of their own points after a place.
            series: which of them each place is in, [B].
            ends: how many points come before each place, [B], at least 1.
        """
        prepared = prepare(panel, self.codec, 0)
        each = prepared.per_series
        spaces = spaces_at(panel, self.codec, series, ends)
        rows = (series[:, None] * each + np.arange(each)).ravel()
        parts = list(self._chunks(prepared, rows, np.repeat(ends, each), spaces))
        return Forecasts(parts, self.calibration, self.horizon, None, each)

    def parts(
        self, panel: Panel, ahead: Floats | None = None, spaces: Spaces | None = None
    ) -> Iterator[Forecast]:
        """The networks' own forecasts after the end of each row, [B, C, h], some rows at a time.

        Args:
            panel: the series up to now.
            ahead: covariates known ahead, [N, steps, F].
            spaces: of the rows, where more than these series decides them.
        """
        prepared = prepare(panel, self.codec, self.horizon, self._beyond(ahead), spaces=spaces)
        rows = np.arange(len(prepared.known_as))
        return self._chunks(prepared, rows, prepared.lengths)

    def _beyond(self, ahead: Floats | None) -> Floats | None:
        """Covariates known ahead over the whole horizon; where not given they count as means."""
        return None if ahead is None else _padded(ahead, self.horizon)

    def _chunks(
        self, prepared: Prepared, rows: Integers, ends: Integers, spaces: Spaces | None = None
    ) -> Iterator[Forecast]:
        d = self.description
        for begin in range(0, len(rows), ROWS):
            part = slice(begin, begin + ROWS)
            own = None if spaces is None else spaces.of(part)
            windows, space = cut(
                prepared, rows[part], ends[part], d.window, d.horizon, d.patch, own
            )
            yield self.read_windows(windows, space)

    def mixture(self, panel: Panel, ahead: Floats | None = None) -> Floats | None:
        """What the forecasts after the end of each series look at.

        Args:
            panel: the series up to now.
            ahead: covariates known ahead, [N, h, F].

        Returns:
            [N, h, targets, candidates], the shares of what `loopwise.runtime.lags.candidates_of`
            names, of all networks in the mean; None where the decoder mixes nothing.
        """
        d = self.description
        if d.decoder != "lags" or not d.candidates:
            return None
        prepared = prepare(panel, self.codec, self.horizon, self._beyond(ahead))
        rows = np.arange(len(prepared.known_as))
        found: list[Floats] = []
        for begin in range(0, len(rows), ROWS):
            part = rows[begin : begin + ROWS]
            windows, _ = cut(prepared, part, prepared.lengths[part], d.window, d.horizon, d.patch)
            shares = np.mean([member.mixture(windows) for member in self._members], axis=0)
            found.append(np.moveaxis(shares[:, 0], 1, 2))
        return by_series(np.concatenate(found), prepared.per_series)

    def read_windows(self, windows: Windows, space: Space) -> Forecast:
        """What the networks say together of windows, [B, C, h]."""
        return Forecast(self.output, self.raws(windows), space)

    def raws(self, windows: Windows, steps: int | None = None) -> list[Raw]:
        """What each network puts out of windows, of the first steps of the horizon or of all."""
        chosen = None if steps in (None, self.horizon) else np.arange(steps)
        return [member(windows, chosen) for member in self._members]


class _Member:
    """One network in NumPy, its layers on the engine."""

    def __init__(self, description: ForecasterDescription, tensors: dict[str, Any]):
        self._description = description
        layers = _below(tensors, "layers.")
        self._tensors = {k: v for k, v in tensors.items() if not k.startswith("layers.")}
        self._layers = Dilated(description.layers, description.dilations, layers)

    def __call__(self, windows: Windows, chosen: Integers | None = None) -> Raw:
        read = Read(self._layers.forward, _as_it_is, _gelu)
        return forward(self._description, self._tensors, windows, read, chosen=chosen)

    def mixture(self, windows: Windows) -> Any:
        """The weights of what each target's base is a mixture of, [B, 1, h, C, candidates]."""
        seen: list[Any] = []
        read = Read(self._layers.forward, _as_it_is, _gelu, seen.append)
        forward(self._description, self._tensors, windows, read)
        return seen[0]


def _as_it_is(x: Any) -> Any:
    return x


def _gelu(x: Any) -> Any:
    out = x * x  # in place from here: as large as all targets' hidden units
    out *= 0.044715
    out += 1
    out *= x
    out *= 0.7978845608
    np.tanh(out, out=out)
    out += 1
    out *= x
    out *= 0.5
    return out


def _output(description: OutputDescription) -> Output:
    quantiles, mixture = description.name == "quantiles", description.name == "mixture"
    output = make_output(
        description.name,
        levels=description.levels if quantiles else None,
        components=description.components if mixture else None,
    )
    if output.size != description.size:
        raise BundleError(f"output {output.name}: {description.size} numbers, not {output.size}")
    return output


def _calibration(scores: Any, d: ForecasterDescription) -> Calibration | None:
    if scores is None:
        return None
    return Calibration(scores, has_spread=d.output.name != "point")


def _padded(ahead: Floats, steps: int) -> Floats:
    """[N, n, F] as [N, steps, F], unknown at the end."""
    missing = steps - ahead.shape[1]
    if missing <= 0:
        return ahead[:, :steps]
    filler = np.full((len(ahead), missing, ahead.shape[2]), np.nan)
    return np.concatenate([ahead, filler], axis=1)


def _below(tensors: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
