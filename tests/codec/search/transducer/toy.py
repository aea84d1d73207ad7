"""A small transducer, and what it says by definition."""

from functools import cache

import numpy as np


class Toy:
    """Frames are their numbers ``[1]``; texts as tuples are the predictor's states."""

    def __init__(self, seed, size=3, sure=0.0, excluded=False):
        self.seed, self.size, self.sure, self.excluded = seed, size, sure, excluded
        self.rows = 0

    def start(self):
        return ()

    def advance(self, states, units):
        assert len(states) == len(units) > 0
        return [(*state, unit) for state, unit in zip(states, units, strict=True)]

    def join(self, frame, states):
        self.rows += len(states)
        return np.array([self.log_probs(int(frame[0]), state) for state in states])

    @cache  # noqa: B019
    def log_probs(self, t, text):
        rng = np.random.default_rng([self.seed, t, *text])
        probs = rng.dirichlet(np.ones(self.size)) * (1 - self.sure)
        top = rng.integers(0, self.size) if rng.random() < 0.5 else 0
        probs[top] += self.sure
        with np.errstate(divide="ignore"):
            return np.log(probs)

    def probability(self, text, frames, most, one_a_frame=False):
        """Of a text over all alignments with at most `most` units a frame."""

        @cache
        def rest(t, u, said):
            if t == frames:
                return float(u == len(text))
            row = np.exp(self.log_probs(t, text[:u]))
            total = row[0] * rest(t + 1, u, 0)
            if u < len(text) and said < most:
                after = (t + 1, u + 1, 0) if one_a_frame else (t, u + 1, said + 1)
                total += row[text[u]] * rest(*after)
            return total

        return rest(0, 0, 0)


def encoded(count):
    return np.arange(count, dtype=np.float32)[:, np.newaxis]
