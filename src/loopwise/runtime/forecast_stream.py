"""Forecasts along streams: an observation in, a forecast and an anomaly score out. No torch.

For each series a stream keeps the last points that the network reads, and of all points how many
are known, their mean and the sum of squares about it (Welford 1962), of values and of logarithms.
So an update costs the same however long the history is, and says what a forecast of the whole
history would.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors.numpy import load
from scipy.special import ndtr

from loopwise.codec.series.codec import SeriesCodec
from loopwise.codec.series.conformal import Adaptive
from loopwise.codec.series.forecast import Forecast
from loopwise.codec.series.panel import Panel
from loopwise.codec.series.spaces import Space, Spaces, lows, mean_in, spaces_of, sums
from loopwise.codec.series.stamps import stamp_array
from loopwise.codec.series.windows import Windows, scale
from loopwise.config import nearest
from loopwise.errors import ConfigError, DataError
from loopwise.runtime.forecast_network import Raw
from loopwise.runtime.forecasts import ROWS, Forecasts, asked_for, by_series
from loopwise.runtime.stream import DAMAGE, label_of, labelled

if TYPE_CHECKING:
    from loopwise.runtime.forecaster import LoadedForecaster

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SNAPSHOT_FORMAT = 1
ENOUGH = 2
"""Known values that a series must have before what comes next has a score: one has no spread."""


@dataclass(frozen=True)
class Update:
    """What a stream says after an observation of n series.

    Attributes:
        series: their ids.
        forecasts: of the steps after the observation; NaN for series of which no value is known.
        score: the normal score of the observation under the forecast before it, [n, targets]: how
            many standard deviations of a right forecast it lies above. NaN where it is missing or
            fewer than two values were known before.
        p_value: how unusual that is among the held-out windows, above 0 and at most 1,
            [n, targets]; see `Calibration.p_values`. Small for anomalies.
        adapted: lower and upper ends of the stream's own interval, [n, h, targets] each, where it
            has one.
    """

    series: tuple[str | int, ...]
    forecasts: Forecasts
    score: Floats
    p_value: Floats
    adapted: tuple[Floats, Floats] | None = None

    @property
    def median(self) -> Floats:
        """[n, h, targets]."""
        return self.forecasts.point()

    def quantiles(self, levels: Sequence[float]) -> Floats:
        """Calibrated quantiles at probabilities Q, [n, h, targets, Q]."""
        return self.forecasts.quantiles(levels)

    def interval(self, level: float) -> tuple[Floats, Floats]:
        """The ends of intervals that hold so many percent, [n, h, targets] each.

        Raises:
            ConfigError: no percentage from 1 to below 100.
        """
        both = self.quantiles([p for _, p in asked_for(level, ())])
        return both[..., 0], both[..., 1]


class ForecastStream:
    """Many series that grow a point at a time.

    An object is for one thread at a time.

    Args:
        model: the forecaster.
        panel: the series so far; they may have no points.
        h: steps of the forecasts, at most the horizon; None for that.
        adaptive: percent that the one-step intervals of `Update.adapted` shall hold in the long
            run, whatever comes (`Adaptive`), above 0 and below 100; None for none.
        rate: how fast they follow.

    Raises:
        ConfigError: steps, a percentage or a rate that are not allowed.
    """

    def __init__(
        self,
        model: "LoadedForecaster",
        panel: Panel,
        h: int | None = None,
        *,
        adaptive: float | None = None,
        rate: float = 0.005,
    ):
        self._model, self._codec, self._d = model, model.codec, model.description
        self._steps = model.require_steps(h)
        if self._steps > model.horizon:
            raise ConfigError(f"h={h}: must be at most the horizon, {model.horizon}")
        self._panel = panel.tail(0)  # what series keep, and where they began
        self._first = panel.first
        self._place = {name: i for i, name in enumerate(panel.ids)}
        known = model.calibration
        self._calibration = None if known is None else known.first(self._steps)
        self._one_step = None if known is None else known.first(1)
        n, targets, window = len(panel), panel.values.shape[1], self._d.window
        self._rows = self._codec.rows_per_series
        self._static = self._codec.static(panel.static)
        self._known_as = self._codec.row_of(panel)
        rows, channels, size = n * self._rows, self._codec.channels, self._d.output.size
        self._state: dict[str, NDArray[Any]] = {
            "length": np.zeros(n, np.int64),
            "values": np.full((n, window, targets), np.nan),
            "past": np.zeros((n, window, self._d.past), np.float32),
            "ahead": np.zeros((n, window, self._d.future), np.float32),
            "count": np.zeros((n, targets)),
            "least": np.full((n, targets), np.inf),
            "mean": np.zeros((n, targets)),
            "square": np.zeros((n, targets)),
            "log_mean": np.zeros((n, targets)),
            "log_square": np.zeros((n, targets)),
            "outputs": np.zeros((self._d.members, rows, channels, size), np.float32),
            "own_centre": np.zeros((self._d.members, rows, channels), np.float32),
            "own_spread": np.ones((self._d.members, rows, channels), np.float32),
            "log": np.zeros((rows, channels), bool),
            "centre": np.full((rows, channels), np.nan),
            "spread": np.ones((rows, channels)),
            "bounded": np.zeros((rows, channels), bool),
        }
        if adaptive is not None:
            if not 0 < adaptive < 100:
                raise ConfigError(f"adaptive={adaptive:g}: must be a percentage between 0 and 100")
            missing = 1 - adaptive / 100
            self._state["missing"] = np.full((rows, channels), missing)
        self._adaptive = None if adaptive is None else Adaptive(1 - adaptive / 100, rate)
        self._begin(panel)

    def __len__(self) -> int:
        """How many series there are."""
        return len(self._panel)

    @property
    def ids(self) -> tuple[str | int, ...]:
        """Their names."""
        return self._panel.ids

    @property
    def lengths(self) -> Integers:
        """Points of each series so far, [N]."""
        return self._state["length"].copy()

    def update(
        self,
        y: ArrayLike,
        past: ArrayLike | None = None,
        future: ArrayLike | None = None,
        *,
        series: Sequence[str | int] | None = None,
    ) -> Update:
        """Take the next point of each of several series.

        Args:
            y: their values, [n], or [n, targets] of several; NaN where one is missing. A number
                where there is one series.
            past: covariates known up to now, [n, P]; NaN counts as the mean.
            future: covariates known ahead at this point and at the `horizon` points after it,
                [n, 1 + h, F]; NaN counts as the mean.
            series: ids of the n series, all different; None for all, in their order.

        Raises:
            DataError: series that are not there or named twice, shapes that do not fit, infinite
                values, or covariates that the model needs and are not given; nothing is taken then.
        """
        at = self._places(series)
        values = _checked("y", y, (len(at), len(self._panel.targets)))
        whole = (len(at), 1 + self._d.horizon, len(self._panel.future_names))
        told_past = self._covariates("past", past, (len(at), len(self._panel.past_names)))
        told_ahead = self._covariates("future", future, whole)
        score, p_value = self._judge(at, values)
        self._follow(at, values)
        self._take(at, values, told_past, told_ahead[:, :1])
        forecasts, adapted = self._forecast(at, told_ahead[:, 1:])
        names = self.ids if series is None else tuple(series)
        return Update(names, forecasts, score, p_value, adapted)

    def forecast(
        self, future: ArrayLike | None = None, *, series: Sequence[str | int] | None = None
    ) -> Forecasts:
        """Forecast from what is known, as the last `update` did.

        Args:
            future: covariates known ahead at the next `horizon` points, [n, h, F].
            series: as in `update`.

        Raises:
            DataError: as `update`.
        """
        at = self._places(series)
        shape = (len(at), self._d.horizon, len(self._panel.future_names))
        return self._forecast(at, self._covariates("future", future, shape))[0]

    def snapshot(self) -> bytes:
        """All that the streams know, as safetensors bytes, for `restore`."""
        label = {
            "format": SNAPSHOT_FORMAT,
            "model": self._model.bundle.fingerprint,
            "series": [str(name) for name in self.ids],
        }
        return labelled(self._state, label)

    def restore(self, snapshot: bytes | bytearray | memoryview) -> None:
        """Return to a snapshot of streams of the same series and model.

        Raises:
            DataError: bytes that are damaged, no snapshot, of a newer format, of another model or
                of other series; all then stays as it was.
        """
        try:
            data = bytes(memoryview(snapshot))
            tensors, label = load(data), label_of(data)
        except DAMAGE as error:
            raise DataError(f"damaged, or not a snapshot of streams: {error}") from error
        if label.get("format") != SNAPSHOT_FORMAT:
            raise DataError(
                f"snapshot format {label.get('format')!r}; this loopwise reads {SNAPSHOT_FORMAT}"
            )
        if label.get("model") != self._model.bundle.fingerprint:
            raise DataError("a snapshot of another model")
        if label.get("series") != [str(name) for name in self.ids]:
            raise DataError("a snapshot of other series")
        for name, own in self._state.items():
            given = tensors.get(name)
            if given is None or (given.shape, given.dtype) != (own.shape, own.dtype):
                raise DataError(f"damaged snapshot: no {name} of shape {list(own.shape)}")
        self._state = {name: tensors[name].copy() for name in self._state}

    def _begin(self, panel: Panel) -> None:
        """Take the histories all at once."""
        state, window = self._state, self._d.window
        values = panel.values
        known = np.isfinite(values)
        positive = known & (values > 0)
        state["length"] = panel.lengths.copy()
        state["count"] = sums(panel, known.astype(float))
        state["least"] = lows(panel, np.where(known, values, np.inf))
        logs = np.log(np.where(positive, values, 1.0))
        for name, there, taken in (("", known, values), ("log_", positive, logs)):
            count = np.maximum(sums(panel, there.astype(float)), 1)
            mean = sums(panel, np.where(there, taken, 0.0)) / count
            off = np.where(there, taken - np.repeat(mean, panel.lengths, axis=0), 0.0)
            state[f"{name}mean"], state[f"{name}square"] = mean, sums(panel, off * off)
        tail = panel.tail(window)
        length = np.repeat(panel.lengths, tail.lengths)
        since = np.arange(len(tail.values)) - np.repeat(tail.offsets[:-1], tail.lengths)
        place = length - np.repeat(tail.lengths, tail.lengths) + since
        row = np.repeat(np.arange(len(panel)), tail.lengths)
        state["values"][row, place % window] = tail.values
        state["past"][row, place % window] = self._codec.past(tail.past)
        if self._d.future:
            told = self._codec.told_ahead(tail.future, tail.all_stamps())
            state["ahead"][row, place % window] = told
        nothing = np.full((len(panel), self._d.horizon, len(panel.future_names)), np.nan)
        self._forecast(np.arange(len(panel)), nothing)

    def _take(self, at: Integers, values: Floats, past: Floats, ahead: Floats) -> None:
        state = self._state
        place = state["length"][at] % self._d.window
        state["values"][at, place] = values
        state["past"][at, place] = self._codec.past(past)
        if self._d.future:
            state["ahead"][at, place] = self._told(at, ahead)[:, 0]
        state["length"][at] += 1
        known = np.isfinite(values)
        state["count"][at] += known
        state["least"][at] = np.fmin(state["least"][at], values)
        count = np.maximum(state["count"][at], 1)
        logs = np.log(np.where(known & (values > 0), values, 1.0))
        for name, taken in (("", values), ("log_", logs)):
            mean = state[f"{name}mean"][at]
            off = np.where(known, taken - mean, 0.0)
            after = mean + off / count
            state[f"{name}mean"][at] = after
            state[f"{name}square"][at] += off * np.where(known, taken - after, 0.0)

    def _forecast(
        self, at: Integers, future: Floats
    ) -> tuple[Forecasts, tuple[Floats, Floats] | None]:
        """Forecast, and keep what is said of the next step."""
        state = self._state
        spaces = self._spaces(at)
        rows = self._rows_of(at)
        parts: list[Forecast] = []
        step = max(ROWS // self._rows, 1)
        for begin in range(0, len(at), step):
            part = slice(begin, begin + step)
            of_rows = slice(begin * self._rows, (begin + step) * self._rows)
            own = spaces.of(of_rows)
            windows, space = self._windows(at[part], own, future[part])
            raws = self._model.raws(windows, self._steps)
            parts.append(Forecast(self._model.output, raws, space))
            which = rows[of_rows]
            for member, raw in enumerate(raws):
                state["outputs"][member, which] = raw.outputs[:, 0, 0]
                state["own_centre"][member, which] = raw.centre[:, 0]
                state["own_spread"][member, which] = raw.spread[:, 0]
            state["log"][which], state["centre"][which] = space.log, space.centre
            state["spread"][which], state["bounded"][which] = space.spread, space.bounded
        forecasts = Forecasts(parts, self._calibration, self._steps, None, self._rows)
        return forecasts, self._adapted(at, parts)

    def _windows(self, at: Integers, spaces: Spaces, future: Floats) -> tuple[Windows, Space]:
        d, state = self._d, self._state
        length = state["length"][at]
        order = (length[:, None] + np.arange(d.window)) % d.window
        index = at[:, None], order
        values = self._by_row(state["values"][index])
        scaled, known, space = scale(values, spaces, d.patch, shifts=self._codec.shifts)
        # of a series without a value nothing is said
        never = self._by_row(state["count"][at][:, None])[:, 0] == 0
        space = space._replace(centre=np.where(never, np.nan, space.centre))
        after = self._told(at, future)
        return (
            Windows(
                scaled,
                known,
                spaces.size,
                mean_in(space, spaces.mean[:, None]),
                self._repeated(state["past"][index]),
                self._repeated(np.concatenate([state["ahead"][index], after], axis=1)),
                self._repeated(self._static[at]),
                self._repeated(self._panel.categories[at]),
                self._known_as[self._rows_of(at)],
            ),
            space,
        )

    def _spaces(self, at: Integers) -> Spaces:
        state = self._state
        least = state["least"][at]
        log = (least > 0) & (self._codec.space == "log")
        count = np.maximum(state["count"][at], 1)
        mean = np.where(log, state["log_mean"][at], state["mean"][at])
        square = np.where(log, state["log_square"][at], state["square"][at])
        return spaces_of(self._codec, log, least >= 0, mean, square / count)

    def _told(self, at: Integers, given: Floats) -> NDArray[np.float32]:
        """Covariates known ahead from the next point on as the network reads them, [n, m, F]."""
        if not self._d.future:
            return np.empty((*given.shape[:2], 0), np.float32)
        position = self._state["length"][at][:, None] + np.arange(given.shape[1])
        stamps = self._panel.frequency.at(self._first[at][:, None], position)
        told = self._codec.told_ahead(given.reshape(-1, given.shape[2]), stamps.ravel())
        return told.reshape(*given.shape[:2], -1)

    def _before(self, at: Integers) -> Forecast:
        """What was said of the point that comes now, [R, C, 1]."""
        state, rows = self._state, self._rows_of(at)
        raws = [
            Raw(
                state["outputs"][n][rows][:, None, None],
                state["own_centre"][n][rows][:, None],
                state["own_spread"][n][rows][:, None],
            )
            for n in range(self._d.members)
        ]
        space = Space(*(state[name][rows] for name in Space._fields))
        return Forecast(self._model.output, raws, space)

    def _judge(self, at: Integers, values: Floats) -> tuple[Floats, Floats]:
        """Scores and p-values of what came, [n, targets] each."""
        enough = self._by_row(self._state["count"][at][:, None])[:, 0] >= ENOUGH
        y = self._by_row(values[:, None])[:, 0]
        y = np.where(enough, y, np.nan)[..., None]
        before = self._before(at)
        if self._one_step is None:
            score = before.score(y)
            p_value = 2 * np.asarray(ndtr(-np.abs(score)))
        else:
            score = self._one_step.calibrate(before).score(y)
            p_value = self._one_step.p_values(before, y)
        shape = values.shape
        return score[..., 0].reshape(shape), p_value[..., 0].reshape(shape)

    def _follow(self, at: Integers, values: Floats) -> None:
        """Count whether the adaptive intervals held what came."""
        if self._adaptive is None:
            return
        before = self._before(at)
        right = before if self._one_step is None else self._one_step.calibrate(before)
        adaptive = self._adaptive_at(at)
        y = self._by_row(values[:, None])[:, 0]
        low, high = (right.quantile(p[..., None])[..., 0] for p in adaptive.levels)
        unknown = np.isnan(y) | np.isnan(low)
        missed = np.where(unknown, np.nan, (y < low) | (y > high))
        self._state["missing"][self._rows_of(at)] = adaptive.update(missed).now

    def _adapted(self, at: Integers, parts: Sequence[Forecast]) -> tuple[Floats, Floats] | None:
        """The ends of the adaptive intervals."""
        if self._adaptive is None:
            return None
        low, high = self._adaptive_at(at).levels
        calibration, begin = self._calibration, 0
        found: tuple[list[Floats], list[Floats]] = ([], [])
        for part in parts:
            right = part if calibration is None else calibration.calibrate(part)
            own = slice(begin, begin + part.shape[0])
            for ends, p in zip(found, (low, high), strict=True):
                ends.append(right.quantile(p[own][..., None]))
            begin = own.stop
        lows, highs = (by_series(np.concatenate(ends), self._rows) for ends in found)
        return lows, highs

    def _adaptive_at(self, at: Integers) -> Adaptive:
        assert self._adaptive is not None
        now = self._state["missing"][self._rows_of(at)]
        return Adaptive(self._adaptive.missing, self._adaptive.rate, now)

    def _places(self, series: Sequence[str | int] | None) -> Integers:
        if series is None:
            return np.arange(len(self))
        try:
            found = np.array([self._place[name] for name in series], np.int64)
        except KeyError as error:
            name = error.args[0]
            hint = nearest(str(name), [str(each) for each in self.ids])
            raise DataError(f"series: there is no {name!r} in the stream{hint}") from None
        if len(np.unique(found)) != len(found):
            raise DataError("series: each may be named once in a call")
        return found

    def _covariates(self, what: str, given: ArrayLike | None, shape: tuple[int, ...]) -> Floats:
        if given is None:
            if shape[-1]:
                panel = self._panel
                names = panel.past_names if what == "past" else panel.future_names
                raise DataError(
                    f"the model needs {', '.join(map(repr, names))}: give them as {what}=, "
                    f"{list(shape)}"
                )
            return np.empty(shape)
        return _checked(what, given, shape)

    def _by_row(self, values: NDArray[Any]) -> NDArray[Any]:
        """[n, L, targets] as [R, L, C]."""
        if self._rows == 1:
            return values
        return np.moveaxis(values, 2, 1).reshape(-1, values.shape[1], 1)

    def _repeated(self, values: NDArray[Any]) -> NDArray[Any]:
        """[n, ...] as [R, ...]."""
        return values if self._rows == 1 else np.repeat(values, self._rows, axis=0)

    def _rows_of(self, at: Integers) -> Integers:
        return (at[:, None] * self._rows + np.arange(self._rows)).ravel()


def _checked(what: str, given: ArrayLike, shape: tuple[int, ...]) -> Floats:
    try:
        values = np.asarray(given, np.float64)
    except (ValueError, TypeError) as error:
        raise DataError(f"{what}: expected numbers: {error}") from None
    if values.shape == shape[:-1] and shape[-1] == 1:
        values = values[..., None]
    if values.shape == () and shape == (1, 1):
        values = values.reshape(shape)
    if values.shape != shape:
        raise DataError(f"{what}: expected {list(shape)}, given {list(values.shape)}")
    if np.isinf(values).any():
        raise DataError(f"{what}: a value is infinite; NaN is for what is missing")
    return values


def ids_of(series: Any) -> tuple[str | int, ...] | None:
    """The names of series, of one or several; None where it is a table."""
    if isinstance(series, str | int | np.integer) and not isinstance(series, bool):
        return (series if isinstance(series, str) else int(series),)
    if isinstance(series, np.ndarray) and series.ndim == 1:
        return tuple(series.tolist())
    return tuple(series) if isinstance(series, list | tuple | range) else None


def panel_of(
    codec: SeriesCodec, ids: Sequence[str | int], first: Any = None, known: Panel | None = None
) -> Panel:
    """Series by their names: those that are known with their points, the others without.

    Args:
        codec: of the model.
        ids: their names, all different, numbers also as texts.
        first: as in `empty_panel`, of the series that are not known.
        known: series, as the codec knows them.

    Raises:
        DataError: as `empty_panel`.
    """
    if known is None:
        return empty_panel(codec, ids, first)
    _require_different(ids)
    there = {str(name) for name in known.ids}
    new = [name for name in ids if str(name) not in there]
    both = known.beside(empty_panel(codec, new, first)) if new else known
    place = {str(name): i for i, name in enumerate(both.ids)}
    return both.select([place[str(name)] for name in ids])


def empty_panel(codec: SeriesCodec, ids: Sequence[str | int], first: Any = None) -> Panel:
    """Series without points, as a codec knows them; what they keep is unknown.

    Args:
        codec: of the model.
        ids: their names, all different.
        first: the stamp of the first point that will come, one for all or one for each. None where
            the model is told no calendar and nobody will ask.

    Raises:
        DataError: no ids, an id twice, a stamp of another kind than the model knows, or none
            though it is told the calendar.
    """
    _require_different(ids)
    schema, number = codec.schema, len(ids)
    if first is None and codec.calendar:
        raise DataError("the model is told the calendar: give first=, the stamp of the first point")
    numbered = schema.frequency.numbered
    try:
        stamps = stamp_array((0 if numbered else "2000-01-01") if first is None else first)
        stamps = np.broadcast_to(stamps, number).copy()
    except (ValueError, TypeError):
        raise DataError(f"first={first!r}: must be a stamp, or one for each of {number}") from None
    if (stamps.dtype.kind == "M") == numbered:
        kind = "a whole number" if numbered else "a time"
        raise DataError(f"first={first!r}: must be {kind}, as the stamps that the model knows")
    return Panel(
        ids=tuple(ids),
        offsets=np.zeros(number + 1, np.int64),
        values=np.empty((0, len(schema.targets))),
        first=stamps,
        frequency=schema.frequency,
        targets=schema.targets,
        past=np.empty((0, len(schema.past))),
        past_names=schema.past,
        future=np.empty((0, len(schema.future))),
        future_names=schema.future,
        static=np.full((number, len(schema.static)), np.nan),
        static_names=schema.static,
        categories=np.zeros((number, len(schema.categories)), np.int64),
        category_names=schema.categories,
        category_values=schema.category_values,
        zone=schema.zone,
    )


def _require_different(ids: Sequence[str | int]) -> None:
    different = len(set(map(str, ids)))
    if not ids or different != len(ids):
        raise DataError(f"ids: {len(ids)} of them, {different} different; each stream has its own")
