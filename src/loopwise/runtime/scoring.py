"""How likely texts are to a language model, in chunks, so that memory does not grow with a text.

Every token of a text is scored, the first one given ``codec.start`` and the initial state.
Surprisal is the negative log-likelihood, in nats.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.corpus import Source
from loopwise.codec.metrics import TextScore, score_of
from loopwise.codec.text import TextCodec
from loopwise.runtime.cache import CacheMemory, NeuralCache
from loopwise.runtime.cells import Array
from loopwise.runtime.loaded import Reader
from loopwise.runtime.modules import CHUNK, Ids, Model

_BATCH = 32


@dataclass(frozen=True)
class TokenScore:
    """One token of a text.

    Attributes:
        token: its printable form.
        nats: its surprisal given what stands before it, at least 0.
    """

    token: str
    nats: float


def score_source(model: Reader, codec: TextCodec, source: Source) -> TextScore:
    """Score a whole file as one text; the state is carried from its first to its last token.

    Args:
        model: the model.
        codec: its codec.
        source: the text.

    Raises:
        DataError: a source that the codec cannot encode, or without a token.
    """
    ids = codec.encode(source)
    return score_of(codec, source, ids, _total(_surprisals(model, codec, ids)))


def score_source_with_cache(
    model: Model, codec: TextCodec, source: Source, cache: NeuralCache
) -> TextScore:
    """`score_source` with a cache mixed into the model's probabilities."""
    ids = codec.encode(source)
    return score_of(codec, source, ids, _total(_cached_surprisals(model, codec, ids, cache)))


def score_tokens(model: Reader, codec: TextCodec, ids: Ids) -> list[TokenScore]:
    """The surprisal of each token of an encoded text [T]."""
    nats = [float(n) for part in _surprisals(model, codec, ids) for n in part]
    return [TokenScore(codec.token(i), n) for i, n in zip(ids.tolist(), nats, strict=True)]


def score_ids(model: Reader, start: int, texts: Sequence[Ids]) -> list[float]:
    """The log-probability of each of several encoded texts, in nats, at most 0; 0 for an empty one.

    Texts of like length are read together.

    Args:
        model: the model.
        start: the id that stands before a text.
        texts: ids [T] of each.
    """
    scores = [0.0] * len(texts)
    order = sorted(range(len(texts)), key=lambda k: len(texts[k]))
    for at in range(0, len(order), _BATCH):
        batch = order[at : at + _BATCH]
        for k, nats in zip(
            batch, _batch_nats(model, start, [texts[k] for k in batch]), strict=True
        ):
            scores[k] = 0.0 - float(nats)  # of nothing 0, not -0
    return scores


def _batch_nats(model: Reader, start: int, texts: Sequence[Ids]) -> NDArray[np.float64]:
    lengths = np.array([len(ids) for ids in texts])
    targets = np.full((lengths.max(), len(texts)), start)
    for column, ids in zip(targets.T, texts, strict=True):
        column[: len(ids)] = ids
    state, steps = model.initial_state(len(texts)), CHUNK // len(texts)
    total = np.zeros(len(texts))
    inputs = _shifted(targets, start)
    for t in range(0, len(targets), steps):
        logits, state = model.read(inputs[t : t + steps], state)
        nats = _surprisal(logits, targets[t : t + steps])
        read = np.arange(t, t + len(nats))[:, np.newaxis] < lengths
        total += (nats * read).sum(axis=0)
    return total


def _surprisals(model: Reader, codec: TextCodec, ids: Ids) -> Iterator[Array]:
    """The surprisal of every token, chunk by chunk, each [n] in float64."""
    state = model.initial_state()
    for inputs, targets in _chunks(ids, codec.start):
        logits, state = model.read(inputs, state)
        yield _surprisal(logits[:, 0], targets)


def _cached_surprisals(
    model: Model, codec: TextCodec, ids: Ids, cache: NeuralCache
) -> Iterator[Array]:
    state, memory = model.initial_state(), CacheMemory(cache)
    for inputs, targets in _chunks(ids, codec.start):
        hidden, state = model.hidden(inputs, state)
        nats = _surprisal(model.outputs(hidden[:, 0]), targets)
        yield memory.mix(nats, hidden[:, 0], targets)


def _chunks(ids: Ids, start: int) -> Iterator[tuple[Ids, Ids]]:
    """What the model reads [T, 1] and what it is to predict [T], chunk by chunk of a text."""
    inputs = _shifted(ids, start)
    for t in range(0, len(ids), CHUNK):
        yield inputs[t : t + CHUNK, np.newaxis], ids[t : t + CHUNK]


def _total(parts: Iterator[Array]) -> float:
    return sum(float(part.sum()) for part in parts)


def _shifted(targets: NDArray[Any], start: int) -> Ids:
    """What the model reads to predict the targets [T, ...]: the start, then all but the last."""
    return np.concatenate([np.full_like(targets[:1], start), targets[:-1]])


def _surprisal(logits: Array, targets: Ids) -> Array:
    """Minus the log-softmax of logits [..., V], which are overwritten, at the targets [...]."""
    logits -= logits.max(axis=-1, keepdims=True)
    chosen = np.take_along_axis(logits, targets[..., np.newaxis], axis=-1)[..., 0]
    np.exp(logits, out=logits)
    return np.log(logits.sum(axis=-1, dtype=np.float64)) - chosen
