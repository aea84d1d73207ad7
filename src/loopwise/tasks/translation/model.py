"""The translation network as a torch module: embeddings, layers, and the shared attention."""

import math
from functools import partial
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from loopwise.nn.cross_entropy import linear_cross_entropy
from loopwise.nn.regularize import DrawsOnce, drop_embeddings, locked_dropout, same_masks
from loopwise.nn.state import State
from loopwise.runtime.description import TranslatorDescription
from loopwise.runtime.translation_network import (
    Memory,
    begin,
    head,
    look,
    memorise,
    read_out,
    source_embedding,
)
from loopwise.tasks.layers.description import describe_layers
from loopwise.tasks.layers.modules import (
    RecurrentLayers,
    add_tensor,
    draw_uniformly,
)
from loopwise.tasks.translation.config import ModelConfig


class PairBatch(NamedTuple):
    """Sentences and their translations, padded at the end."""

    source: Tensor
    """[S, B] token ids"""
    source_lengths: Tensor
    """[B]"""
    inputs: Tensor
    """[T, B] the end token, then the target without its last"""
    targets: Tensor
    """[T, B] the target, the end token last; -1 beyond it"""
    target_lengths: Tensor
    """[B]"""
    visible: Tensor | None
    """[T, B], source tokens that a step may see; None for all"""

    def to(self, device: torch.device) -> "PairBatch":
        """The same on a device."""
        return PairBatch(
            self.source.to(device),
            self.source_lengths.to(device),
            self.inputs.to(device),
            self.targets.to(device),
            self.target_lengths.to(device),
            None if self.visible is None else self.visible.to(device),
        )


class Reading(NamedTuple):
    """What the model makes of a batch."""

    nats: Tensor
    """sum of the targets' surprisals, a scalar in float32"""
    smoothing: Tensor
    """sum of what the mean class's surprisal exceeds theirs by, a scalar in float32"""
    output: Tensor
    """[T, B, H], the decoder's output before dropout"""
    dropped: Tensor
    """[T, B, H], the same after dropout"""


class Decoding(NamedTuple):
    """What the decoder makes of the targets' inputs."""

    readout: Tensor
    """[T, B, R]"""
    output: Tensor
    """[T, B, H], its last layer's output before dropout"""
    dropped: Tensor
    """[T, B, H], the same after dropout"""


