"""Language modelling as the training loop sees it."""

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from loopwise.errors import DataError
from loopwise.export.bundle import to_bundle
from loopwise.nn.regularize import activation_penalty
from loopwise.nn.state import State
from loopwise.runtime.bundle import write_bundle
from loopwise.tasks.lm.config import LMConfig
from loopwise.tasks.lm.data import Corpus
from loopwise.tasks.lm.model import Reading, RecurrentLanguageModel, describe
from loopwise.train.lanes import Lanes, Window
from loopwise.train.processes import World
from loopwise.train.task import StepLoss


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

    def __init__(self, config: LMConfig, corpus: Corpus, world: World | None = None):
        world = world or World.current()
        train = config.train
        self.config, self.corpus = config, corpus
        self.batches = Lanes(
            corpus.train,
            train.batch_size,
            train.window,
            vary=train.vary_window,
            seed=train.seed,
            rank=world.rank,
            world=world.size,
        )
        if len(corpus.valid) <= train.valid_batch:
            raise DataError(
                f"the validation text has {len(corpus.valid)} tokens; {train.valid_batch} lanes "
                f"(train.valid_batch) need at least {train.valid_batch + 1}: "
                "give more with --valid or data.valid_fraction, or lower train.valid_batch"
            )
        torch.manual_seed(train.seed)
        description = describe(config.model, corpus.codec.size)
        self.model = RecurrentLanguageModel(description, config.model)
        self._metrics: dict[str, float] = {}

    def loss(self, model: nn.Module, batch: Window, state: State | None) -> StepLoss:
        """Mean surprisal of the window's tokens in nats, plus the activation penalties."""
        reading: Reading = model(batch.inputs, state)
        loss = _surprisal(reading.logits, batch.targets)
        ar, tar = self.config.model.ar, self.config.model.tar
        if ar or tar:
            loss = loss + activation_penalty(reading.dropped, reading.output, ar, tar)
        return StepLoss(loss, batch.targets.numel(), reading.state, batch.scale)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Surprisal of the validation text: nats per token, perplexity, bits per character."""
        lanes = Lanes(self.corpus.valid, self.config.train.valid_batch, 64)
        device = self.model.embedding.weight.device
        state: State | None = None
        nats, count = 0.0, 0
        while lanes.epoch == 0:
            window = lanes.next()
            reading: Reading = model(window.inputs.to(device), state)
            state = reading.state
            tokens = window.targets.numel()
            nats += float(_surprisal(reading.logits, window.targets.to(device))) * tokens
            count += tokens
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


def _surprisal(logits: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())
