"""Forecasting in the loop: what is drawn and held out, learning, resuming, its bundle."""

import copy
import dataclasses
import io

import numpy as np
import pytest
import torch
from rich.console import Console

from loopwise.codec.series.baselines import seasonal_naive
from loopwise.errors import ConfigError, DataError, DataWarning
from loopwise.export.bundle import to_bundle
from loopwise.runs import Run
from loopwise.runtime.forecaster import LoadedForecaster
from loopwise.runtime.load import load
from loopwise.tasks.forecast.config import ForecastConfig
from loopwise.tasks.forecast.data import following
from loopwise.tasks.forecast.plan import held_out
from loopwise.tasks.forecast.task import ForecastTask
from loopwise.tasks.forecast.training import make_task
from loopwise.tasks.forecast.validation import _Read, held_out_places
from loopwise.train.launch import launch
from tasks.forecast.series import config, panel_of, waves

QUIET = Console(quiet=True)


def fit(settings, path, panel=None, **options):
    panel = panel_of(waves()) if panel is None else panel
    return launch(
        settings, lambda world: make_task(settings, world, panel), path, console=QUIET, **options
    )


def test_what_is_held_out_is_never_a_target():
    values = waves()
    marked = values.copy()
    marked[:, -12:] = 1e12
    task = ForecastTask(config(origins=3), panel_of(marked))
    for _ in range(20):
        batch = task.batches.next()
        targets = torch.cat(batch.targets)
        assert torch.isfinite(targets).any()
        assert targets[torch.isfinite(targets)].abs().max() < 1e3
        assert batch.windows[0].values.abs().max() < 1e3
    rows, ends = held_out_places(task)
    assert (ends >= 148).all()
    assert (ends + 6 <= 160).all()
    assert set(rows) == set(range(6))


@pytest.mark.parametrize(
    ("count", "settings", "holding"),
    [
        (100, {}, 100),
        (120, {}, 100),
        (440, {}, 110),
        (120, {"valid_series": 7}, 7),
        (120, {"valid_series": 500}, 120),
        (440, {"valid": 0}, 110),
    ],
)
def test_of_many_series_some_hold_points_out(count, settings, holding):
    settings = config(**settings)
    values = waves(count)
    held = held_out(settings, panel_of(values))
    assert np.count_nonzero(held) == holding
    assert set(held) - {0} == {12}
    # whatever their order
    order = np.random.default_rng(0).permutation(count)
    mixed = panel_of(values[order], ids=order.tolist())
    np.testing.assert_array_equal(held_out(settings, mixed), held[order])


def test_series_that_are_too_short_do_not_stand_for_others():
    settings, values = config(valid_series=2), waves(6)
    first = held_out(settings, panel_of(values)) > 0
    cut = panel_of(
        [each[: 13 if short else 160] for each, short in zip(values, first, strict=True)]
    )
    second = held_out(settings, cut) > 0
    assert first.sum() == second.sum() == 2
    assert not (first & second).any()


def test_series_that_hold_nothing_out_are_learned_from_to_their_ends():
    settings, values = config(valid_series=2), waves(6)
    held = held_out(settings, panel_of(values)) > 0
    task = ForecastTask(settings, panel_of(values))
    assert task.judge == "24 held-out points of 2 of 6 series, horizon 6"
    assert set(held_out_places(task)[0]) == set(np.flatnonzero(held))
    rows, ends = task.batches.places(np.random.default_rng(0), 5000, 48)
    last = np.array([ends[rows == row].max() for row in range(6)]) + 6
    np.testing.assert_array_equal(last, np.where(held, 148, 160))


def test_targets_are_the_values_that_follow_their_origins():
    values = np.arange(1000.0, 1160.0)[None].repeat(2, 0)
    task = ForecastTask(config(log=False, targets=2, origins=2), panel_of(values))
    batch = task.batches.next()
    d = task.description
    assert batch.targets[0].shape == (16, 2, 2, 1)
    spread = values[0, :148].std()
    last = batch.windows[0].values[:, -1, 0].numpy()
    for k, back in enumerate((d.patch, 0)):
        steps = batch.targets[0][:, k, :, 0].numpy() - last[:, None]
        wanted = (1 + batch.chosen - back) / spread
        for row in steps:
            known = np.isfinite(row)
            np.testing.assert_allclose(row[known], wanted[known], atol=1e-4)


def test_following_ends_with_the_series():
    task = ForecastTask(config(), panel_of([np.arange(40.0) + 1, np.arange(30.0) + 1]))
    found = following(task.prepared, np.array([0, 1]), np.array([[38], [28]]), 4)
    np.testing.assert_array_equal(
        found[:, 0, :, 0], [[39, 40, np.nan, np.nan], [29, 30, np.nan, np.nan]]
    )


