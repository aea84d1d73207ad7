"""A translator over one sentence, seen from inside: what it reads, and where it looks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from loopwise.codec.sentences import TranslationCodec
from loopwise.diagnose.attribution import attribute
from loopwise.diagnose.features import text_features
from loopwise.diagnose.states import (
    Array,
    Attention,
    Attribution,
    Inspection,
    LayerStates,
    Telling,
)
from loopwise.diagnose.telling import telling
from loopwise.diagnose.trace import trace
from loopwise.errors import DataError
from loopwise.runtime.alignment import Alignment
from loopwise.runtime.modules import Ids
from loopwise.runtime.translation_network import head, source_embedding
from loopwise.runtime.translator import LoadedTranslator
from loopwise.tasks.translation.data import make_batch
from loopwise.tasks.translation.model import PairBatch, TranslationNetwork

LIKELY = 5
FEWEST, MEASURED = 500, 4_000
"""Tokens that telling units are measured on, at least and about at most."""


@dataclass(frozen=True)
class Sentences:
    """What telling units are measured on.

    Attributes:
        name: where they are from.
        texts: a line each.
    """

    name: str
    texts: Sequence[str]


def inspect_sentence(
    model: LoadedTranslator,
    text: str,
    target: str | None,
    at: int | None,
    measured: Sentences | None = None,
) -> Inspection:
    """Look at one sentence and its translation. The steps are the tokens of the sentence.

    A translator that waits for k words sees as much of the sentence as it would as a stream.

    Args:
        model: of a bundle.
        text: the sentence, one word at least.
        target: a translation; None for the model's own.
        at: the token of the translation that is explained, from 0; negative counts from the end.
            None: the one that it was least sure of.
        measured: the sentences that show what units follow; None without.

    Raises:
        DataError: a sentence or a translation without a word, or one that has no such token.
    """
    if not text.split():
        raise DataError("the text has no word; there must be at least 1")
    codec, own = model.codec, model.model
    translation = _translated(model, text) if target is None else target
    source, ids = (
        side.encode(" ".join(sentence.split()))
        for side, sentence in ((codec.source, text), (codec.target, translation))
    )
    if not len(ids):
        raise DataError("the translation has no token to look at: give --target")
    network = _network(model)
    batch = make_batch(codec, [source], [ids], model.wait)
    states = trace(network, lambda: network.encode(batch.source, batch.source_lengths))
    visible = None if batch.visible is None else batch.visible.T.numpy()
    scored = own.score(own.read([source]), [ids], codec.target.end, visible)
    alignment = Alignment.of(codec, source, ids, scored.attention[0, : len(ids)])
    place = int(scored.log_probs[: len(ids), 0].argmin()) if at is None else at
    if not -len(ids) <= place < len(ids):
        raise DataError(
            f"at {at}: the translation has {len(ids)} tokens, 0 to {len(ids) - 1} (or "
            f"{-len(ids)} to -1)"
        )
    told = _telling(codec, network, measured)
    return Inspection(
        "text",
        tuple(_shown(codec, token) for token in alignment.source),
        states,
        _features(codec, [source]),
        told,
        _attribution(model, network, batch, alignment, place % len(ids)),
        () if told else (f"telling units need {FEWEST} tokens: give --data FILE, more sentences",),
        attention=Attention(
            tuple(_shown(codec, token) for token in alignment.target),
            alignment.weights,
            _words(alignment, text, translation),
            str(alignment),
            translation,
            given=target is not None,
        ),
    )


def _translated(model: LoadedTranslator, text: str) -> str:
    if not model.wait:
        return model.translate(text)
    stream = model.stream()
    return " ".join([*stream.push(text), *stream.finish()])


def _network(model: LoadedTranslator) -> TranslationNetwork:
    network = TranslationNetwork(model.model.description).eval()
    tensors = {
        k: torch.from_numpy(np.array(v, np.float32)) for k, v in model.bundle.tensors.items()
    }
    network.load_state_dict(tensors)
    return network


def _telling(
    codec: TranslationCodec, network: TranslationNetwork, measured: Sentences | None
) -> Telling | None:
    """Which units of the encoder follow what; None where there is too little to tell."""
    if measured is None:
        return None
    encoded = codec.source.encode_all([" ".join(text.split()) for text in measured.texts])
    encoded = [ids for ids in encoded if len(ids)]
    total = np.cumsum([len(ids) for ids in encoded])
    encoded = encoded[: int(np.searchsorted(total, MEASURED)) + 1]
    if not len(total) or total[len(encoded) - 1] < FEWEST:
        return None
    batch = make_batch(codec, encoded, [ids[:0] for ids in encoded])
    states = trace(network, lambda: network.encode(batch.source, batch.source_lengths), gates=False)
    there = (torch.arange(len(batch.source)) < batch.source_lengths[:, None]).numpy()
    joined = [
        LayerStates(
            each.name,
            each.cell,
            {part: v.swapaxes(0, 1)[there][:, None] for part, v in each.memory.items()},
        )
        for each in states
    ]
    return telling(joined, _features(codec, encoded), measured.name)


def _features(codec: TranslationCodec, sources: Sequence[Ids]) -> dict[str, Array]:
    """Of the tokens of sentences, one after the other, each sentence a line."""
    parts: list[dict[str, Array]] = []
    for ids in sources:
        decoder = codec.source.text.decoder()
        found = text_features([*(decoder.push(int(i)) for i in ids), "\n"])
        parts.append({name: values[:-1] for name, values in found.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _words(alignment: Alignment, text: str, translation: str) -> tuple[tuple[str, str, float], ...]:
    table, sources, targets = alignment.by_words, text.split(), translation.split()
    return tuple((targets[t], sources[s], float(table[t, s])) for t, s in alignment.pairs)


def _attribution(
    model: LoadedTranslator,
    network: TranslationNetwork,
    batch: PairBatch,
    alignment: Alignment,
    at: int,
) -> Attribution:
    """What the source's tokens give to one token of the translation."""
    codec = model.codec
    chosen, table = int(batch.targets[at, 0]), source_embedding(network.own()).detach()
    x = table[batch.source[:, 0]]

    def score(inputs: Tensor) -> Tensor:
        return _log_probs(network, batch, inputs, at)[:, chosen]

    shares = attribute(score, x, table.mean(0))
    with torch.no_grad():
        chances = _log_probs(network, batch, x[:, None], at)[0]
    top = chances.topk(min(LIKELY, len(chances)))
    likely = tuple(
        (_shown(codec, codec.target.token(int(i))), float(p))
        for i, p in zip(top.indices, top.values.exp(), strict=True)
    )
    what = f"the log-probability of {_shown(codec, alignment.target[at])!r}"
    place = f"at token {at} of the translation"
    return Attribution(len(x) - 1, 0, what, float(chances[chosen]), *shares, likely, place)


def _log_probs(network: TranslationNetwork, batch: PairBatch, x: Tensor, at: int) -> Tensor:
    """[B, O] of the token `at` of the one translation, of sources [S, B, E]."""
    rows = x.shape[1]
    memory, start = network.read(x, torch.full((rows,), len(x)))
    inputs = batch.inputs[: at + 1].expand(-1, rows)
    lengths = torch.full((rows,), at + 1)
    visible = None if batch.visible is None else batch.visible[: at + 1].expand(-1, rows)
    wide = batch._replace(inputs=inputs, targets=inputs, target_lengths=lengths, visible=visible)
    weight, bias = head(network.description, network.own())
    readout = network.decode(wide, memory, start).readout[at]
    return torch.log_softmax(readout @ weight.T + bias, -1)


def _shown(codec: TranslationCodec, token: str) -> str:
    """A token as it is shown: a space, which words are spelled without, as ·."""
    return f"·{token}" if codec.unit == "words" else token.replace(" ", "·")
