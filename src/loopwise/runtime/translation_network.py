"""Attention and readout of the translation network, written once for NumPy and torch.

What is computed is in array-API functions alone, so that training (torch tensors, with gradients)
and deployment (NumPy arrays, no torch) run the very same lines; only recurrent layers differ.

    keys, values    K m, V m            of each place of the source, m = [encoder; embedding]
    scores          h . K m / sqrt(d)   "dot" (Luong et al. 2015), in each of the heads (d features)
                    Q h . K m / sqrt(d) "general"
                    v . tanh(Q h + K m) "additive" (Bahdanau et al. 2015)
    context         sum of softmax(scores) times values
    readout         tanh(R [h; context] + b), of which the logits are a linear map

With coverage, what a place was given so far times a vector is added to its key (Tu et al. 2016).

Shapes: ``B`` sentences, ``S`` places of the source, ``T`` steps of the target, ``K`` heads of ``d``
features, ``A`` = K d.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from array_api_compat import array_namespace, device

from loopwise.runtime.description import TranslatorDescription

Array: TypeAlias = Any
"""Of NumPy or torch, float32."""

HIDDEN = -1e9
"""The score of what may not be seen."""


class Memory(NamedTuple):
    """What of a source the decoder may look at."""

    keys: Array
    """[B, K, S, d]"""
    values: Array
    """[B, K, S, d]"""
    lengths: Array
    """[B], places that there are"""

    def rows(self, index: Array) -> "Memory":
        """The memories of some sentences, which may come several times."""
        return Memory(*(part[index] for part in self))


class Look(NamedTuple):
    """What attention finds."""

    context: Array
    """[B, T, A]"""
    weights: Array
    """[B, T, S], the mean of the heads, summing to 1"""


def memorise(
    description: TranslatorDescription,
    tensors: Mapping[str, Array],
    states: Array,
    embedded: Array,
    lengths: Array,
) -> Memory:
    """Keys and values of sources.

    Args:
        description: of the network.
        tensors: its own, by their names in the description.
        states: [S, B, D], of the encoder.
        embedded: [S, B, E], what it read.
        lengths: [B], whole numbers.
    """
    xp = array_namespace(states)
    places = xp.concat([states, embedded], axis=-1) if description.source_in_memory else states
    places = xp.permute_dims(places, (1, 0, 2))
    keys = _split(description, places @ tensors["keys.weight"].T)
    values = _split(description, places @ tensors["values.weight"].T)
    return Memory(keys, values, lengths)


def begin(
    description: TranslatorDescription,
    tensors: Mapping[str, Array],
    states: Array,
    lengths: Array,
) -> list[tuple[Array, ...]]:
    """The decoder's states before the first step, by layer, each [B, size].

    Args:
        description: of the network.
        tensors: its own.
        states: [S, B, D], of the encoder, 0 beyond a row's length; of which the mean is read where
            the description says so.
        lengths: [B], whole numbers.
    """
    xp = array_namespace(states)
    rows, bias = states.shape[1], tensors["start.bias"]
    if description.start == "mean":
        count = xp.astype(xp.clip(lengths, min=1), states.dtype)[:, None]
        flat = (xp.sum(states, axis=0) / count) @ tensors["start.weight"].T + bias
    else:
        flat = xp.broadcast_to(bias, (rows, bias.shape[0]))
    flat, parts, at = xp.tanh(flat), [], 0
    for sizes in description.start_sizes:
        layer: list[Array] = []
        for size in sizes:
            layer.append(flat[:, at : at + size])
            at += size
        parts.append(tuple(layer))
    return parts


def look(
    description: TranslatorDescription,
    tensors: Mapping[str, Array],
    memory: Memory,
    hidden: Array,
    visible: Array | None = None,
    covered: Array | None = None,
) -> Look:
    """Attend to the source.

    Args:
        description: of the network.
        tensors: its own.
        memory: of the sentences.
        hidden: [B, T, H], the decoder's outputs.
        visible: [B, T], how many places each step may see, at least 1; None for all there are.
        covered: [B, S], what each place was given by the steps before, with coverage.
    """
    xp = array_namespace(hidden)
    d = description
    keys = memory.keys
    if covered is not None:
        keys = keys + covered[:, None, :, None] * _heads(xp, d, tensors["coverage.vector"])
    queries = hidden
    if d.attention != "dot":
        queries = hidden @ tensors["queries.weight"].T
    if d.attention == "additive":
        queries = _split(d, queries + tensors["queries.bias"])
        both = xp.tanh(queries[:, :, :, None, :] + keys[:, :, None, :, :])
        scores = xp.sum(both * _heads(xp, d, tensors["scores.vector"])[:, :, None], axis=-1)
    else:
        queries = _split(d, queries / math.sqrt(d.attention_size // d.heads))
        scores = queries @ xp.permute_dims(keys, (0, 1, 3, 2))
    seen = memory.lengths[:, None] if visible is None else visible
    places = xp.arange(keys.shape[2], device=device(memory.lengths))
    scores = xp.where((places < seen[:, :, None])[:, None], scores, HIDDEN)
    weights = xp.exp(scores - xp.max(scores, axis=-1, keepdims=True))
    weights = weights / xp.sum(weights, axis=-1, keepdims=True)
    context = xp.permute_dims(weights @ memory.values, (0, 2, 1, 3))
    return Look(xp.reshape(context, (*context.shape[:2], -1)), xp.mean(weights, axis=1))


def read_out(tensors: Mapping[str, Array], hidden: Array, context: Array) -> Array:
    """What the logits are a linear map of, [..., R], of a decoder's [..., H] and its context."""
    xp = array_namespace(hidden)
    both = xp.concat([hidden, context], axis=-1)
    return xp.tanh(both @ tensors["readout.weight"].T + tensors["readout.bias"])


def head(description: TranslatorDescription, tensors: Mapping[str, Array]) -> tuple[Array, Array]:
    """Weight [O, R] and bias [O] of the map to logits."""
    name = "embedding.weight" if description.tied else "head.weight"
    return tensors[name][: description.target_vocabulary], tensors["head.bias"]


def source_embedding(tensors: Mapping[str, Array]) -> Array:
    """[V, E], of the source's tokens."""
    return tensors.get("source_embedding.weight", tensors["embedding.weight"])


def _split(d: TranslatorDescription, x: Array) -> Array:
    """[B, N, A] to [B, K, N, d]."""
    xp = array_namespace(x)
    return xp.permute_dims(xp.reshape(x, (*x.shape[:2], d.heads, -1)), (0, 2, 1, 3))


def _heads(xp: Any, d: TranslatorDescription, vector: Array) -> Array:
    """[A] to [1, K, 1, d]."""
    return xp.reshape(vector, (1, d.heads, 1, -1))
