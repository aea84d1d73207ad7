"""A translator in NumPy and on the engine: sources are read, targets scored or extended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from loopwise import engine
from loopwise.runtime import native
from loopwise.runtime.cells import Array
from loopwise.runtime.description import LayerDescription, TranslatorDescription
from loopwise.runtime.encoder import Encoder
from loopwise.runtime.modules import Embedding, Ids, Stack, State, below
from loopwise.runtime.steps import NumpySteps, Steps, layout
from loopwise.runtime.translation_network import (
    Memory,
    begin,
    head,
    look,
    memorise,
    read_out,
    source_embedding,
)

TOGETHER = 16
"""Rows of logits that are normalised at a time, so few that they stay in the processor's cache."""


def limit(tokens: int) -> int:
    """Tokens of a translation, at most, of a source of so many."""
    return 2 * tokens + 20


@dataclass(frozen=True)
class Read:
    """What was read of B sources.

    Attributes:
        memory: what the decoder may look at.
        start: its state before the first step, by layer, each [B, size].
    """

    memory: Memory
    start: State

    def __len__(self) -> int:
        return len(self.memory.lengths)


@dataclass(frozen=True)
class Scored:
    """What a model thought of B targets.

    Attributes:
        log_probs: [T, B] of each token, in nats; 0 beyond a target's end.
        attention: [B, T, S], what each looked at.
    """

    log_probs: Array
    attention: Array


class TranslationModel:
    """The network of a bundle. It holds no state.

    Args:
        description: of the network.
        tensors: exactly those of ``description.tensor_shapes()``. It computes in float32, or in
            float64 where any tensor is float64.
        precision: of the decoder's weights on the engine.
    """

    def __init__(
        self,
        description: TranslatorDescription,
        tensors: Mapping[str, NDArray[Any]],
        precision: str = "float32",
    ):
        dtype = np.result_type(np.float32, *tensors.values())
        self.description, self.dtype, self._precision = description, dtype, precision
        self.tensors = {name: np.asarray(tensor, dtype) for name, tensor in tensors.items()}
        self._source = Embedding(source_embedding(self.tensors))
        self._target = Embedding(self.tensors["embedding.weight"])
        self._encoder = Encoder(description.encoder, below(self.tensors, "encoder."))
        self._decoder = Stack(description.decoder, below(self.tensors, "decoder."))
        weight, bias = head(description, self.tensors)
        self._head, self._head_bias = np.ascontiguousarray(weight.T), bias
        self._packed: dict[str, Any] = {}  # by side, made when first asked for

    def read(self, sources: Sequence[Ids]) -> Read:
        """Read sources, each the ids of its tokens; an empty one is a place without features."""
        lengths = np.array([max(len(source), 1) for source in sources], np.int64)
        embedded = np.zeros(
            (int(lengths.max()), len(sources), self.description.embedding_size), self.dtype
        )
        for row, source in enumerate(sources):
            embedded[: len(source), row] = self._source(np.asarray(source, np.int64))
        return self.remember(self._encoder(embedded, lengths), embedded, lengths)

    def remember(self, states: Array, embedded: Array, lengths: NDArray[np.int64]) -> Read:
        """What the decoder needs of the encoder's states [S, B, D] for embeddings [S, B, E]."""
        d, own = self.description, self.tensors
        memory = memorise(d, own, states, embedded, lengths)
        return Read(memory, tuple(begin(d, own, states, lengths)))

    def score(
        self, read: Read, targets: Sequence[Ids], end: int, visible: NDArray[Any] | None = None
    ) -> Scored:
        """Score targets, each with the end token after it.

        Args:
            read: their sources.
            targets: ids of each.
            end: the token that ends a target and stands before its first.
            visible: [B, T], places of the source that each step may see; None for all.
        """
        ended = [np.append(target, end) for target in targets]
        steps, rows = max(map(len, ended)), len(ended)
        inputs = np.full((steps, rows), end, np.int64)
        for row, target in enumerate(targets):
            inputs[1 : len(target) + 1, row] = target
        hidden, found = self._decode(read, inputs, visible)
        log_probs = np.zeros((steps, rows), self.dtype)
        for t in range(steps):
            there = [row for row in range(rows) if t < len(ended[row])]
            each = self.predict(hidden[t, there])
            log_probs[t, there] = each[np.arange(len(there)), [ended[row][t] for row in there]]
        return Scored(log_probs, found)

    def _decode(self, read: Read, inputs: Ids, visible: NDArray[Any] | None) -> tuple[Array, Array]:
        """Readouts [T, B, R] and attention [B, T, S] of the inputs [T, B]."""
        d, own = self.description, self.tensors
        if not d.stepwise:
            hidden, _ = self._decoder.forward(self._target(inputs), read.start)
            looked = look(d, own, read.memory, hidden.transpose(1, 0, 2), visible)
            return read_out(own, hidden, looked.context.transpose(1, 0, 2)), looked.weights
        decoder = self.begin(read)
        readouts: list[Array] = []
        weights: list[Array] = []
        rows = np.arange(len(read), dtype=np.int32)
        for t, tokens in enumerate(inputs):
            seen = None if visible is None else visible[:, t]
            readout, found = decoder.step(rows, tokens, seen)
            readouts.append(readout)
            weights.append(found)
        return np.stack(readouts), np.stack(weights, axis=1)

    def predict(self, readout: Array) -> Array:
        """Log-probabilities [N, O] of the next token, of readouts [N, R]."""
        logits = readout @ self._head
        scratch = np.empty_like(logits[:TOGETHER])
        for begin_at in range(0, len(logits), TOGETHER):
            part = logits[begin_at : begin_at + TOGETHER]
            part += self._head_bias
            part -= part.max(axis=-1, keepdims=True)
            powers = np.exp(part, out=scratch[: len(part)])
            part -= np.log(powers.sum(axis=-1, keepdims=True))
        return logits

    def begin(self, read: Read, most: int | None = None) -> "Decoder":
        """The decoder before the first token of each of the sources.

        Args:
            read: the sources.
            most: rows that there may be at once; None for as many as sources.
        """
        return Decoder(self, read, most or len(read))

    def steps(self, side: Literal["encoder", "decoder"], capacity: int) -> Steps:
        """Streams of the layers of one side, which read features of its tokens."""
        layers: tuple[LayerDescription, ...] = getattr(self.description, side)
        tensors = below(self.tensors, f"{side}.")
        if native.engine_takes(layers, tensors):
            if side not in self._packed:
                self._packed[side] = native.pack(layers, tensors, {}, self._precision)
            return engine.streams(self._packed[side], capacity)
        stack = Stack(layers, tensors)
        return NumpySteps(layers, stack.initial_state(1), stack.forward, capacity)

    def embed(self, side: Literal["encoder", "decoder"], tokens: Ids) -> Array:
        """Features of tokens of any shape, [..., E]."""
        return (self._source if side == "encoder" else self._target)(tokens)