def test_a_batch_is_a_matter_of_seed_process_and_number():
    panel = panel_of(waves())
    one, two = (ForecastTask(config(), panel).batches for _ in range(2))
    for _ in range(3):
        one.next()
    two.load_state_dict(one.state_dict())
    for a, b in zip(one.next().windows[0], two.next().windows[0], strict=True):
        assert torch.equal(a, b)
    other = ForecastTask(config(seed=2), panel).batches
    with pytest.raises(DataError, match="seed"):
        other.load_state_dict(one.state_dict())


def test_training_learns_more_than_the_last_season(tmp_path):
    """Of seasonal series with a cycle that is twice as long as the one it is told."""
    t = np.arange(240)
    rng = np.random.default_rng(0)
    values = np.stack(
        [
            5 + np.sin(2 * np.pi * t / 8 + a) + np.sin(2 * np.pi * t / 16 + b)
            for a, b in rng.uniform(0, 6, (8, 2))
        ]
    ) + 0.05 * rng.standard_normal((8, 240))
    panel = panel_of(values[:, :-6])
    fit(config(season_length=(8,), max_steps=80, window=32), tmp_path / "run", panel)
    found = load(tmp_path / "run")
    actual = values[:, -6:]
    ours = np.abs(found.forecast(panel).point()[..., 0] - actual).mean()
    naive = np.abs(seasonal_naive(panel.values[:, 0], panel.offsets, 6, 8) - actual).mean()
    assert ours < 0.3 * naive


def test_a_resumed_training_repeats_an_uninterrupted_one(tmp_path):
    settings = config(schedule="constant", warmup=0.0, validate_every=2)
    fit(settings, tmp_path / "a")
    part = config(schedule="constant", warmup=0.0, validate_every=2, max_steps=4)
    fit(part, tmp_path / "b")
    fit(settings, tmp_path / "b", resume=True)
    a, b = (load(tmp_path / name).bundle.tensors for name in "ab")
    for name, tensor in a.items():
        np.testing.assert_array_equal(tensor, b[name], err_msg=name)


@pytest.mark.parametrize("mode", ["norm", "value", "adaptive"])
def test_members_train_as_each_would_alone_and_are_averaged(mode, tmp_path):
    """Clipped all the time, on series of which some windows have no whole horizon of targets."""
    settings = {
        "dropout": 0.0,
        "linear": False,
        "log": False,
        "clip": 0.02,
        "clip_mode": mode,
        "max_steps": 6,
    }
    panel = panel_of([*waves(3), *waves(3, 20)])
    many = config(members=3, **settings)
    first = ForecastTask(many, panel)
    begun = [copy.deepcopy(member.state_dict()) for member in first.model.members]
    launch(many, lambda _: first, tmp_path / "run", console=QUIET)
    alone = []
    for n, weights in enumerate(begun):
        one = config(members=1, **settings)
        task = ForecastTask(one, panel)
        task.model.members[0].load_state_dict(weights)
        task.batches._draw = lambda _, chosen, n=n, draw=task.batches._draw: draw(n, chosen)
        launch(one, lambda _, task=task: task, tmp_path / f"{n}", console=QUIET)
        together = first.model.members[n].state_dict()
        for name, tensor in task.model.members[0].state_dict().items():
            torch.testing.assert_close(together[name], tensor, rtol=1e-4, atol=1e-6)
            if name == "head.weight":
                assert not torch.allclose(tensor, weights[name], rtol=1e-2)
        alone.append(LoadedForecaster(to_bundle("forecaster", task.model, task.codec, {})))
    merged = LoadedForecaster(to_bundle("forecaster", first.model, first.codec, {}))
    levels = [0.1, 0.5, 0.9]
    means = np.mean([each.forecast(panel).quantiles(levels) for each in alone], axis=0)
    spread = np.ptp([each.forecast(panel).point() for each in alone], axis=0)
    np.testing.assert_allclose(merged.forecast(panel).quantiles(levels), means, rtol=1e-4)
    assert (spread > 0).all()


def test_the_mean_of_members_is_reported_and_their_sum_is_minimised():
    task = ForecastTask(config(members=3), panel_of(waves()))
    task.model.eval()
    batch = task.batches.next()
    told = task.loss(task.model, batch, None)
    raws = task.model(batch.windows, 1, batch.chosen)
    each = zip(raws, batch.targets, batch.scale, strict=True)
    alone = torch.stack([task.losses(*one).mean() for one in each])
    torch.testing.assert_close(told.loss, alone.mean())
    torch.testing.assert_close(told.loss + told.penalty, alone.sum())


