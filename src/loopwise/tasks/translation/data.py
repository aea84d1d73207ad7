"""From files to pairs of token sequences, and the batches that training takes of them."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from loopwise.codec.pairs import Pairs
from loopwise.codec.sentences import TranslationCodec
from loopwise.runtime.waiting import visible
from loopwise.tasks.bucketing import Buckets, BucketStream, Lengths, pad
from loopwise.tasks.translation.model import PairBatch

Ids = NDArray[np.int32]


@dataclass(frozen=True)
class Encoded:
    """Pairs as tokens."""

    sources: list[Ids]
    """[S] each"""
    targets: list[Ids]
    """[T] each, without the end token"""

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def tokens(self) -> int:
        """Of both sides, the targets' ends included."""
        return sum(map(len, self.sources)) + sum(map(len, self.targets)) + len(self.targets)


def encode(codec: TranslationCodec, pairs: Pairs) -> Encoded:
    """The tokens of pairs."""
    return Encoded(codec.source.encode_all(pairs.sources), codec.target.encode_all(pairs.targets))


def fingerprint(codec: TranslationCodec, pairs: Pairs) -> str:
    """32 hexadecimal digits that name pairs and the vocabulary that they are read with."""
    digest = hashlib.blake2b(json.dumps(codec.to_json()).encode(), digest_size=16)
    for side in (pairs.sources, pairs.targets):
        digest.update("\n".join(side).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


class PairStream(BucketStream[PairBatch]):
    """An endless stream of batches of pairs of like length.

    Args:
        codec: of the pairs.
        pairs: to learn from.
        buckets: at most so many tokens of both sides, and pairs, in a batch.
        dropout: share of merges that are left out, anew in each epoch.
        wait: source words that the first word of the target waits for; 0 for all.

    Raises:
        DataError: an epoch has fewer batches than processes.
    """

    def __init__(
        self,
        codec: TranslationCodec,
        pairs: Pairs,
        buckets: Buckets,
        *,
        dropout: float = 0.0,
        wait: int = 0,
    ):
        self._codec, self._pairs = codec, pairs
        self._encoded = encode(codec, pairs)
        self._dropout, self._wait = dropout, wait
        super().__init__(
            buckets,
            f"{pairs.name}: {len(pairs)} pairs",
            {
                "pairs": fingerprint(codec, pairs),
                "tokens": buckets.most,
                "size": buckets.size,
            },
            "pairs, data options, train.batch_tokens, train.batch_size and train.seed",
        )

    @property
    def encoded(self) -> Encoded:
        """The pairs as tokens."""
        return self._encoded

    def _measure(self, epoch: int) -> Lengths:
        if self._dropout:
            self._encoded = self._encode(epoch)
        lengths = np.array([len(source) for source in self._encoded.sources])
        ahead = np.array([len(target) + 1 for target in self._encoded.targets])
        return Lengths(lengths + ahead, (lengths, ahead))

    def _take(self, rows: NDArray[np.integer[Any]]) -> PairBatch:
        return make_batch(
            self._codec,
            [self._encoded.sources[i] for i in rows],
            [self._encoded.targets[i] for i in rows],
            self._wait,
        )

    def _encode(self, epoch: int) -> Encoded:
        codec, pairs, p = self._codec, self._pairs, self._dropout
        seeds = np.random.SeedSequence([self._buckets.seed, epoch]).generate_state(2)
        return Encoded(
            codec.source.encode_all(pairs.sources, dropout=p, seed=int(seeds[0])),
            codec.target.encode_all(pairs.targets, dropout=p, seed=int(seeds[1])),
        )


def make_batch(
    codec: TranslationCodec, sources: Sequence[Ids], targets: Sequence[Ids], wait: int = 0
) -> PairBatch:
    """Pairs of tokens, padded to the longest."""
    end = codec.target.end
    ended = [np.append(target, end) for target in targets]
    begun = [np.concatenate([[end], target]) for target in targets]
    seen = visible(codec, sources, targets, wait)
    return PairBatch(
        torch.from_numpy(pad(sources, 0)),
        torch.tensor([len(source) for source in sources]),
        torch.from_numpy(pad(begun, 0)),
        torch.from_numpy(pad(ended, -1)),
        torch.tensor([len(target) for target in ended]),
        None if seen is None else torch.from_numpy(seen.T.copy()),
    )