class Decoder:
    """Targets that grow, a row each, side by side.

    Args:
        model: the network.
        read: the sources; at first each has a row.
        most: rows that there may be at once.
    """

    def __init__(self, model: TranslationModel, read: Read, most: int):
        self._model, self._read = model, read
        d, rows = model.description, len(read)
        self._steps = model.steps("decoder", max(most, rows))
        self._begin(read)
        self._source = np.arange(rows)
        self._memory = read.memory
        self._readout = np.zeros((rows, d.readout_size), model.dtype)
        places = read.memory.keys.shape[2]
        self._covered = np.zeros((rows, places), model.dtype) if d.coverage else None
        self._hidden = np.zeros((rows, 1, d.query_size), model.dtype)
        self._weights = np.zeros((rows, places), model.dtype)

    def step(
        self, rows: NDArray[np.int32], tokens: Ids, visible: NDArray[Any] | None = None
    ) -> tuple[Array, Array]:
        """Read a token after each of some rows.

        Args:
            rows: [N], of the call before, of which row i goes on; they may come several times, and
                those that do not come are gone.
            tokens: [N].
            visible: [N], places of the source that each may see; None for all.

        Returns:
            readouts [N, R] and attention [N, S].
        """
        model, d = self._model, self._model.description
        self._keep(rows)
        ids = np.arange(len(rows), dtype=np.int32)
        x = model.embed("decoder", np.asarray(tokens, np.int64))
        if d.input_feeding:
            x = np.concatenate([x, self._readout], axis=-1)
        self._hidden = self._steps.step(ids, x)[:, None]
        return self.look(visible)

    def see(self, memory: Memory) -> None:
        """Take another memory of the very same sources, such as one that has grown."""
        self._memory = memory

    def look(self, visible: NDArray[Any] | None = None) -> tuple[Array, Array]:
        """The results of the last step once more, where more of the source may be seen."""
        model, seen = self._model, None if visible is None else visible[:, None]
        found = look(
            model.description, model.tensors, self._memory, self._hidden, seen, self._covered
        )
        self._weights = found.weights[:, 0]
        self._readout = read_out(model.tensors, self._hidden[:, 0], found.context[:, 0])
        return self._readout, self._weights

    def _keep(self, rows: NDArray[np.int32]) -> None:
        if self._covered is not None:
            self._covered = self._covered + self._weights
        if len(rows) == len(self._source) and bool((rows == np.arange(len(rows))).all()):
            return
        self._steps.reorder(rows)
        self._readout = self._readout[rows]
        if self._covered is not None:
            self._covered = self._covered[rows]
        source = self._source[rows]
        if not np.array_equal(source, self._source):  # beams of a sentence share its memory
            self._source, self._memory = source, self._read.memory.rows(source)

    def _begin(self, read: Read) -> None:
        parts = list(layout(self._model.description.decoder).values())
        size = -(-parts[-1].stop // 16) * 16
        states = np.zeros((len(read), size), self._model.dtype)
        for part, array in zip(parts, (a for layer in read.start for a in layer), strict=True):
            states[:, part] = array
        for row, state in enumerate(states):
            self._steps.set_state(state.tobytes(), row)


class GrowingSource:
    """A source that is read token by token, by an encoder that reads forwards.

    Args:
        model: the network.
    """

    def __init__(self, model: TranslationModel):
        self._model = model
        self._steps = model.steps("encoder", 1)
        self._parts: list[tuple[Array, Array]] = []  # states and embeddings

    def push(self, tokens: Ids) -> None:
        """Read tokens [n]."""
        embedded = self._model.embed("encoder", np.asarray(tokens, np.int64))
        self._parts.append((self._steps.push(embedded), embedded))

    def __len__(self) -> int:
        return sum(len(embedded) for _, embedded in self._parts)

    @property
    def read(self) -> Read:
        """What was read so far, as one source."""
        states, embedded = (
            np.concatenate(part)[:, None] for part in zip(*self._parts, strict=True)
        )
        return self._model.remember(states, embedded, np.array([len(states)]))