def test_what_the_last_validation_saw_calibrates(tmp_path):
    fit(config(), tmp_path / "run")
    found = load(tmp_path / "run")
    rows, _ = held_out_places(ForecastTask(config(), panel_of(waves())))
    assert found.bundle.tensors["calibration"].shape == (len(rows), 6)
    last = [r for r in Run(tmp_path / "run").records() if r["kind"] == "validation"][-1]
    assert set(last) >= {"loss", "mase", "smape", "coverage_80", "coverage_95"}


def test_speed_is_told_in_targets(tmp_path):
    out = io.StringIO()
    panel, settings = panel_of(waves()), config(log_every=5)
    launch(settings, lambda world: make_task(settings, world, panel), tmp_path / "run",
           console=Console(file=out, width=200))  # fmt: skip
    training = [r for r in Run(tmp_path / "run").records() if r["kind"] == "train"]
    assert len(training) == 2
    for record in training:
        assert record["targets_per_second"] > 0
        assert "tokens_per_second" not in record
    assert "targets_per_second" in out.getvalue()
    assert "tokens" not in out.getvalue()


@pytest.mark.parametrize(
    "settings",
    [
        {"cell": "gru"},
        {"cell": "rnn", "dilations": (2,)},
        {"output": "normal"},
        {"output": "student-t"},
        {"output": "mixture"},
        {"output": "negative-binomial"},
        {"output": "poisson"},
        {"output": "point", "loss": "mse"},
        {"output": "point", "loss": "mae", "weighting": "mase"},
        {"scale": "seasonal"},
        {"scale": "smoothing"},
        {"origins": 4},
        {"decoder": "linear"},
        {"calendar": True},
    ],
    ids=str,
)
def test_every_option_trains_and_forecasts(settings, tmp_path):
    values = (
        np.round(waves()) if settings.get("output") in ("negative-binomial", "poisson") else waves()
    )
    panel = panel_of(values)
    result = fit(config(**settings), tmp_path / "run", panel)
    assert np.isfinite(result.best)
    found = load(tmp_path / "run")
    forecasts = found.forecast(panel)
    quantiles = forecasts.quantiles([0.1, 0.5, 0.9])
    assert np.isfinite(quantiles).all()
    assert (np.diff(quantiles, axis=-1) >= 0).all()
    assert np.isfinite(forecasts.point("mean")).all()


def test_channels_that_are_read_together(tmp_path):
    """Bernoulli notes of two channels, the second one what the first was a step before."""
    rng = np.random.default_rng(0)
    first = rng.integers(0, 2, (12, 61))
    rolls = [np.stack([row[1:], row[:-1]], 1).astype(float) for row in first]
    settings = config(
        horizon=1, channels="mixed", output="bernoulli", decoder="linear", scale="none", patch=1,
        window=16, origins=16, warmup_points=1, max_steps=150, lr=0.02, season_length=(), valid=10,
    )  # fmt: skip
    panel = panel_of(rolls)
    fit(settings, tmp_path / "run", panel)
    found = load(tmp_path / "run")
    ends = np.arange(20, 59)[None].repeat(12, 0)
    forecasts = found.forecast_at(panel, ends)
    actual = np.stack([roll[e] for roll, e in zip(rolls, ends, strict=True)]).reshape(-1, 1, 2)
    nll = forecasts.nll(actual).mean((0, 1))
    assert nll[0] == pytest.approx(np.log(2), abs=0.1)
    assert nll[1] < 0.1


def test_several_targets_are_series_of_their_own(tmp_path):
    values = np.stack([waves(4), 100 + waves(4, seed=1)], -1)
    panel = panel_of(values)
    fit(config(), tmp_path / "run", panel)
    found = load(tmp_path / "run")
    both = found.forecast(panel).point()
    assert both.shape == (4, 6, 2)
    assert found.description.channels == 1
    assert (both[:, :, 1] > 50).all()


def test_configurations_that_do_not_fit():
    for settings, message in (
        ({"dilations": (1, 2)}, "dilations"),
        ({"window": 10, "patch": 4}, "multiple"),
        ({"levels": (0.5, 0.1)}, "rising"),
        ({"season_length": (0,)}, "season_length"),
        ({"output": "quantile"}, "quantiles"),
        ({"loss": "mse"}, "output"),
    ):
        with pytest.raises(ConfigError, match=message):
            ForecastConfig.from_settings("test", **settings)


