"""A small model whose predictions depend on all tokens before, and what it says by definition."""

from functools import cache
from itertools import product

import numpy as np

from loopwise.codec.search.prediction import Prediction

END = 1


@cache
def log_probs(seed, ids, vocabulary, excluded=0):
    """Of the next token of sentence `seed` after `ids`; the first `excluded` others are -inf."""
    rng = np.random.default_rng([seed, len(ids), *ids])
    logits = rng.normal(0, 1.5, vocabulary)
    logits[rng.permutation(vocabulary)[:excluded]] = -np.inf
    return (logits - np.logaddexp.reduce(logits)).astype(np.float32)


@cache
def attention(seed, ids, positions):
    weights = np.random.default_rng([7, seed, *ids]).exponential(1, positions) ** 2
    return (weights / weights.sum()).astype(np.float32)


class Toy:
    """A `Predictor` of sentences that are named by seeds, with sources of so many positions.

    It refuses rows that the call before did not have, and keeps how many rows it was asked for.
    """

    def __init__(self, seeds, vocabulary=3, positions=None, padding=0, excluded=0):
        self.seeds, self.vocabulary, self.excluded = list(seeds), vocabulary, excluded
        self.positions = positions
        self.width = None if positions is None else max(positions, default=0) + padding
        self.rows, self.counts = [], []

    def start(self):
        return self.predict([(i, ()) for i in range(len(self.seeds))])

    def step(self, parents, tokens):
        assert parents.dtype == tokens.dtype == np.int32
        assert len(parents) == len(tokens) > 0
        assert parents.min() >= 0
        rows = [self.rows[parent] for parent in parents]
        return self.predict([(i, (*ids, int(t))) for (i, ids), t in zip(rows, tokens, strict=True)])

    def predict(self, rows):
        self.rows = rows
        self.counts.append(len(rows))
        logs = [log_probs(self.seeds[i], ids, self.vocabulary, self.excluded) for i, ids in rows]
        if self.width is None:
            return Prediction(np.array(logs))
        weights = np.zeros((len(rows), self.width), np.float32)
        for row, (i, ids) in zip(weights, rows, strict=True):
            row[: self.positions[i]] = attention(self.seeds[i], ids, self.positions[i])
        return Prediction(np.array(logs), weights)


def forced(seed, ids, vocabulary=3, excluded=0):
    """The log probabilities of tokens and of the end after them."""
    return np.array(
        [
            log_probs(seed, tuple(ids[:t]), vocabulary, excluded)[token]
            for t, token in enumerate([*ids, END])
        ],
        np.float64,
    )


def score(seed, ids, options, vocabulary=3, positions=None, excluded=0):
    """Equation 14 of Wu et al. (2016)."""
    total = forced(seed, ids, vocabulary, excluded).sum()
    result = total / ((5 + len(ids) + 1) / 6) ** options.length_penalty
    if options.coverage_penalty:
        p = sum((attention(seed, ids[:t], positions) for t in range(len(ids))), np.zeros(positions))
        p = np.maximum(p, np.finfo(np.float32).tiny)
        result += options.coverage_penalty * np.log(np.minimum(p, 1.0)).sum()
    return result


def sequences(vocabulary, limit, least=0):
    """All sequences from `least` to `limit` tokens, the end not among them."""
    tokens = [token for token in range(vocabulary) if token != END]
    return [ids for n in range(least, limit + 1) for ids in product(tokens, repeat=n)]
