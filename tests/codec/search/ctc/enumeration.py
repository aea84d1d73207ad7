"""Connectionist temporal classification by its definition: all paths, one after another."""

from collections import defaultdict
from itertools import groupby, product

import numpy as np


def frames(seed, count, size, sharp=2.0, dtype=np.float64):
    logits = np.random.default_rng(seed).normal(0, sharp, (count, size))
    return (logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)).astype(dtype)


def collapsed(path):
    return tuple(symbol for symbol, _ in groupby(path) if symbol)


def probabilities(log_probs):
    """Of each sequence of units that some path is read as."""
    found = defaultdict(float)
    for path in product(range(log_probs.shape[1]), repeat=len(log_probs)):
        found[collapsed(path)] += np.exp(
            sum(row[s] for row, s in zip(log_probs, path, strict=True))
        )
    return dict(found)


def best_path(log_probs, units):
    """The likeliest path that is read as these units."""
    paths = [
        path
        for path in product(range(log_probs.shape[1]), repeat=len(log_probs))
        if collapsed(path) == tuple(units)
    ]
    return max(paths, key=lambda p: sum(row[s] for row, s in zip(log_probs, p, strict=True)))
