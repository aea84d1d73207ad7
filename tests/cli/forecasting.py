"""Tables of series, and the options of a small forecaster."""

import numpy as np
import polars as pl

SMALL = {
    "model.members": 1,
    "model.hidden_size": 16,
    "model.input_size": 16,
    "model.decoder_size": 16,
    "train.max_steps": 20,
    "train.threads": 1,
    "train.device": "cpu",
}
SETS = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]


def sales(count=3, length=80, seed=0):
    """Shops with a week, and a price that they know ahead."""
    rng = np.random.default_rng(seed)
    days = np.datetime64("2024-01-01") + np.arange(length)
    tables = []
    for i in range(count):
        price = rng.integers(1, 3, length)
        week = 10 + 3 * np.sin(2 * np.pi * (np.arange(length) + i) / 7)
        y = (i + 1) * (week / price + 0.3 * rng.normal(size=length))
        named = {"shop": [f"s{i}"] * length, "day": days.astype(str), "sales": y, "price": price}
        tables.append(pl.DataFrame(named))
    return pl.concat(tables)


def plain(table):
    """With the names that need no options."""
    return table.select(unique_id="shop", ds="day", y="sales")


def first(table, count, name="shop"):
    """The first rows of each series."""
    return table.group_by(name, maintain_order=True).head(count)


def last(table, count, name="shop"):
    """The last rows of each series."""
    return table.group_by(name, maintain_order=True).tail(count)
