"""How good a forecaster is beside forecasts that need no training, on rolling origins. No torch.

Each origin is a place in a series: what comes before it is all that a forecast may see, what comes
after it is what the forecast is held against. A series with several targets counts as several.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.numbers import is_integer
from loopwise.codec.series import baselines
from loopwise.codec.series.metrics import Scores, crps, mase_scale, score
from loopwise.codec.series.panel import Panel, listed
from loopwise.errors import ConfigError, DataError

if TYPE_CHECKING:
    from loopwise.runtime.forecaster import LoadedForecaster

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MEASURES = (
    "mae", "rmse", "mse", "mape", "smape", "mase", "owa", "crps",
    "coverage_80", "width_80", "coverage_95", "width_95",
)  # fmt: skip
"""What is measured, in the order in which it is told; see `loopwise.codec.series.metrics`."""
BASELINES = ("seasonal naive", "naive", "drift", "naive2")
"""What the model stands beside."""
LEAST = 2
"""Points before a first origin, at least: a single one has no scale."""
AT_ONCE = 8_000_000
"""Quantiles that are held in memory at once, about."""

_INTERVALS = (0.025, 0.1, 0.9, 0.975)
_LEVELS = tuple(n / 20 for n in range(1, 20))


class Verdict(NamedTuple):
    """The model beside one baseline.

    Attributes:
        baseline: its name.
        measure: what they are compared by, as it is written.
        model: the model's value.
        other: the baseline's.
    """

    baseline: str
    measure: str
    model: float
    other: float

    @property
    def worse(self) -> bool:
        """Whether the model is no better than the baseline."""
        return not self.model < self.other


@dataclass(frozen=True)
class Evaluation:
    """What forecasts of S series and targets were worth.

    Attributes:
        name: what the model is called.
        rows: the name of each series and target, S of them.
        horizon: steps of each forecast.
        windows: origins of each series.
        season: steps of a season, for MASE and for the baselines.
        scores: of the model, by its name, and of each of `BASELINES`.
        skipped: series that are too short for the windows.
    """

    name: str
    rows: tuple[tuple[str | int, str], ...]
    horizon: int
    windows: int
    season: int
    scores: Mapping[str, Scores]
    skipped: tuple[str | int, ...] = ()

    def overall(self) -> dict[str, dict[str, float]]:
        """By model, then by measure: the mean over series; NaN where one has no meaning.

        OWA is M4's, of the means over all series. A baseline says one number and no intervals: its
        CRPS is its MAE.
        """
        found: dict[str, dict[str, float]] = {}
        naive2 = self.scores["naive2"].overall()
        for name, scores in self.scores.items():
            values = scores.overall()
            with np.errstate(divide="ignore", invalid="ignore"):
                values["owa"] = float(_owa(values, naive2))
            found[name] = {m: values.get(m, float("nan")) for m in MEASURES}
        return found

    def per_series(self) -> dict[str, dict[str, Floats]]:
        """By model, then by measure: of each series and target, [S]; NaN where it has no meaning.

        OWA is that of the series alone.
        """
        found: dict[str, dict[str, Floats]] = {}
        nothing = np.full(len(self.rows), np.nan)
        naive2 = self.scores["naive2"].per_series()
        for name, scores in self.scores.items():
            values = scores.per_series()
            with np.errstate(divide="ignore", invalid="ignore"):
                values["owa"] = _owa(values, naive2)
            found[name] = {m: values.get(m, nothing) for m in MEASURES}
        return found

    def table(self, id_column: str, *, per_series: bool = False) -> dict[str, list[Any] | Floats]:
        """The columns of a table: a row for each model, with ``model`` and each measure.

        Args:
            id_column: what the column of the series' names is called.
            per_series: a row for each series, target and model instead; ``target`` is left out
                where there is one.
        """
        if not per_series:
            overall = self.overall()
            return {
                "model": list(overall),
                **{m: np.array([each[m] for each in overall.values()]) for m in MEASURES},
            }
        each = self.per_series()
        names, targets = ([row[n] for row in self.rows for _ in each] for n in (0, 1))
        columns: dict[str, list[Any] | Floats] = {id_column: names}
        if len(set(targets)) > 1:
            columns["target"] = targets
        columns["model"] = list(each) * len(self.rows)
        for m in MEASURES:
            columns[m] = np.stack([values[m] for values in each.values()], axis=1).ravel()
        return columns

    @property
    def left_out(self) -> str:
        """A sentence about the series that are too short for the windows; empty where none is."""
        number, names = len(self.skipped), listed(self.skipped)
        return f"{number} series left out, too short for the windows: {names}" if number else ""

    def verdicts(self) -> list[Verdict]:
        """The model beside each baseline, by MASE, or by MAE where no series has one."""
        found = self.overall()
        measure = "mase" if np.isfinite(found[self.name]["mase"]) else "mae"
        ours = found[self.name][measure]
        return [
            Verdict(name, measure.upper(), ours, found[name][measure])
            for name in BASELINES
            if np.isfinite(found[name][measure])
        ]

    def sentences(self) -> list[str]:
        """Plain lines: than which baselines the model is worse; or that it is better than all."""
        verdicts = self.verdicts()
        worse = [each for each in verdicts if each.worse]
        if worse:
            return [
                f"{self.name} is {'worse than' if each.model > each.other else 'no better than'} "
                f"{each.baseline}: {each.measure} {each.model:.4g}, {each.baseline} "
                f"{each.other:.4g}"
                for each in worse
            ]
        if not verdicts:
            return ["nothing is known of what came: there is no measure"]
        best = min(verdicts, key=lambda each: each.other)
        gain = 100 * (1 - best.model / best.other) if best.other else 0.0
        said = f"{self.name} is better than each baseline: {best.measure} {best.model:.4g}"
        return [f"{said}, {gain:.3g} % below {best.baseline}, the best of them"]


def rolling_origins(panel: Panel, h: int, windows: int = 1, step: int | None = None) -> Integers:
    """Origins at the end of each series, the last one with `h` points after it, [N, K], rising.

    Args:
        panel: the series.
        h: points after each origin.
        windows: K.
        step: points from one origin to the next; None for `h`.

    Returns:
        How many points come before each origin; less than 1 where a series is too short.

    Raises:
        ConfigError: a number that is not whole and at least 1.
    """
    step = h if step is None else step
    for name, value in (("h", h), ("windows", windows), ("step", step)):
        if not is_integer(value) or value < 1:
            raise ConfigError(f"{name}={value!r}: must be a whole number from 1")
    back = h + step * np.arange(windows - 1, -1, -1, dtype=np.int64)
    return panel.lengths[:, None] - back


def origins(
    panel: Panel, h: int, windows: int = 1, step: int | None = None
) -> tuple[Panel, Integers, tuple[str | int, ...]]:
    """`rolling_origins` of the series that are long enough.

    Returns:
        these series, their origins [N, K], and the names of the others.

    Raises:
        ConfigError: as `rolling_origins`.
        DataError: no series is long enough.
    """
    ends = rolling_origins(panel, h, windows, step)
    enough = ends[:, 0] >= LEAST
    if not enough.any():
        needed = LEAST + int((panel.lengths - ends[:, 0]).max())
        raise DataError(
            f"{panel.longest}; {_windows(windows)} of {h} steps need at least {needed}: take fewer "
            "windows or steps"
        )
    skipped = tuple(panel.ids[i] for i in np.flatnonzero(~enough))
    return panel.select(np.flatnonzero(enough)), ends[enough], skipped


def evaluate(
    model: "LoadedForecaster",
    panel: Panel,
    *,
    h: int | None = None,
    windows: int = 1,
    step: int | None = None,
    point: str = "median",
    season: int | None = None,
) -> Evaluation:
    """Hold forecasts of the last part of each series against what came.

    Args:
        model: the forecaster.
        panel: the series, whole.
        h: steps of a forecast; None for the model's horizon.
        windows: forecasts of each series.
        step: steps from one to the next; None for `h`.
        point: ``"median"`` or ``"mean"``, what errors are of.
        season: steps of a season for MASE and baselines; None for the model's shortest.

    Raises:
        ConfigError: a number or a point that is not allowed.
        DataError: all series are too short.
    """
    steps = model.require_steps(h)
    some, ends, skipped = origins(panel, steps, windows, step)
    found = evaluate_at(model, some, ends, steps, point=point, season=season)
    return replace(found, skipped=skipped)


def evaluate_at(
    model: "LoadedForecaster",
    panel: Panel,
    ends: Integers,
    h: int | None = None,
    *,
    point: str = "median",
    season: int | None = None,
) -> Evaluation:
    """Hold forecasts after any places within series against what came; see `evaluate`.

    The scale of a series, for the model and for MASE, is that of its points before its first
    origin.

    Args:
        model: the forecaster.
        panel: the series, whole.
        ends: how many points come before each origin, [N, K], at least 1.
        h: steps of a forecast; None for the model's horizon.
        point: as in `evaluate`.
        season: the same.
    """
    steps = model.require_steps(h)
    m = model.description.season if season is None else season
    targets = panel.values.shape[1]
    until = ends.min(1)
    scale = np.stack([_scale(panel.head(until), t, m) for t in range(targets)], -1).ravel()
    alias = model.codec.alias
    totals = {name: Scores() for name in (alias, *BASELINES)}
    for k in range(0, ends.shape[1], _together(len(panel) * targets, steps)):
        part = ends[:, k : k + _together(len(panel) * targets, steps)]
        points, quantiles = forecasts_at(
            model, panel, part, steps, point, (*_INTERVALS, *_LEVELS), until
        )
        for n, places in enumerate(part.T):
            actual = _by_target(values_after(panel, places, steps))
            made = _by_target(quantiles[:, n])
            intervals, levels = made[..., : len(_INTERVALS)], made[..., len(_INTERVALS) :]
            own = score(
                actual,
                _by_target(points[:, n]),
                scale=scale,
                quantiles=intervals,
                levels=_INTERVALS,
            )
            totals[alias] += _with_crps(own, crps(actual, levels, _LEVELS))
            for name, forecast in baseline_forecasts(panel.head(places), steps, m).items():
                theirs = score(actual, _by_target(forecast), scale=scale)
                totals[name] += _with_crps(theirs, theirs.per_series()["mae"])
    rows = tuple((name, target) for name in panel.ids for target in panel.targets)
    return Evaluation(alias, rows, steps, ends.shape[1], m, totals)


def forecasts_at(
    model: "LoadedForecaster",
    panel: Panel,
    ends: Integers,
    h: int,
    point: str,
    levels: Sequence[float],
    until: Integers | None = None,
) -> tuple[Floats, Floats]:
    """Forecasts after places within series, each from what came before it.

    Args:
        model: the forecaster.
        panel: the series, whole.
        ends: how many points come before each place, [N, K].
        h: steps of a forecast.
        point: ``"median"`` or ``"mean"``.
        levels: probabilities, Q of them.
        until: as in `LoadedForecaster.forecast_at`.

    Returns:
        points [N, K, h, targets] and quantiles [N, K, h, targets, Q].
    """
    if h <= model.horizon:
        made = model.forecast_at(panel, ends, until=until)
        parts = (made.point(point)[:, :h], made.quantiles(levels)[:, :h])
        points, quantiles = (part.reshape(*ends.shape, *part.shape[1:]) for part in parts)
        return points, quantiles
    each: list[tuple[Floats, Floats]] = []
    for places in ends.T:
        ahead = _after(panel.future, panel, places, h) if panel.future.shape[1] else None
        made = model.forecast(panel.head(places), h, ahead)
        each.append((made.point(point), made.quantiles(levels)))
    points, quantiles = (np.stack(parts, 1) for parts in zip(*each, strict=True))
    return points, quantiles


def baseline_forecasts(panel: Panel, h: int, season: int) -> dict[str, Floats]:
    """What each of `BASELINES` says after the end of each series, [N, h, targets]."""
    made: dict[str, list[Floats]] = {name: [] for name in BASELINES}
    for target in range(panel.values.shape[1]):
        given = panel.values[:, target], panel.offsets, h
        made["seasonal naive"].append(baselines.seasonal_naive(*given, season))
        made["naive"].append(baselines.naive(*given))
        made["drift"].append(baselines.drift(*given))
        made["naive2"].append(baselines.naive2(*given, season))
    return {name: np.stack(parts, -1) for name, parts in made.items()}


def values_after(panel: Panel, ends: Integers, h: int) -> Floats:
    """The values after places [N] of each series, [N, h, targets]; NaN where there are none."""
    return _after(panel.values, panel, ends, h)


class Standardised(NamedTuple):
    """Errors in units of the standard deviation of each channel.

    Attributes:
        mse: mean over windows, steps and channels.
        mae: the same.
        windows: how many.
    """

    mse: float
    mae: float
    windows: int


def standardised(
    model: "LoadedForecaster",
    panel: Panel,
    fit_on: int,
    *,
    h: int | None = None,
    windows: int = 1,
    step: int = 1,
    point: str = "mean",
) -> dict[str, Standardised]:
    """Errors as papers on long horizons give them (ETTh1 and its like; Zhou et al. 2021).

    Each channel is standardised by its first points, and errors are averaged over all windows,
    steps and channels alike.

    Args:
        model: the forecaster.
        panel: the series, whole; each of their targets is a channel.
        fit_on: how many first points of each have mean 0 and standard deviation 1.
        h: steps of a forecast; None for the model's horizon, and no more than that.
        windows: forecasts of each series, the last of which ends with it.
        step: steps from one to the next.
        point: ``"mean"`` or ``"median"``.

    Returns:
        By the model's name, ``"seasonal naive"`` and ``"naive"``.

    Raises:
        ConfigError: a number or a point that is not allowed.
        DataError: a series is too short, or does not vary in its first points.
    """
    steps = _within_horizon(model, h)
    spread = _spread(panel, fit_on)
    ends = rolling_origins(panel, steps, windows, step)
    _require_room(panel, ends, windows, steps)
    season = model.description.season
    totals = {name: np.zeros(2) for name in (model.codec.alias, "seasonal naive", "naive")}
    count = 0
    at_once = _together(len(panel) * panel.values.shape[1], steps)
    for k in range(0, windows, at_once):
        part = ends[:, k : k + at_once]
        shape = (*part.shape, steps, -1)
        made = model.forecast_at(panel, part, until=ends[:, 0]).point(point)[:, :steps]
        actual = np.stack([values_after(panel, places, steps) for places in part.T], 1)
        known = np.isfinite(actual)
        count += int(known.sum())
        said = {
            model.codec.alias: made.reshape(shape),
            "seasonal naive": _cycle(panel, part, steps, season),
            "naive": _cycle(panel, part, steps, 1),
        }
        for name, forecast in said.items():
            off = np.where(known, (forecast - actual) / spread[:, None, None, :], 0.0)
            totals[name] += np.square(off).sum(), np.abs(off).sum()
    return {
        name: Standardised(float(square) / max(count, 1), float(size) / max(count, 1), windows)
        for name, (square, size) in totals.items()
    }


def _together(rows: int, h: int) -> int:
    """Windows of all series that are forecast at once."""
    return max(AT_ONCE // max(rows * h * len(_LEVELS), 1), 1)


def _by_target(values: Floats) -> Floats:
    """[N, h, targets, ...] as [N * targets, h, ...]."""
    moved = np.moveaxis(values, 2, 1)
    return moved.reshape(-1, *moved.shape[2:])


def _after(values: Floats, panel: Panel, ends: Integers, h: int) -> Floats:
    places = ends[:, None] + np.arange(h)
    there = (places >= 0) & (places < panel.lengths[:, None])
    index = panel.offsets[:-1, None] + np.where(there, places, 0)
    return np.where(there[..., None], values[index], np.nan)


def _scale(panel: Panel, target: int, season: int) -> Floats:
    return mase_scale(panel.values[:, target], panel.offsets, season)


def _with_crps(scores: Scores, each: Floats) -> Scores:
    """With the CRPS of each series [S] in place of what is there."""
    count = scores.counts["mae"]
    total = np.where(count > 0, np.nan_to_num(each) * count, 0.0)
    return Scores({**scores.sums, "crps": total}, {**scores.counts, "crps": count})


def _owa(ours: Mapping[str, Any], naive2: Mapping[str, Any]) -> Any:
    """`metrics.owa`, in NumPy's arithmetic: infinite where Naive2 is never off."""
    parts = [np.asarray(ours[name]) / naive2[name] for name in ("smape", "mase")]
    return np.mean(parts, axis=0)


