"""`loopwise.Forecaster`: fit, predict, validate, simulate, plot, save, from Python."""

import dataclasses
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from loopwise.codec.numbers import is_integer
from loopwise.codec.series.mending import filled
from loopwise.codec.series.panel import Panel
from loopwise.errors import (
    ConfigError,
    DataError,
    DataWarning,
    RunError,
    missing_extra,
)
from loopwise.runtime.bundle import Bundle, read_bundle, write_bundle
from loopwise.runtime.forecast_evaluation import evaluate, rolling_origins
from loopwise.runtime.forecast_paths import sample_paths
from loopwise.runtime.forecast_stream import ForecastStream, ids_of, panel_of
from loopwise.runtime.forecast_windows import places_from, windows_table
from loopwise.runtime.forecaster import LoadedForecaster, Table
from loopwise.runtime.forecasts import asked_for, percentages
from loopwise.tasks.fitting import require_model, run_directory
from loopwise.tasks.forecast.backtest import (
    Known,
    ahead_of,
    long_enough,
    measures_table,
    read_known,
)
from loopwise.tasks.forecast.config import ForecastConfig
from loopwise.tasks.forecast.plan import held_out
from loopwise.tasks.forecast.settings import changed, config_in, config_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from loopwise.train.loop import FitResult

Floats = NDArray[np.float64]