def test_series_that_are_too_short():
    with pytest.raises(DataError, match="at least 2"):
        ForecastTask(config(), panel_of([np.array([1.0]), np.array([2.0])]))
    task = ForecastTask(config(), panel_of([np.arange(5.0), np.arange(80.0)]))
    assert np.isfinite(float(task.loss(task.model, task.batches.next(), None).loss.detach()))


def mixed_panel():
    """Two usual series, one shorter than a season, one with every other season unknown, one whose
    held-out end is, and a point."""
    whole = waves(5)
    holed = np.where(np.arange(160) // 8 % 2, np.nan, whole[3])
    ended = np.where(np.arange(160) >= 148, np.nan, whole[4])
    return panel_of([whole[0], whole[1], whole[2][:7], holed, ended, np.ones(1)])


def test_series_without_a_seasonal_error_have_the_usual_weight():
    task = ForecastTask(config(weighting="mase"), mixed_panel())
    weights, errors = task.batches._weight, task.naive_errors(scaled=True)
    np.testing.assert_array_equal(np.isnan(errors), [False, False, True, True, False, True])
    known = weights[[0, 1, 4]]
    assert len(set(known)) == 3
    np.testing.assert_allclose(weights[[2, 3, 5]], np.median(known))
    assert weights.mean() == pytest.approx(1)
    # where there is none at all, all count alike
    short = panel_of([each[:7] for each in waves(3)])
    task = ForecastTask(config(weighting="mase"), short)
    np.testing.assert_array_equal(task.batches._weight, 1)


@pytest.mark.parametrize("weighting", ["none", "mase"])
def test_series_of_any_length_are_learned_from_together(weighting, tmp_path):
    with pytest.warns(DataWarning, match="2 of 6 series have fewer than 14 points") as caught:
        result = fit(config(weighting=weighting), tmp_path / "run", mixed_panel())
    assert len(caught) == 1
    assert np.isfinite(result.best)
    assert all(np.isfinite(record["loss"]) for record in Run(tmp_path / "run").records())
    assert np.isfinite(load(tmp_path / "run").forecast(mixed_panel()).point()).all()


def test_channels_of_which_one_is_unknown_share_a_seasonal_error():
    values = np.stack([waves(2), waves(2, seed=1)], -1)
    expected = np.abs(values[:, 8:148, 0] - values[:, :140, 0]).mean(1)
    values[..., 1] = np.where(np.arange(160) // 8 % 2, np.nan, values[..., 1])
    task = ForecastTask(config(channels="mixed"), panel_of(values))
    np.testing.assert_allclose(task.naive_errors(), expected)


def test_a_series_that_weighs_more_is_fitted_better(tmp_path):
    """After 0 comes 1 in one series and -1 in the other, and a window is a single point."""
    panel = panel_of([np.arange(80.0) % 2, -np.arange(80.0) % -2])
    settings = config(
        horizon=1, window=1, patch=1, scale="none", decoder="linear", output="point", loss="mse",
        season_length=(), dropout=0.0, max_steps=100, lr=0.02, schedule="constant", valid=4,
        validate_every=100,  # what is best on both alike is no matter
        log=False,  # what follows a series of 0 may be below
    )  # fmt: skip
    zero = panel_of([np.zeros(1)])
    for weights, expected in (([99.0, 1.0], 0.98), ([1.0, 99.0], -0.98), ([1.0, 1.0], 0.0)):
        weighted = dataclasses.replace(panel, weights=np.array(weights))
        fit(settings, tmp_path / "run", weighted, overwrite=True)
        found = float(load(tmp_path / "run").forecast(zero).point().item())
        assert found == pytest.approx(expected, abs=0.25)


def test_the_linear_map_says_as_much_as_serves_best(tmp_path):
    """All of it where training has made the network bad; bundle and checkpoint keep how much."""
    wild = config(lr=3.0, schedule="constant", warmup=0.0, clip=0.0)
    fit(wild, tmp_path / "run")
    tensors = load(tmp_path / "run").bundle.tensors
    assert tensors["members.0.linear.share"].item() == 1.0
    task = ForecastTask(config(), panel_of(waves()))
    task.model.eval()
    shares = np.linspace(0, 1, 9)
    found = []
    for share in shares:
        task.model.set_share(share)
        rows, ends = held_out_places(task)
        read = _Read.of(task, rows, ends)
        found.append(float(read.losses(task, read.raws(task)).nanmean()))
    metrics = task.validate(task.model)
    assert metrics["loss"] == pytest.approx(min(found))
    chosen = task.model.members[0].get_buffer("linear.share").item()
    assert chosen == shares[int(np.argmin(found))]
