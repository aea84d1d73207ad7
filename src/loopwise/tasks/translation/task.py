"""Translation as the training loop sees it."""

import math
from pathlib import Path
from typing import Any

import torch
from torch import nn

from loopwise.codec.pairs import Pairs
from loopwise.codec.sentences import TranslationCodec
from loopwise.codec.translation_metrics import translation_score
from loopwise.diagnose.dependence import known
from loopwise.diagnose.report import Dependence
from loopwise.errors import DataError
from loopwise.export.bundle import to_bundle
from loopwise.nn.state import State
from loopwise.runtime.bundle import Bundle, write_bundle
from loopwise.runtime.translator import LoadedTranslator
from loopwise.tasks.bucketing import Buckets
from loopwise.tasks.layers.modules import penalty
from loopwise.tasks.translation.config import TranslationConfig
from loopwise.tasks.translation.data import PairStream, encode, fingerprint, make_batch
from loopwise.tasks.translation.model import PairBatch, Reading, TranslationNetwork, describe
from loopwise.train.processes import World
from loopwise.train.task import StepLoss

ROWS = 64
"""Held-out pairs that are read at once; bounds memory, and changes no figure."""


class TranslationTask:
    """Pairs of sentences in batches by tokens; a `loopwise.train.task.Task`.

    Args:
        config: all options.
        codec: of both sides.
        train: pairs to learn from.
        valid: pairs to validate on.
        world: this process and how many there are.

    Raises:
        DataError: too few pairs.
    """

    monitor = "loss"
    unit = "tokens"

    def __init__(
        self,
        config: TranslationConfig,
        codec: TranslationCodec,
        train: Pairs,
        valid: Pairs,
        world: World | None = None,
    ):
        world = world or World.current()
        if not len(valid):
            raise DataError(f"{valid.name}: no pair to validate on")
        self.config, self.codec, self.pairs, self.valid = config, codec, train, valid
        self.judge = fingerprint(codec, valid)
        self.batches = PairStream(
            codec,
            train,
            Buckets(
                config.train.batch_tokens,
                config.train.batch_size,
                config.train.seed,
                world.rank,
                world.size,
            ),
            dropout=config.data.bpe_dropout,
            wait=config.model.wait,
        )
        self._held = encode(codec, valid)
        torch.manual_seed(config.train.seed)
        description = describe(
            config.model,
            codec.source.size,
            codec.target.size,
            shared=codec.shared,
        )
        self.model = TranslationNetwork(description, config.model)
        self._metrics: dict[str, float] = {}

    @property
    def summary(self) -> str:
        """Pairs and network in a line each, and in another what was left out of the pairs."""
        codec, model = self.codec, self.config.model
        shared = f", the first {codec.target.size:,} in translations" if codec.shared else ""
        sizes = dict.fromkeys((codec.source.size, *(() if codec.shared else (codec.target.size,))))
        parameters = sum(parameter.numel() for parameter in self.model.parameters())
        left_out = "".join(
            f"{name}: {pairs.dropped}\n"
            for name, pairs in (("training", self.pairs), ("validation", self.valid))
            if pairs.dropped.total
        )
        return (
            f"{len(self.pairs):,} pairs, {len(self.valid):,} for validation; vocabulary: "
            f"{' and '.join(f'{size:,}' for size in sizes)} {codec.unit}{shared}\n{left_out}"
            f"model: {model.num_layers} + {model.decoder_layers} x {model.cell}, "
            f"{parameters:,} parameters"
        )

    @property
    def window(self) -> int | None:
        """None: sentences are read as a whole."""
        return None

    def dependence(self) -> Dependence:
        """As far back as the longest source reaches."""
        return known(max(map(len, self.batches.encoded.sources)))

    def loss(self, model: nn.Module, batch: PairBatch, state: State | None) -> StepLoss:
        """Mean surprisal of the targets' tokens in nats; what smoothing and penalties add apart."""
        reading: Reading = model(batch)
        count = int((batch.targets >= 0).sum())
        share = self.config.train.label_smoothing
        extra = penalty(self.config.model, reading.dropped, reading.output)
        if share:
            smoothing = share * reading.smoothing / count
            extra = smoothing if extra is None else extra + smoothing
        return StepLoss(reading.nats / count, count, penalty=extra)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Surprisal of the held-out targets: nats per token, and perplexity; and BLEU."""
        held, device = self._held, self.model.get_parameter("head.bias").device
        order = sorted(range(len(held)), key=lambda i: len(held.targets[i]))
        nats, count = 0.0, 0
        for begin in range(0, len(order), ROWS):
            rows = order[begin : begin + ROWS]
            batch = make_batch(
                self.codec,
                [held.sources[i] for i in rows],
                [held.targets[i] for i in rows],
                self.config.model.wait,
            )
            reading: Reading = model(batch.to(device))
            nats += float(reading.nats)
            count += int((batch.targets >= 0).sum())
        loss = nats / count
        self._metrics = {"loss": loss, "perplexity": math.exp(min(loss, 700.0))}
        if self.config.train.valid_bleu:
            self._metrics["bleu"] = self._bleu(self.config.train.valid_bleu)
        return self._metrics

    def export(self, path: Path) -> None:
        """Write the bundle of the model as it is now."""
        write_bundle(path, self._bundle())

    def _bundle(self) -> Bundle:
        info: dict[str, Any] = {"validation": self._metrics}
        return to_bundle("translator", self.model, self.codec, info)

    def _bleu(self, number: int) -> float:
        """Of the first held-out pairs, as the deployed model translates them."""
        translator = LoadedTranslator(self._bundle())
        pairs = self.valid.choose(range(min(number, len(self.valid))))
        if translator.wait:
            stream = translator.stream()
            found = [stream.translate(source) for source in pairs.sources]
        else:
            found = translator.translate(pairs.sources, beam_size=1)
        return translation_score(found, pairs.targets).bleu
