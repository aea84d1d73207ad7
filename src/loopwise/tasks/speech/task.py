"""Speech recognition as the training loop sees it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rapidfuzz.distance import Levenshtein
from torch import Tensor, nn

from loopwise.codec.speech.codec import SpeechCodec
from loopwise.codec.speech.units import UnitCodec
from loopwise.diagnose.report import Dependence
from loopwise.export.bundle import to_bundle
from loopwise.nn.state import State
from loopwise.runtime.bundle import Bundle, write_bundle
from loopwise.runtime.decoding import Method
from loopwise.runtime.recognizer import LoadedRecognizer
from loopwise.tasks.bucketing import Buckets
from loopwise.tasks.layers.modules import penalty, summarise
from loopwise.tasks.speech.config import SpeechConfig
from loopwise.tasks.speech.data import UtteranceStream, base_frames, fingerprint, make_batch
from loopwise.tasks.speech.model import (
    Reading,
    RecognitionNetwork,
    SpeechBatch,
    describe,
    disagreement,
)
from loopwise.tasks.speech.recordings import Recordings
from loopwise.train.processes import World
from loopwise.train.task import StepLoss

ROWS = 16
"""Held-out utterances that are read at once; bounds memory, and changes no figure."""


class SpeechTask:
    """Utterances in batches of like length; a `loopwise.train.task.Task`.

    Args:
        config: all options.
        codec: of features and units.
        auxiliary: of the units that a lower layer hears; None for none.
        train: to learn from.
        valid: to validate on.
        world: this process and how many there are.

    Raises:
        DataError: too few utterances.
    """

    monitor = "unit_errors"
    unit = "utterances"

    def __init__(
        self,
        config: SpeechConfig,
        codec: SpeechCodec,
        auxiliary: UnitCodec | None,
        train: Recordings,
        valid: Recordings,
        world: World | None = None,
    ):
        world = world or World.current()
        self.config, self.codec = config, codec
        self.train, self.valid = train, valid
        features, options = codec.features, config.train
        self._held = [features.finish_frames(base) for base in base_frames(valid, features)]
        self.judge = fingerprint(valid, features)
        self.batches = UtteranceStream(
            train,
            features,
            config.augment,
            Buckets(
                options.batch_seconds / features.options.hop,
                options.batch_size,
                options.seed,
                world.rank,
                world.size,
            ),
            config.model.stride,
            config.data.max_seconds / features.options.hop,
        )
        torch.manual_seed(options.seed)
        description = describe(config.model, features.size, codec.units.size)
        lower = 0 if auxiliary is None else auxiliary.size
        self.model = RecognitionNetwork(description, config.model, lower)
        self._metrics: dict[str, float] = {}

    @property
    def summary(self) -> str:
        """Utterances and network in a line each, and in another what was left out."""
        left_out = "".join(
            f"{name}: {part.utterances.dropped}\n"
            for name, part in (("training", self.train), ("validation", self.valid))
            if part.utterances.dropped.total
        )
        minutes = sum(map(self._seconds, self.train.sounds)) / 60
        return (
            f"{len(self.train):,} utterances, {minutes:,.1f} minutes; {len(self.valid):,} for "
            f"validation; vocabulary: {self.codec.units.size - 1:,} {self.codec.units.unit}\n"
            f"{left_out}{summarise(self.config.model, self.model)}"
        )

    def _seconds(self, sound: Any) -> float:
        options = self.codec.features.options
        return len(sound) * (options.hop if options.ready else 1 / options.rate)

    @property
    def window(self) -> int | None:
        """None: utterances are read as a whole."""
        return None

    def dependence(self) -> Dependence | None:
        """None: how far back sounds matter is not known beforehand."""
        return None

    def loss(self, model: nn.Module, batch: SpeechBatch, state: State | None) -> StepLoss:
        """Mean over members of a text's mean surprisal in nats.

        Of a text, not of a unit: so long texts count more than short ones, whatever their batch.
        Apart are what a lower layer hears, and penalties.
        """
        readings: list[Reading] = model(batch)
        count, members = len(batch.lengths), len(readings)
        mean = self._mean(readings) / count
        extras: list[Tensor] = []
        for reading in readings:
            held = penalty(self.config.model, reading.dropped, reading.output)
            if held is not None:
                extras.append(held)
            if reading.auxiliary is not None:
                extras.append(self.config.model.auxiliary_share * reading.auxiliary / count)
        if members > 1:
            # the sum of the members' losses is what is minimised: each trains as it would alone
            extras.append(mean * (members - 1))
        if self.config.model.agreement:
            extras.append(self.config.model.agreement * disagreement(readings) / count)
        extra = torch.stack(extras).sum() if extras else None
        return StepLoss(mean, count, penalty=extra)

    def _mean(self, readings: Sequence[Reading]) -> Tensor:
        return torch.stack([self._mixed(reading) for reading in readings]).mean()

    def _mixed(self, reading: Reading) -> Tensor:
        share = self.config.model.transducer
        if reading.transducer is None:
            assert reading.ctc is not None
            return reading.ctc
        if reading.ctc is None:
            return reading.transducer
        return share * reading.transducer + (1 - share) * reading.ctc

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Mean surprisal of the held-out texts in nats, and the share of their units got wrong.

        Units are those that the deployed model takes to be likeliest, greedily; of a model with
        both heads, the share is that of each, weighted as their losses are.
        """
        held, device = self._held, next(self.model.parameters()).device
        order = sorted(range(len(held)), key=lambda i: len(held[i]))
        nats, count = 0.0, 0
        for begin in range(0, len(order), ROWS):
            rows = order[begin : begin + ROWS]
            batch = make_batch([held[i] for i in rows], [self.valid.joined([i]) for i in rows])
            nats += float(self._mean(model(batch.to(device))))
            count += int(batch.texts.lengths.sum())
        self._metrics = {"loss": nats / len(held)}
        deployed, share = LoadedRecognizer(self._bundle()), self.config.model.transducer
        heads: tuple[tuple[Method, float], ...] = (("ctc", 1 - share), ("transducer", share))
        wrong = sum(
            weight * self._wrong(deployed.units(held, method)) for method, weight in heads if weight
        )
        self._metrics["unit_errors"] = wrong / count
        return self._metrics

    def _wrong(self, heard: Sequence[Sequence[int]]) -> int:
        """Units of the held-out texts that are other than they should be, lacking, or too many."""
        pairs = zip(heard, self.valid.units[0], strict=True)
        return sum(Levenshtein.distance(ours, said.tolist()) for ours, said in pairs)

    def export(self, path: Path) -> None:
        """Write the bundle of the model as it is now."""
        write_bundle(path, self._bundle())

    def _bundle(self) -> Bundle:
        info: dict[str, Any] = {"validation": self._metrics}
        return to_bundle("recognizer", self.model, self.codec, info)
