"""The network: torch and NumPy alike, nothing of the future, series of any size, closed forms."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from loopwise.codec.series.windows import Windows, cut, prepare
from loopwise.runtime.forecast_network import Read, _adjust, forward
from loopwise.runtime.forecaster import LoadedForecaster
from loopwise.runtime.lags import lags_of
from loopwise.tasks.forecast.data import as_tensors, take
from loopwise.tasks.forecast.task import ForecastTask
from tasks.forecast.series import config, panel_of, waves

VARIANTS = {
    "default": {},
    "gru": {"cell": "gru", "num_layers": 2, "residual": True},
    "dilated": {"num_layers": 2, "dilations": (1, 3), "patch": 4, "cell": "rnn"},
    "points": {"patch": 1, "window": 20},
    "one patch": {"window": 12, "patch": 12},
    "one point": {"window": 1, "patch": 1},
    "seasonal": {"scale": "seasonal"},
    "smoothing": {"scale": "smoothing"},
    "no scale": {"scale": "none"},
    "linear decoder": {"decoder": "linear"},
    "no linear map": {"linear": False},
    "normal": {"output": "normal"},
    "student-t": {"output": "student-t"},
    "mixture": {"output": "mixture"},
    "counts": {"output": "negative-binomial"},
    "point": {"output": "point", "loss": "huber"},
    "members": {"members": 2},
    "calendar": {"calendar": True},
    "patch scale": {"origins": 2},
    "dilated, residual, normed": {
        "num_layers": 3, "dilations": (1, 2, 4), "patch": 4,
        "residual": True, "layer_norm": True, "peephole": True,
    },
    "dilated, residual, projected": {
        "num_layers": 3, "dilations": (2, 1, 3), "patch": 4, "residual": True, "proj_size": 4,
    },
    "dilated, residual gru": {
        "num_layers": 2, "dilations": (1, 3), "patch": 4,
        "cell": "gru", "residual": True, "layer_norm": True, "learn_initial_state": True,
    },
}  # fmt: skip


def gelu(x):
    return functional.gelu(torch.from_numpy(x), approximate="tanh").numpy()


def task_of(panel=None, **settings) -> ForecastTask:
    task = ForecastTask(config(**settings), panel_of(waves()) if panel is None else panel)
    task.model.eval()
    return task


def loaded(task: ForecastTask, path) -> LoadedForecaster:
    from loopwise.runtime.load import load

    task.export(path)
    return load(path)


@pytest.mark.parametrize("name", VARIANTS)
def test_numpy_computes_what_torch_does(name, tmp_path):
    values = np.round(waves()) if name == "counts" else waves()
    task = task_of(panel_of(values), **VARIANTS[name])
    found = loaded(task, tmp_path / "b.safetensors")
    rows, ends = np.arange(6), np.array([5, 20, 40, 100, 150, 160])
    d = task.description
    windows, _, _ = take(task.prepared, rows, ends, d.window, 1, d)
    with torch.no_grad():
        expected = task.model([as_tensors(windows)] * d.members)
    for member, raw in zip(found._members, expected, strict=True):
        for ours, theirs in zip(member(windows), raw, strict=True):
            np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [n for n in VARIANTS if n != "counts"])
def test_an_origin_sees_nothing_that_follows_it(name):
    task = task_of(**VARIANTS[name] | {"origins": 3})
    d, origins = task.description, 3
    length = d.window + 2 * d.patch
    windows, _, _ = take(task.prepared, np.arange(6), np.full(6, 120), length, origins, d)
    changed = windows.values.copy()
    changed[:, length - d.patch :] += 5.0  # after the second of three origins
    with torch.no_grad():
        before = task.model([as_tensors(windows)] * d.members, origins)[0].outputs
        other = as_tensors(windows._replace(values=changed))
        after = task.model([other] * d.members, origins)[0].outputs
    torch.testing.assert_close(after[:, :2], before[:, :2])
    assert not torch.allclose(after[:, 2], before[:, 2])


def test_an_origin_within_a_window_is_an_origin_at_its_end():
    """With whole windows before each; the first patch alone knows of no patch before it."""
    task = task_of(scale="none", patch=1, window=16, decoder="linear", origins=5)
    d = task.description
    long, _, _ = take(task.prepared, np.arange(6), np.full(6, 120), 16, 5, d)
    short = Windows(
        *(part[:, :12] if part.ndim == 3 and part.shape[1] == 16 else part for part in long)
    )
    with torch.no_grad():
        among = task.model([as_tensors(long)], 5)[0].outputs[:, 0]
        alone = task.model([as_tensors(short)], 1)[0].outputs[:, 0]
    torch.testing.assert_close(among, alone)


def test_a_network_that_reads_in_the_scale_of_its_origin_has_one():
    task = task_of()
    d = task.description
    windows, _, _ = take(task.prepared, np.arange(6), np.full(6, 120), d.window, 1, d)
    with pytest.raises(ValueError, match="origins=2: this network reads windows in the scale"):
        task.model([as_tensors(windows)], 2)


@pytest.mark.parametrize("name", ["default", "seasonal", "smoothing", "calendar", "points"])
def test_some_targets_are_those_of_all(name):
    task = task_of(**VARIANTS[name] | {"origins": 2})
    d = task.description
    windows, _, _ = take(task.prepared, np.arange(6), np.full(6, 120), d.window + d.patch, 2, d)
    chosen = np.array([0, 2, 5])
    with torch.no_grad():
        whole = task.model([as_tensors(windows)], 2)[0].outputs
        some = task.model([as_tensors(windows)], 2, chosen)[0].outputs
    torch.testing.assert_close(some, whole[:, :, chosen])


@pytest.mark.parametrize("factor", [1e-6, 1000.0, 1e9])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"log": False},
        {"scale": "seasonal"},
        {"scale": "smoothing"},
        {"origins": 2},
        {"calendar": True},
        {"output": "normal"},
        {"output": "student-t"},
        {"output": "mixture"},
        {"output": "point", "loss": "huber"},
    ],
    ids=str,
)
def test_a_series_a_thousand_times_as_large_has_forecasts_a_thousand_times_as_large(
    settings, factor, tmp_path
):
    """Of series that are positive throughout, and of others."""
    values = waves() - 2 * waves().mean(1, keepdims=True) * (np.arange(6) % 2)[:, None]
    task = task_of(panel_of(values), **settings)
    found = loaded(task, tmp_path / "b.safetensors")
    one = found.forecast(panel_of(values))
    many = found.forecast(panel_of(values * factor))
    np.testing.assert_allclose(many.point(), one.point() * factor, rtol=1e-3)
    levels = [0.05, 0.5, 0.99]
    np.testing.assert_allclose(
        many.quantiles(levels), one.quantiles(levels) * factor, rtol=1e-3, atol=1e-3 * factor
    )


@pytest.mark.parametrize("output", ["negative-binomial", "poisson"])
def test_means_of_counts_are_as_large_as_their_series(output, tmp_path):
    values = np.round(waves())
    found = loaded(task_of(panel_of(values), output=output), tmp_path / "b.safetensors")
    one, many = (found.forecast(panel_of(values * n)).point("mean") for n in (1, 1000))
    np.testing.assert_allclose(many, one * 1000, rtol=1e-4)


def test_without_a_scale_the_size_of_a_series_matters(tmp_path):
    values = waves() / waves().mean(1, keepdims=True)
    found = loaded(task_of(panel_of(values), scale="none"), tmp_path / "b.safetensors")
    one, many = (found.forecast(panel_of(values * n)).point() for n in (1, 1000))
    assert not np.allclose(many, one * 1000, rtol=0.01)


def test_the_order_of_series_does_not_matter(tmp_path):
    panel = panel_of(waves())
    found = loaded(task_of(panel), tmp_path / "b.safetensors")
    order = np.array([3, 1, 5, 0, 2, 4])
    shuffled = found.forecast(panel.select(order)).point()
    np.testing.assert_allclose(shuffled, found.forecast(panel).point()[order], rtol=1e-6)


@pytest.mark.parametrize(
    "series",
    {
        "constant": np.full(100, 7.0),
        "zero": np.zeros(100),
        "negative": -waves(1)[0],
        "one point": np.array([3.0]),
        "two points": np.array([3.0, 4.0]),
        "huge": 1e300 + 1e290 * np.arange(50.0),
        "tiny": 1e-300 * (1 + np.arange(50.0)),
        "unknown": np.full(30, np.nan),
        "gaps": np.where(np.arange(100) % 7 == 0, np.nan, waves(1)[0][:100]),
    }.items(),
    ids=lambda item: item[0],
)
def test_any_series_has_finite_forecasts(series, tmp_path):
    name, values = series
    found = loaded(task_of(), tmp_path / "b.safetensors")
    forecasts = found.forecast(panel_of([values]))
    quantiles = forecasts.quantiles([0.1, 0.5, 0.9])
    assert np.isfinite(quantiles).all()
    assert (np.diff(quantiles, axis=-1) >= 0).all()
    if name in ("constant", "zero"):
        np.testing.assert_allclose(forecasts.point(), values[0], rtol=1e-4, atol=1e-6)


def test_lags_are_the_last_values_at_the_targets_phase():
    d = task_of().description
    lags = lags_of(d, d.window, 1)
    series = np.arange(1000, 1000 + d.window + d.horizon)
    for j in range(d.horizon):
        seen = series[lags.places[0, j]]
        target = series[d.window + j]
        expected = []
        for season, cycles in zip(d.seasons, d.cycles, strict=True):
            past = [
                target - season * n for n in range(1, 99) if target - season * n < 1000 + d.window
            ]
            expected += past[:cycles]
        for got, wanted, there in zip(seen, expected, lags.inside[0, j], strict=False):
            assert there == (wanted >= 1000)
            if there:
                assert got == wanted


def test_smoothing_follows_its_recursion():
    task = task_of(scale="smoothing", decoder="linear")
    d = task.description
    rng = np.random.default_rng(1)
    for member in task.model.members:
        member.get_parameter("smoothing.weight").data = torch.from_numpy(
            rng.standard_normal((7, 2)).astype(np.float32)
        )
    windows, _, _ = take(task.prepared, np.arange(6), np.full(6, 120), d.window, 1, d)
    tensors = {k: v.detach().numpy() for k, v in task.model.members[0]._own().items()}
    out, level, ahead = _adjust(np, d, tensors, windows, 1, None)
    rates = 1 / (1 + np.exp(-tensors["smoothing.weight"]))
    for b in range(6):
        x = windows.values[b, :, 0]
        season = np.array([x[k :: d.season].mean() for k in range(d.season)])
        season -= season.mean()
        now = x[: d.season].mean()
        for t in range(d.window):
            k = t % d.season
            assert out[b, t, 0] == pytest.approx(x[t] - season[k], abs=1e-5)
            now = rates[b, 0] * (x[t] - season[k]) + (1 - rates[b, 0]) * now
            season[k] = rates[b, 1] * (x[t] - now) + (1 - rates[b, 1]) * season[k]
        assert level[b, -1, 0] == pytest.approx(now, abs=1e-4)
        wanted = [season[(d.window + j) % d.season] for j in range(d.horizon)]
        np.testing.assert_allclose(ahead[b, 0, :, 0], wanted, atol=1e-4)


def test_one_step_at_a_time_is_the_direct_forecast_of_one_step(tmp_path):
    panel = panel_of(waves())
    found = loaded(task_of(panel, horizon=1), tmp_path / "b.safetensors")
    direct = found.forecast(panel, 1).point()
    assert direct.shape == (6, 1, 1)
    further = found.forecast(panel, 3)
    assert further.point().shape == (6, 3, 1)
    first = further.quantiles([0.1, 0.9])[:, :1]
    own = found.forecast(panel, 1).quantiles([0.1, 0.9])
    # of 200 sample paths: the first step is that of the direct forecast but for their chance
    np.testing.assert_allclose(first.mean(), own.mean(), rtol=0.1)


def test_read_and_forward_take_arrays_and_tensors_alike():
    task = task_of()
    d = task.description
    windows, _, _ = take(task.prepared, np.arange(2), np.full(2, 90), d.window, 1, d)
    tensors = {k: v.detach().numpy() for k, v in task.model.members[0]._own().items()}

    def layers(x):
        with torch.no_grad():
            return (
                task.model.members[0]
                .layers(torch.from_numpy(np.ascontiguousarray(x)))
                .dropped.numpy()
            )

    ours = forward(d, tensors, windows, Read(layers, lambda x: x, gelu))
    with torch.no_grad():
        theirs = task.model([as_tensors(windows)])[0]
    np.testing.assert_allclose(ours.outputs, theirs.outputs.numpy(), atol=1e-5)


def test_what_lies_after_the_end_is_not_read():
    """The scale of a series is of what came before the first place that is forecast."""
    values = waves()
    changed = values.copy()
    changed[:, 140:] = -1e6
    task = task_of()
    ends = np.full((6, 1), 140)
    one = prepare(panel_of(values), task.codec, 6, until=ends[:, 0])
    two = prepare(panel_of(changed), task.codec, 6, until=ends[:, 0])
    d = task.description
    for ours, theirs in zip(
        cut(one, np.arange(6), ends[:, 0], d.window, 6, d.patch),
        cut(two, np.arange(6), ends[:, 0], d.window, 6, d.patch),
        strict=True,
    ):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)
