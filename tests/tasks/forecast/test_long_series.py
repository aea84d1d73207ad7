"""A series of a million points, from its table to forecasts, a stream and measures."""

import numpy as np
import polars as pl

import loopwise


def test_a_million_points():
    t = np.arange(1_000_000)
    noise = 0.1 * np.random.default_rng(0).standard_normal(len(t))
    y = 10 + np.sin(2 * np.pi * t / 24) + noise
    model = loopwise.Forecaster(
        6, 24, window=48, members=1, hidden_size=8, input_size=8, decoder_size=8, batch_size=16,
        max_steps=3, threads=1, device="cpu",
    )  # fmt: skip
    model.fit(pl.DataFrame({"ds": t[:-12], "y": y[:-12]}))
    found = model.predict(12, level=80)
    assert found["ds"].to_list() == t[-12:].tolist()
    assert np.abs(found["loopwise"].to_numpy()[:6] - y[-12:-6]).mean() < 0.3
    stream = model.stream()
    for value in y[-12:]:
        update = stream.update(value)
    whole = model.predict(df=pl.DataFrame({"ds": t, "y": y}), level=80)
    np.testing.assert_allclose(update.median.ravel(), whole["loopwise"], rtol=1e-5)
    np.testing.assert_allclose(update.interval(80)[0].ravel(), whole["loopwise-lo-80"], rtol=1e-5)
    measured = dict(model.evaluate(windows=3).select("model", "mase").iter_rows())
    assert measured["loopwise"] < measured["naive"]