def _within_horizon(model: "LoadedForecaster", h: int | None) -> int:
    steps = model.require_steps(h)
    if steps > model.horizon:
        raise ConfigError(
            f"h={steps}: the model forecasts {model.horizon} steps at once, and no more are "
            "standardised"
        )
    return steps


def _windows(count: int) -> str:
    return "1 window" if count == 1 else f"{count:,} windows"


def _require_room(panel: Panel, ends: Integers, windows: int, steps: int) -> None:
    short = np.flatnonzero(ends[:, 0] < LEAST)
    if len(short):
        i = int(short[0])
        raise DataError(
            f"series {panel.ids[i]!r} has {panel.lengths[i]} points; {_windows(windows)} of "
            f"{steps} steps need at least {LEAST + int(panel.lengths[i] - ends[i, 0])}"
        )


def _spread(panel: Panel, fit_on: int) -> Floats:
    """The standard deviation of the first points of each series, [N, targets]."""
    if not is_integer(fit_on) or fit_on < 2:
        raise ConfigError(f"fit_on={fit_on!r}: must be a whole number from 2")
    first = values_after(panel, np.zeros(len(panel), np.int64), fit_on)
    spread = np.nanstd(first, axis=1)
    flat = np.argwhere(~(spread > 0))
    if len(flat):
        i, target = flat[0]
        raise DataError(
            f"series {panel.ids[i]!r}: {panel.targets[target]!r} does not vary in its first "
            f"{fit_on} points"
        )
    return spread


def _cycle(panel: Panel, ends: Integers, h: int, season: int) -> Floats:
    """The last season before each place, over and over, [N, k, h, targets]."""
    places = ends[..., None] - season + np.arange(h) % season
    places = np.where(places < 0, ends[..., None] - 1, places)
    return panel.values[panel.offsets[:-1, None, None] + places]
