"""The recognizer's network as a torch module."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from loopwise.nn.ctc import ctc_loss
from loopwise.nn.ensemble import Ensemble
from loopwise.nn.transducer import transducer_loss
from loopwise.runtime.acoustics import (
    joint_frames,
    joint_units,
    logits,
    look_ahead,
    read_frames,
    steps_of,
)
from loopwise.runtime.description import RecognizerDescription, TransducerDescription
from loopwise.tasks.layers.description import describe_layers
from loopwise.tasks.layers.modules import RecurrentLayers, add_tensor, draw_uniformly
from loopwise.tasks.speech.config import ModelConfig


class Texts(NamedTuple):
    """What is said in each of some utterances."""

    units: Tensor
    """[U, B], padded with 0 at the end"""
    lengths: Tensor
    """[B]"""

    def to(self, device: torch.device) -> "Texts":
        """The same on a device."""
        return Texts(self.units.to(device), self.lengths.to(device))


class SpeechBatch(NamedTuple):
    """Utterances and their texts."""

    frames: Tensor
    """[T, B, F], 0 beyond an utterance's end"""
    lengths: Tensor
    """[B], frames of each"""
    texts: Texts
    auxiliary: Texts | None
    """the same in the units of the lower layer"""

    def to(self, device: torch.device) -> "SpeechBatch":
        """The same on a device."""
        auxiliary = None if self.auxiliary is None else self.auxiliary.to(device)
        return SpeechBatch(
            self.frames.to(device), self.lengths.to(device), self.texts.to(device), auxiliary
        )


class Reading(NamedTuple):
    """What a member makes of a batch: surprisals of whole texts, summed, in nats."""

    ctc: Tensor | None
    transducer: Tensor | None
    auxiliary: Tensor | None
    logits: Tensor | None
    """[K, B, V], of CTC's output"""
    steps: Tensor
    """[B], of each utterance"""
    output: Tensor
    """[K, B, H], the last layer's output before dropout"""
    dropped: Tensor
    """[K, B, H], the same after dropout"""


class Member(nn.Module):
    """Patches of frames, recurrent layers, and the heads.

    Args:
        description: sizes and cells, exactly as a bundle has them.
        config: what matters in training alone.
        auxiliary: units that a lower layer is told, blank included; 0 for none.
    """

    def __init__(
        self,
        description: RecognizerDescription,
        config: ModelConfig | None = None,
        auxiliary: int = 0,
    ):
        super().__init__()
        config = config or ModelConfig.load()
        self.description, self.config = description, config
        self.layers = RecurrentLayers(description.layers, config)
        if description.transducer is not None:
            self.predictor = RecurrentLayers(description.transducer.layers, config.predictor)
        for name, shape in description.member_shapes().items():
            if not name.startswith(("layers.", "predictor.")):
                add_tensor(self, name, torch.empty(shape))
        self._hears = (config.auxiliary_layer or max(len(description.layers) - 1, 1)) - 1
        self.auxiliary = None
        if auxiliary:
            self.auxiliary = nn.Linear(description.layers[self._hears].output_size, auxiliary)
        self._initialise(config.init_scale)

    def forward(self, batch: SpeechBatch) -> Reading:
        """Compare what is put out with the texts of the batch."""
        d, own = self.description, self.own()
        lengths = steps_of(d, batch.lengths)
        read = self.layers(read_frames(d, own, batch.frames), lengths=lengths)
        seen = look_ahead(d, own, read.dropped)
        ctc = transducer = auxiliary = put_out = None
        if d.ctc:
            put_out = logits(own, seen)
            ctc = ctc_loss(put_out, batch.texts.units, lengths, batch.texts.lengths).sum()
        if d.transducer is not None:
            transducer = transducer_loss(
                joint_frames(own, seen),
                joint_units(own, self._predict(batch.texts)),
                own["joint.weight"],
                own["joint.bias"],
                batch.texts.units,
                lengths,
                batch.texts.lengths,
            ).sum()
        if self.auxiliary is not None and batch.auxiliary is not None:
            heard = self.auxiliary(read.each[self._hears])
            lower = batch.auxiliary
            auxiliary = ctc_loss(heard, lower.units, lengths, lower.lengths).sum()
        heads = (ctc, transducer, auxiliary)
        return Reading(*heads, put_out, lengths, read.output, read.dropped)

    def _predict(self, texts: Texts) -> Tensor:
        """The prediction network's outputs after 0 ... U units of the texts, [U + 1, B, P]."""
        begun = functional.pad(texts.units, (0, 0, 1, 0))
        embedded = functional.embedding(begun, self.get_parameter("embedding.weight"))
        return self.predictor(embedded).dropped

    def own(self) -> dict[str, Tensor]:
        """The tensors without those of the layers, by the names that a bundle has for them."""
        named = self.named_parameters()
        return {n: p for n, p in named if not n.startswith(("layers.", "predictor."))}

    @torch.no_grad()
    def _initialise(self, scale: float) -> None:
        if scale:
            draw_uniformly(self, scale)
            return
        for name, weight in self.own().items():
            if name.endswith("bias"):
                weight.zero_()
            elif name == "lookahead.weight":
                weight.zero_()
                weight[0] = 1.0
            elif name == "embedding.weight":
                weight.normal_(0, 1 / math.sqrt(weight.shape[1]))
            else:
                bound = 1 / math.sqrt(weight.shape[-1])
                weight.uniform_(-bound, bound)