class TranslationNetwork(nn.Module, DrawsOnce):
    """Encoder, attention, decoder, readout.

    Args:
        description: sizes and cells, exactly as a bundle has them.
        config: what matters in training alone: dropout and initialisation.
    """

    def __init__(self, description: TranslatorDescription, config: ModelConfig | None = None):
        super().__init__()
        config = config or ModelConfig.load()
        self.description, self.config = description, config
        self.encoder = RecurrentLayers(description.encoder, config)
        self.decoder = RecurrentLayers(description.decoder, config)
        for name, shape in description.tensor_shapes().items():
            if not name.startswith(("encoder.", "decoder.")):
                add_tensor(self, name, torch.empty(shape))
        self._initialise(config.init_scale)

    def forward(self, batch: PairBatch) -> Reading:
        """Compare the next token's probabilities with the target, at every step of the batch."""
        memory, start = self.encode(batch.source, batch.source_lengths)
        decoding = self.decode(batch, memory, start)
        there = batch.targets >= 0
        rows = self._drop(decoding.readout, self.config.dropout_readout, "readout")[there]
        targets = batch.targets[there]
        weight, bias = head(self.description, self.own())
        nats = linear_cross_entropy(rows, weight, bias, targets)
        smoothing = _smoothing(rows, weight, bias, targets)
        return Reading(nats, smoothing, decoding.output, decoding.dropped)

    def encode(self, source: Tensor, lengths: Tensor) -> tuple[Memory, State]:
        """Read sources [S, B]: what the decoder may look at, and what it begins with."""
        embedded = self._embed(source_embedding(self.own()), source, "source")
        there = torch.arange(len(source), device=source.device)[:, None] < lengths
        return self.read(embedded * there[..., None], lengths)

    def read(self, embedded: Tensor, lengths: Tensor) -> tuple[Memory, State]:
        """`encode` of the features of sources, [S, B, E], which are 0 beyond their lengths."""
        states = self.encoder(embedded, lengths=lengths).dropped
        seen = self._drop(embedded, self.config.dropout_input, "memory")
        memory = memorise(self.description, self.own(), states, seen, lengths)
        start = begin(self.description, self.own(), states, lengths)
        return memory, _as_state(self.description, start)

    def decode(self, batch: PairBatch, memory: Memory, start: State) -> Decoding:
        """Read the targets' inputs."""
        if self.description.stepwise or (self.training and self.config.scheduled_sampling):
            with same_masks(self):
                return self._decode_stepwise(batch, memory, start)
        embedded = self._embed(self.own()["embedding.weight"], batch.inputs, "target")
        output, dropped, *_ = self.decoder(embedded, start, batch.target_lengths)
        visible = None if batch.visible is None else batch.visible.T
        found = look(self.description, self.own(), memory, dropped.transpose(0, 1), visible)
        readout = read_out(self.own(), dropped, found.context.transpose(0, 1))
        return Decoding(readout, output, dropped)

    def _decode_stepwise(self, batch: PairBatch, memory: Memory, state: State) -> Decoding:
        """One step after the other, where each needs what the one before found."""
        d, own = self.description, self.own()
        table, ids = own["embedding.weight"], batch.inputs
        rows, places = batch.inputs.shape[1], memory.keys.shape[2]
        readout = table.new_zeros(rows, d.readout_size)
        covered = table.new_zeros(rows, places) if d.coverage else None
        found: list[tuple[Tensor, Tensor, Tensor]] = []
        token = ids[0]
        for t in range(len(ids)):
            if t:
                token = self._next(ids[t], readout, batch.targets[t])
            x = self._embed(table, token[None], "target")
            if d.input_feeding:
                x = torch.cat([x, readout[None].to(x.dtype)], -1)
            output, dropped, state, _ = self.decoder(x, state)
            visible = None if batch.visible is None else batch.visible[t, :, None]
            looked = look(d, own, memory, dropped.transpose(0, 1), visible, covered)
            if covered is not None:
                covered = covered + looked.weights[:, 0]
            readout = read_out(own, dropped[0], looked.context[:, 0])
            found.append((readout, output[0], dropped[0]))
        return Decoding(*(torch.stack(part) for part in zip(*found, strict=True)))

    def _next(self, token: Tensor, readout: Tensor, target: Tensor) -> Tensor:
        """The true token, or with scheduled sampling one that is drawn (Bengio et al. 2015)."""
        share = self.config.scheduled_sampling if self.training else 0.0
        if not share:
            return token
        weight, bias = head(self.description, self.own())
        with torch.no_grad():
            probabilities = functional.linear(readout, weight, bias).float().softmax(-1)
            drawn = torch.multinomial(probabilities, 1)[:, 0]
        instead = torch.rand(token.shape, device=token.device) < share
        return torch.where(instead & (target >= 0), drawn, token)

    def own(self) -> dict[str, Tensor]:
        """The tensors without those of the layers, by the names that a bundle has for them."""
        named = self.named_parameters()
        return {n: p for n, p in named if not n.startswith(("encoder.", "decoder."))}

    def _embed(self, table: Tensor, ids: Tensor, side: str) -> Tensor:
        once, p = partial(self.once, side), self.config.dropout_embedding
        return drop_embeddings(table, ids, p, self.training, once)

    def _drop(self, x: Tensor, p: float, place: str) -> Tensor:
        return locked_dropout(x, p, self.training, partial(self.once, place))

    @torch.no_grad()
    def _initialise(self, scale: float) -> None:
        if scale:
            draw_uniformly(self, scale)
            return
        for name, weight in self.own().items():
            if name.endswith("bias"):
                weight.zero_()
            elif "embedding" in name:
                weight.normal_(0, 1 / math.sqrt(weight.shape[1]))
            else:
                bound = 1 / math.sqrt(weight.shape[-1])
                weight.uniform_(-bound, bound)


def _smoothing(rows: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """By how much the targets' logits exceed the mean logit, summed.

    That is what the surprisal of all classes, in the mean, exceeds that of the targets by; so label
    smoothing (Szegedy et al. 2016) needs no logits but these.
    """
    centred = functional.embedding(targets, weight) - weight.mean(0)
    return (rows.float() * centred).sum() + (bias[targets] - bias.mean()).sum()


def _as_state(d: TranslatorDescription, start: list[tuple[Tensor, ...]]) -> State:
    """The decoder's state as its layers take it."""
    states: list[State] = []
    for layer, parts in zip(d.decoder, start, strict=True):
        wide = tuple(part[None].contiguous() for part in parts)
        states.append(cast(State, wide) if layer.cell == "lstm" else wide[0])
    return tuple(states)


def describe(
    config: ModelConfig, source: int, target: int, *, shared: bool
) -> TranslatorDescription:
    """The description that a bundle will carry.

    Args:
        config: of the network.
        source: tokens of the source side.
        target: tokens of the target side.
        shared: whether these are the source's first ones.
    """
    size = config.embedding_size
    readout = size if config.tied else config.hidden_size
    return TranslatorDescription(
        kind="translator",
        source_vocabulary=source,
        target_vocabulary=target,
        shared=shared,
        embedding_size=size,
        encoder=describe_layers(config, size, bidirectional=config.bidirectional),
        source_in_memory=config.source_in_memory,
        attention=config.attention,
        attention_size=config.attention_size or config.hidden_size,
        heads=config.heads,
        coverage=config.coverage,
        start="learned" if config.wait else "mean",
        decoder=describe_layers(config.decoder, size + config.input_feeding * readout),
        input_feeding=config.input_feeding,
        readout_size=readout,
        tied=config.tied,
        wait=config.wait,
    )
