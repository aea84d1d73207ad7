"""What a translator in a lower precision is measured on: held-out pairs."""

from dataclasses import dataclass

import numpy as np

from loopwise.codec.metrics import perplexity
from loopwise.codec.pairs import Pairs
from loopwise.export.precision import Measurement
from loopwise.runtime.translator import LoadedTranslator
from loopwise.tasks.translation.config import DataConfig
from loopwise.tasks.translation.pairs import validation_pairs

MOST = 500
"""Pairs of a sample."""


@dataclass(frozen=True)
class PairSample:
    """Pairs whose targets a model scores; see `export.precision.Sample`."""

    pairs: Pairs
    metric = "perplexity"
    output = "log-probability of a token, in nats"

    @property
    def name(self) -> str:
        """How many of which pairs."""
        return f"{len(self.pairs)} pairs of {self.pairs.name}"

    def measure(self, model: LoadedTranslator) -> Measurement:
        """Perplexity of the targets, and each token's log-probability."""
        found = model.log_probs(self.pairs.sources, self.pairs.targets)
        each = np.concatenate(found)
        return Measurement(perplexity(-float(each.mean())), each)


def sample_of(pairs: Pairs) -> PairSample:
    """The first `MOST` of some pairs."""
    return PairSample(pairs.choose(range(min(len(pairs), MOST))))


def sample_of_validation(config: DataConfig) -> PairSample:
    """A sample of the pairs that a training with these options validated on.

    Raises:
        DataError: the pairs were no file, or are not there any more.
    """
    return sample_of(validation_pairs(config))