class RecognitionNetwork(nn.Module):
    """Members side by side, each with weights of its own, that hear the same.

    Args:
        description: as a bundle has it.
        config: as of `Member`.
        auxiliary: as of `Member`.
    """

    def __init__(
        self,
        description: RecognizerDescription,
        config: ModelConfig | None = None,
        auxiliary: int = 0,
    ):
        super().__init__()
        self.description = description
        made = (Member(description, config, auxiliary) for _ in range(description.members))
        self.members = Ensemble(made)

    def forward(self, batch: SpeechBatch) -> list[Reading]:
        """What each member makes of the batch."""
        return [member(batch) for member in self.members]


def disagreement(readings: Sequence[Reading]) -> Tensor:
    """How far each member is from what all say together, summed over all and their steps, in nats.

    Kullback and Leibler's divergence from the normalised geometric mean, which is what a deployed
    model answers, through which no gradient flows: networks that learn from each other (Zhang et
    al. 2018, arXiv:1706.00384), whose outputs then say a unit in the same step.
    """
    outputs = [reading.logits for reading in readings if reading.logits is not None]
    several = torch.stack(outputs).log_softmax(-1)
    together = several.detach().mean(0).log_softmax(-1)
    apart = (together.exp() * (together - several)).sum((0, -1))
    steps = readings[0].steps.to(apart.device)
    inside = torch.arange(several.shape[1], device=apart.device)[:, None] < steps
    return apart.masked_select(inside).sum()


def describe(config: ModelConfig, input_size: int, units: int) -> RecognizerDescription:
    """The description that a bundle will carry.

    Args:
        config: of the network.
        input_size: features of a frame.
        units: what can be put out, blank included.
    """
    width = config.width or config.stride
    size = config.channels or width * input_size
    transducer = None
    if config.transducer:
        embedding = config.predictor_embedding
        layers = describe_layers(config.predictor, embedding)
        transducer = TransducerDescription(embedding, layers, config.joint_size)
    return RecognizerDescription(
        kind="recognizer",
        input_size=input_size,
        stride=config.stride,
        width=width,
        channels=config.channels,
        layers=describe_layers(config, size, bidirectional=config.bidirectional),
        lookahead=config.lookahead,
        units=units,
        ctc=config.transducer < 1,
        transducer=transducer,
        members=config.members,
    )
