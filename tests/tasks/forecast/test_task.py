"""Forecasting in the loop: what is drawn and held out, learning, resuming, its bundle."""

import numpy as np
import pytest
import torch
from rich.console import Console

from loopwise.codec.series.baselines import seasonal_naive
from loopwise.errors import ConfigError, DataError
from loopwise.runs import Run
from loopwise.runtime.load import load
from loopwise.tasks.forecast.config import ForecastConfig
from loopwise.tasks.forecast.data import following
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


def test_members_train_as_each_would_alone_and_are_averaged(tmp_path):
    fit(config(members=3), tmp_path / "run")
    found = load(tmp_path / "run")
    panel = panel_of(waves())
    together = found.forecast(panel).point()
    assert found.description.members == 3
    weights = [found.bundle.tensors[f"members.{n}.head.weight"] for n in range(3)]
    assert not np.allclose(weights[0], weights[1])
    assert np.isfinite(together).all()


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


@pytest.mark.parametrize("weighting", ["none", "mase"])
def test_a_series_without_a_known_error_does_no_harm(weighting, tmp_path):
    """Of a point, of one that is shorter than a season, and of one that is unknown at its end."""
    unknown = waves()[0]
    unknown[-12:] = np.nan
    panel = panel_of([*waves(), np.ones(1), np.ones(7), unknown])
    result = fit(config(weighting=weighting, max_steps=2), tmp_path / "run", panel)
    assert np.isfinite(result.best)
    assert np.isfinite(load(tmp_path / "run").forecast(panel).point()).all()


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
