"""Language modelling as the training loop sees it."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from loopwise.diagnose.dependence import dependence
from loopwise.diagnose.report import Dependence
from loopwise.errors import DataError
from loopwise.export.bundle import to_bundle
from loopwise.nn.state import State
from loopwise.runtime.bundle import write_bundle
from loopwise.tasks.layers.modules import penalty, summarise
from loopwise.tasks.lm.config import LMConfig, LMTrainConfig
from loopwise.tasks.lm.data import Corpus
from loopwise.tasks.lm.model import Reading, RecurrentLanguageModel, describe
from loopwise.train.lanes import Lanes, Window
from loopwise.train.processes import World
from loopwise.train.task import StepLoss

MEASURED = 200_000
"""Tokens of the training text whose dependence on their past is measured."""
VALIDATION_WINDOW = 64
"""Tokens of a lane that are read at once; bounds memory, and changes no figure."""


class LanguageModelling:
    """Truncated backpropagation through one long text; a `loopwise.train.task.Task`.

    Args:
        config: all options.
        corpus: the text.
        world: this process and how many there are.

    Raises:
        DataError: the text is too short for the batch.
    """

    monitor = "loss"
    unit = "tokens"

    def __init__(self, config: LMConfig, corpus: Corpus, world: World | None = None):
        world = world or World.current()
        self.config, self.corpus = config, corpus
        self.judge = f"{corpus.valid_fingerprint} in {config.train.valid_batch} lanes"
        self.batches = TextLanes(config.train, corpus, world)
        lanes = config.train.valid_batch
        if len(corpus.valid) < lanes:
            raise DataError(
                f"the validation text ({corpus.valid_name}) has {len(corpus.valid)} tokens; "
                f"{lanes} lanes (train.valid_batch) need at least {lanes}: give more with --valid "
                "or data.valid_fraction, or lower train.valid_batch"
            )
        torch.manual_seed(config.train.seed)
        description = describe(config.model, corpus.codec.size)
        self.model = RecurrentLanguageModel(description, config.model)
        self._metrics: dict[str, float] = {}

    @property
    def summary(self) -> str:
        """Text and model in a line each."""
        corpus = self.corpus
        return (
            f"text: {len(corpus.train):,} tokens, {len(corpus.valid):,} for validation; "
            f"vocabulary: {corpus.codec.size:,} {corpus.codec.unit}\n"
            f"{summarise(self.config.model, self.model)}"
        )

    def loss(self, model: nn.Module, batch: Window, state: State | None) -> StepLoss:
        """Mean surprisal of the window's tokens in nats, and the activation penalties apart."""
        reading: Reading = model(batch.inputs, batch.targets, state)
        loss = reading.nats / batch.targets.numel()
        extra = penalty(self.config.model, reading.dropped, reading.output)
        return StepLoss(loss, batch.targets.numel(), reading.state, batch.scale, extra)

    @property
    def window(self) -> int | None:
        """Tokens of truncated backpropagation."""
        return self.config.train.window

    def dependence(self) -> Dependence:
        """Mutual information of the training text's tokens over lags of up to a thousand."""
        text = self.corpus.train[:MEASURED]
        return dependence(text, longest=min(1000, len(text) // 10))

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Surprisal of the validation text: nats per token, perplexity, bits per character.

        With ``train.valid_batch=1`` these are the figures of ``loopwise evaluate``. More lanes are
        faster; each begins without a memory of the text before it, and up to a lane less one of
        the last tokens are left out.
        """
        text = np.concatenate([[self.corpus.codec.start], self.corpus.valid])
        lanes = Lanes(text, self.config.train.valid_batch, VALIDATION_WINDOW)
        device = self.model.embedding.weight.device
        state: State | None = None
        nats, count = 0.0, 0
        while lanes.epoch == 0:
            window = lanes.next()
            reading: Reading = model(window.inputs.to(device), window.targets.to(device), state)
            state = reading.state
            nats += float(reading.nats)
            count += window.targets.numel()
        loss = nats / count
        characters = self.corpus.valid_characters / len(self.corpus.valid)
        self._metrics = {
            "loss": loss,
            "perplexity": math.exp(min(loss, 700.0)),
            "bits_per_character": loss / math.log(2) / characters,
        }
        return self._metrics

    def export(self, path: Path) -> None:
        """Write the bundle of the model as it is now."""
        info: dict[str, Any] = {"validation": self._metrics}
        write_bundle(path, to_bundle("language-model", self.model, self.corpus.codec, info))


class TextLanes(Lanes):
    """The lanes of a corpus, which refuse to be continued on another one."""

    def __init__(self, config: LMTrainConfig, corpus: Corpus, world: World):
        super().__init__(
            corpus.train,
            config.batch_size,
            config.window,
            vary=config.vary_window,
            seed=config.seed,
            rank=world.rank,
            world=world.size,
            name=f"the training text ({corpus.train_name})",
        )
        self._text = corpus.fingerprint

    def state_dict(self) -> dict[str, Any]:
        """The place in the lanes, and which text they are of."""
        return {**super().state_dict(), "text": self._text}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Return to a place; raises DataError if it is one in another text."""
        super().load_state_dict(state)
        if state["text"] != self._text:
            raise DataError(
                "the checkpoint was trained on other tokens: continue with the same text and the "
                "same data.unit, data.vocab_size and data.min_count"
            )
