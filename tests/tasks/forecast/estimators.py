"""Small forecasters and their tables, for the tests of the estimator."""

import numpy as np
import pandas as pd

import loopwise

SETTINGS = {
    "horizon": 6,
    "season_length": 12,
    "members": 1,
    "hidden_size": 8,
    "input_size": 8,
    "decoder_size": 8,
    "batch_size": 16,
    "max_steps": 20,
    "threads": 1,
    "device": "cpu",
}


LEVELS = [50, 80, 95]


def table(length=72, names=("a", "b", "c"), *, seed=0, of=None) -> pd.DataFrame:
    """Series with a season of 12, or of values that a function makes of the time."""
    rng = np.random.default_rng(seed)
    t = np.arange(length)
    parts = []
    for n, name in enumerate(names):
        wave = (n + 1) * (5 + np.sin(2 * np.pi * t / 12) + 0.2 * rng.normal(size=length))
        parts.append(
            pd.DataFrame(
                {
                    "unique_id": name,
                    "ds": pd.date_range("2000-01-01", periods=length, freq="MS"),
                    "y": wave if of is None else np.asarray(of(t), float),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def forecaster(**settings) -> loopwise.Forecaster:
    return loopwise.Forecaster(**{**SETTINGS, **settings})


def close(one, other, rtol=1e-5):
    names = [name for name in one.columns if name.startswith("loopwise")]
    np.testing.assert_allclose(one[names], other[names], rtol=rtol)