class Forecaster:
    """Forecasts of many series by one recurrent network, with intervals.

    Parameters are kept as scikit-learn keeps them: `get_params`, `set_params` and
    ``sklearn.base.clone`` work.

    Args:
        horizon: steps that are forecast at once; None for 12.
        season_length: steps of a season, one number or several; None for what is usual at the
            frequency of the series.
        config: all options instead; then give nothing else.
        settings: single options, such as ``id="shop"``, ``time="date"``, ``target="sold"``,
            ``future=["price"]``, ``hidden_size=64``, ``epochs=20``; ``loopwise config forecast``
            prints them all.

    Attributes:
        config: the options.
        result: how the training ended, once fitted.

    Raises:
        ConfigError: an option is not allowed.
    """

    def __init__(
        self,
        horizon: int | None = None,
        season_length: int | Sequence[int] | None = None,
        config: ForecastConfig | None = None,
        **settings: Any,
    ):
        self._params: dict[str, Any] = {
            "horizon": horizon, "season_length": season_length, "config": config, **settings,
        }  # fmt: skip
        self.config = config_of(self._params)
        self.result: FitResult | None = None
        self._fitted: LoadedForecaster | None = None
        self._known: Known | None = None

    def fit(
        self,
        df: Any,
        *,
        out: str | os.PathLike[str] | None = None,
        resume: bool = False,
        overwrite: bool = False,
        warm_start: bool = False,
        verbose: bool = False,
    ) -> "Forecaster":
        """Train on a table and keep the model that was best on the held-out ends of its series.

        Args:
            df: the series, a data frame of pandas, polars or another kind that narwhals takes.
                `predict` without a table forecasts what follows them.
            out: the run's directory, a new one unless `resume` or `overwrite` is true; None for
                none to stay.
            resume: continue the run at `out` from its latest checkpoint, with the same table.
            overwrite: replace the run at `out`.
            warm_start: begin with the weights of the model that is fitted already.
            verbose: show progress.

        Returns:
            itself.

        Raises:
            ConfigError: arguments that exclude each other; a run that cannot be continued with
                these options; or to `warm_start` a model of other sizes or covariates.
            DataError: a table that cannot be read, with too little in it, or to `resume` another
                one than before.
            RunError: `out` is occupied, to `resume` no run, or to `warm_start` no model.
            TrainingError: no validation gave a finite loss, or steps in a row were not finite.
            MissingExtraError: training is not installed.

        Warns:
            DataWarning: the table was mended.
        """
        if resume and warm_start:
            raise ConfigError("resume and warm_start exclude each other: give one of them")
        with run_directory(out, resume=resume, overwrite=overwrite) as run:
            init = self.fitted.bundle if warm_start else None
            known = read_known(df, self.config)
            fitted, result = self._train(
                known.panel, run, init, verbose=verbose, resume=resume, overwrite=overwrite
            )
        self._fitted, self.result, self._known = fitted, result, known
        return self

    def predict(
        self,
        h: int | None = None,
        df: Any = None,
        future: Any = None,
        *,
        level: Sequence[float] | float = (),
        quantiles: Sequence[float] | float = (),
        point: str = "median",
    ) -> Any:
        """Forecast what follows each series.

        Args:
            h: steps; None for the horizon. Beyond it forecasts are made from forecasts.
            df: the series up to now, which need not have been trained on; None for those that it
                was fitted to.
            future: a table of the covariates known ahead, over the steps forecast.
            level: intervals that hold so many percent, one or several such as ``[80, 95]``.
            quantiles: probabilities, one or several such as ``[0.1, 0.9]``.
            point: ``"median"`` or ``"mean"``.

        Returns:
            A table as `loopwise.runtime.forecaster.LoadedForecaster.predict` has it.

        Raises:
            RunError: it is not fitted, or has no series of its own and none are given.
            ConfigError: steps, levels, quantiles or a point that are not allowed.
            DataError: a table that the model cannot read, or covariates that are not known.
        """
        return self.fitted.predict_table(
            self._table(df), h, future=future, level=level, quantiles=quantiles, point=point
        )

    def simulate(
        self,
        n_paths: int = 100,
        h: int | None = None,
        df: Any = None,
        future: Any = None,
        *,
        seed: int = 0,
    ) -> Any:
        """Sample paths of what may follow each series; see `LoadedForecaster.simulate`.

        Args:
            n_paths: paths of each series.
            h: as in `predict`.
            df: the same.
            future: the same.
            seed: of the random numbers.
        """
        return self.fitted.simulate_table(self._table(df), n_paths, h, future=future, seed=seed)

    def recalibrate(self, df: Any, points: int | None = None) -> "Forecaster":
        """Base intervals on recent errors; see `LoadedForecaster.recalibrated`.

        Args:
            df: series that have gone on since the training. They are what `predict` without a
                table forecasts from then on.
            points: the last so many of each series, at least the horizon; None for five horizons.

        Returns:
            itself.

        Raises:
            RunError: it is not fitted.
            ConfigError: points that are not allowed.
            DataError: a table that the model cannot read, or no series is long enough.
        """
        fitted, known = self.fitted, self._series(df)
        self._fitted = fitted.recalibrated(known.panel, points)
        self._known = known
        return self

    def cross_validate(
        self,
        windows: int = 3,
        step: int | None = None,
        h: int | None = None,
        *,
        refit: bool | Literal["warm"] = False,
        df: Any = None,
        level: Sequence[float] | float = (),
        quantiles: Sequence[float] | float = (),
        point: str = "median",
        verbose: bool = False,
    ) -> Any:
        """Forecast the last parts of each series by models that have not seen them.

        Neither training nor a forecast sees anything after a cutoff. What is fitted stays as it is.

        Args:
            windows: cutoffs of each series; the last one has `h` points after it.
            step: points from one cutoff to the next; None for `h`.
            h: steps of a forecast; None for the horizon.
            refit: False, one training, on what lies before the first cutoff; True, one before each
                cutoff; ``"warm"``, the same, each beginning with the weights of the one before.
            df: the series; None for those that it was fitted to.
            level: intervals, as in `predict`.
            quantiles: the same.
            point: the same.
            verbose: show progress.

        Returns:
            A table, series by series and cutoff by cutoff: ids, stamps, ``cutoff`` (the last stamp
            before the forecast), the targets as they came, and the columns of `predict`.

        Raises:
            RunError: no series are given, and it was fitted to none.
            ConfigError: a number, `refit`, levels, quantiles or a point that are not allowed.
            DataError: all series are too short; or as `fit` and `predict`.
            TrainingError: as `fit`.

        Warns:
            DataWarning: series too short for the first cutoff are left out.
        """
        if refit not in (False, True, "warm"):
            raise ConfigError(f"refit={refit!r}: must be False, True or 'warm'")
        known = self._series(df)
        steps = self.config.data.horizon if h is None else h
        ends = rolling_origins(known.raw, steps, windows, step)
        chosen = long_enough(known.raw, ends)
        panel, ends = known.raw.select(chosen), ends[chosen]
        model: LoadedForecaster | None = None
        parts: list[dict[str, Floats]] = []
        for places in ends.T:
            history = self._mended(panel.head(places))
            if model is None or refit:
                init = model.bundle if model is not None and refit == "warm" else None
                with run_directory(None) as run:
                    model, _ = self._train(history, run, init, verbose=verbose)
            forecasts = model.forecast(history, steps, ahead_of(panel, places, steps))
            columns = forecasts.columns(model.codec, level=level, quantiles=quantiles, point=point)
            parts.append(columns)
        joined = {
            name: np.stack([part[name] for part in parts], axis=1).reshape(ends.size, -1)
            for name in parts[0]
        }
        series = np.repeat(np.arange(len(panel)), ends.shape[1])
        return windows_table(known.kind, panel, series, ends.ravel(), joined)

    def historical_forecasts(
        self,
        start: Any = None,
        stride: int = 1,
        h: int = 1,
        *,
        df: Any = None,
        level: Sequence[float] | float = (),
        quantiles: Sequence[float] | float = (),
        point: str = "median",
    ) -> Any:
        """What the fitted model would have said along the series' history, without training anew.

        Of series that it was trained on this is in-sample: each forecast reads only what came
        before it, but the weights have seen what came after. `cross_validate` is the fair test.

        Args:
            start: where the first forecast begins: after so many points (from 2), after such a
                share of a series (above 0 and below 1), or at a stamp; None for the points that a
                forecast reads, or half of a shorter series.
            stride: points from one forecast to the next.
            h: steps of each, at most the horizon. All of them lie within the history.
            df: the series; None for those that it was fitted to.
            level: intervals, as in `predict`.
            quantiles: the same.
            point: the same.

        Returns:
            A table as `cross_validate` has it.

        Raises:
            RunError: as `predict`.
            ConfigError: a value that is not allowed.
            DataError: no series is long enough, or as `predict`.
        """
        model = self.fitted
        if not 1 <= model.require_steps(h) <= model.horizon:
            raise ConfigError(f"h={h}: must be at most the horizon, {model.horizon}")
        if not is_integer(stride) or stride < 1:
            raise ConfigError(f"stride={stride!r}: must be a whole number from 1")
        table = self._table(df)
        window = model.description.window
        series, ends = places_from(table.panel, start, stride, h, window)
        forecasts = model.forecast_within(table.panel, series, ends)
        columns = forecasts.columns(model.codec, level=level, quantiles=quantiles, point=point)
        first = {name: values[:, :h] for name, values in columns.items()}
        return windows_table(table.kind, table.panel, series, ends, first)

    def evaluate(
        self,
        df: Any = None,
        *,
        h: int | None = None,
        windows: int = 1,
        step: int | None = None,
        point: str = "median",
        per_series: bool = False,
    ) -> Any:
        """Hold the fitted model's forecasts of the last parts of series against what came.

        Without a table these are the parts that training held out, of the series that did so:
        weights were not fitted to them, but the best weights were chosen and intervals calibrated
        by them. For a test that owes them nothing give new data, or see `cross_validate`.

        Args:
            df: the series, with what came; None for those of which it held ends out.
            h: steps of a forecast; None for the horizon.
            windows: forecasts of each series.
            step: points from one to the next; None for `h`.
            point: ``"median"`` or ``"mean"``, what errors are of.
            per_series: measures of each series and target instead of their means.

        Returns:
            A table: a row for the model and each baseline (seasonal naive, naive, drift, Naive2),
            with `per_series` of each series and target, named in ``model``; and a column for each
            measure.

        Raises:
            RunError, ConfigError, DataError: as `predict`; or all series are too short.

        Warns:
            DataWarning: series are left out, too short for the windows.
        """
        known = self._series(df)
        panel = known.raw
        if df is None:
            panel = panel.select(np.flatnonzero(held_out(self.config, known.panel)))
        found = evaluate(self.fitted, panel, h=h, windows=windows, step=step, point=point)
        if found.left_out:
            warnings.warn(found.left_out, DataWarning, stacklevel=2)
        return measures_table(known.kind, found, per_series=per_series)

    def plot(
        self,
        h: int | None = None,
        df: Any = None,
        future: Any = None,
        *,
        level: Sequence[float] | float = (80, 95),
        series: str | int | Sequence[str | int] = (),
        history: int | None = None,
        n_paths: int = 0,
    ) -> "Figure":
        """Draw the series and what is forecast after them.

        Args:
            h: as in `predict`.
            df: the same.
            future: the same.
            level: the same.
            series: which to draw, by id, one or several; none for the first twelve.
            history: points before the forecast; None for four horizons, at least 40.
            n_paths: sample paths besides.

        Returns:
            A figure of matplotlib; ``figure.savefig(path)`` writes it.

        Raises:
            RunError, ConfigError, DataError: as `predict`; or there is no such series.
            MissingExtraError: matplotlib is not installed.
        """
        try:
            from loopwise.diagnose.forecast_plot import SHOWN, figure, pictures
        except ModuleNotFoundError as error:
            raise missing_extra(error, "Forecaster.plot") from error
        model, panel = self.fitted, self._table(df).panel
        if names := ids_of(series):
            panel = panel.select([_place_of(panel, name) for name in names])
        shown = panel.select(np.arange(min(len(panel), SHOWN)))
        ahead = model.ahead(shown, h, future)
        forecasts = model.forecast(shown, h, ahead)
        levels = percentages(level)
        ends = [p for _, p in asked_for(levels, ())]
        paths = None
        if n_paths:
            paths = sample_paths(model, shown, n_paths, forecasts.steps, ahead, 0)
        drawn = pictures(
            shown,
            shown.lengths[:, None],
            forecasts.point()[:, None],
            levels,
            forecasts.quantiles(ends)[:, None] if ends else None,
            history=history,
            paths=paths,
        )
        return figure(drawn, more=len(panel) - len(shown))

    def stream(
        self,
        series: Any = None,
        *,
        h: int | None = None,
        first: Any = None,
        adaptive: float | None = None,
        rate: float = 0.005,
    ) -> ForecastStream:
        """Series that grow a point at a time, with a forecast and an anomaly score after each.

        Args:
            series: the id of a series or several, as ``"a"`` or ``["a", "b"]``: those that it was
                fitted to go on where they end, others begin without points. Or a table of the
                series so far; None for all that it was fitted to.
            h: as in `LoadedForecaster.stream`.
            first: the same, of the series without points.
            adaptive: the same.
            rate: the same.

        Raises:
            RunError: as `predict`.
            ConfigError: as `LoadedForecaster.stream`.
            DataError: the same.
        """
        model, ids = self.fitted, ids_of(series)
        if ids is None:
            panel = self._table(series).panel
        else:
            panel = panel_of(model.codec, ids, first, self._known and self._known.panel)
        return ForecastStream(model, panel, h, adaptive=adaptive, rate=rate)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the bundle, to be read by `Forecaster.load` or `loopwise.load`.

        It has the model and the options, and none of the series.

        Raises:
            RunError: it is not fitted.
            BundleError: the file cannot be written.
        """
        bundle = self.fitted.bundle
        options = self.config.model_dump(mode="json", exclude={"data": {"train"}})
        write_bundle(path, dataclasses.replace(bundle, info={**bundle.info, "config": options}))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """A fitted forecaster, without the series that it was fitted to.

        Args:
            path: a bundle, or the directory of a run.

        Raises:
            BundleError: it cannot be read, or is no forecaster's.
            ConfigError: the options in it cannot be read.
        """
        bundle = read_bundle(path)
        if bundle.task != "forecaster":
            raise ConfigError(f"{path}: the bundle is a {bundle.task}, not a forecaster")
        model = LoadedForecaster(bundle)
        found = cls(**changed(config_in(Path(path), model)))
        found._fitted = model
        return found

    @property
    def fitted(self) -> LoadedForecaster:
        """The trained model, as `loopwise.load` would give it.

        Raises:
            RunError: `fit` has not been called.
        """
        if self._fitted is None:
            raise RunError("this Forecaster is not trained yet: call fit(df) first")
        return self._fitted

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters that were given, as scikit-learn asks for them."""
        return dict(self._params)

    def set_params(self, **params: Any) -> Self:
        """Change parameters; the next `fit` goes by them.

        Raises:
            ConfigError: an option is not allowed; all then stay as they were.
        """
        together = {**self._params, **params}
        self.config = config_of(together)
        self._params = together
        return self

    def __sklearn_is_fitted__(self) -> bool:
        """Whether `fit` has been called."""
        return self._fitted is not None

    def __repr__(self) -> str:
        given = {name: value for name, value in self._params.items() if value is not None}
        return f"Forecaster({', '.join(f'{name}={value!r}' for name, value in given.items())})"

    def _series(self, df: Any) -> Known:
        """The series of a table, or those that it was fitted to."""
        if df is not None:
            return read_known(df, self.config)
        if self._known is None:
            raise RunError("this Forecaster has no series of its own: give them as df=")
        return self._known

    def _table(self, df: Any) -> Table:
        """The series to forecast, as the fitted model reads them."""
        model, data = self.fitted, self.config.data
        if df is not None:
            return model.read(df, layout=data.layout, missing=data.missing)
        known = self._series(None)
        return Table(known.panel, known.kind, data.layout)

    def _mended(self, panel: Panel) -> Panel:
        """What would have been read of series that end here."""
        return filled(panel) if self.config.data.missing == "interpolate" else panel

    def _train(
        self,
        panel: Panel,
        run: Path,
        init: Bundle | None,
        *,
        verbose: bool,
        resume: bool = False,
        overwrite: bool = False,
    ) -> "tuple[LoadedForecaster, FitResult]":
        try:
            from loopwise.tasks.forecast.training import train
        except ModuleNotFoundError as error:
            raise missing_extra(error, "Forecaster.fit") from error
        result = train(
            self.config,
            run,
            panel,
            init=init,
            resume=resume,
            overwrite=overwrite,
            console=Console(quiet=not verbose),
        )
        require_model(result)
        return LoadedForecaster(read_bundle(run)), result


def _place_of(panel: Panel, name: str | int) -> int:
    known = [str(each) for each in panel.ids]
    if str(name) not in known:
        raise DataError(f"there is no series {name!r} among these {len(panel)}")
    return known.index(str(name))
