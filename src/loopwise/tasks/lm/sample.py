"""What a language model in a lower precision is measured on: the beginning of held-out text."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loopwise.codec.corpus import Source, read_sources
from loopwise.codec.metrics import perplexity
from loopwise.errors import DataError
from loopwise.export.precision import Measurement
from loopwise.runtime.language_model import LoadedLanguageModel
from loopwise.tasks.lm.config import DataConfig
from loopwise.tasks.lm.data import join, reread_held_out

BYTES = 20_000
"""Largest size of a sample."""


@dataclass(frozen=True)
class TextSample:
    """A text that a model reads from its first to its last token; see `export.precision.Sample`."""

    text: Source
    metric = "perplexity"
    output = "log-probability of a token, in nats"

    @property
    def name(self) -> str:
        """How much of which text."""
        return f"{len(self.text.data):,} bytes of {self.text.name}"

    def measure(self, model: LoadedLanguageModel) -> Measurement:
        """Perplexity, and each token's log-probability.

        Raises:
            DataError: a text that the model's codec cannot encode, or without a token.
        """
        if not len(model.codec.encode(self.text)):
            raise DataError(f"{self.text.name}: no {model.codec.unit} in it to measure on")
        nats = np.array([token.nats for token in model.score_tokens(self.text.data)])
        return Measurement(perplexity(float(nats.mean())), -nats)


def sample_of(sources: Sequence[Source]) -> TextSample:
    """The first `BYTES` of some texts, up to the end of a line if there is one."""
    text = join(sources)
    data = text.data[:BYTES]
    if len(data) < len(text.data):
        end = data.rfind(b"\n") + 1 or BYTES
        while end > 1 and text.data[end] & 0xC0 == 0x80:  # not inside a character
            end -= 1
        data = data[:end]
    return TextSample(Source(text.name, data))


def sample_of_files(paths: Sequence[str]) -> TextSample:
    """`sample_of` files, as `read_sources` reads them."""
    return sample_of(read_sources(paths))


def sample_of_validation(config: DataConfig) -> TextSample:
    """A sample of the text that a training with these options validated on.

    Raises:
        DataError: the text was no file, or is not there any more.
    """
    return sample_of([reread_held_out(config)])
