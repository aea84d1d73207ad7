"""From files to pairs of token sequences, and the batches that training takes of them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from loopwise.codec.pairs import Pairs
from loopwise.codec.sentences import TranslationCodec
from loopwise.errors import DataError
from loopwise.runtime.waiting import visible
from loopwise.tasks.translation.model import PairBatch

Ids = NDArray[np.int32]

CHUNK = 100
"""Batches' worth of pairs that are sorted by length together."""


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


class PairStream:
    """An endless stream of batches of pairs of like length, a `loopwise.train.task.BatchStream`.

    An epoch's pairs are shuffled, sorted by length within chunks and cut into batches, whose order
    is shuffled. All of it follows from the seed and the epoch, so the number of batches that were
    given out is all there is to the place in the stream.

    Args:
        codec: of the pairs.
        pairs: to learn from.
        batch_tokens: of both sides of a batch of one process, at most; a longer pair is a batch of
            its own.
        batch_size: pairs of a batch, at most.
        dropout: share of merges that are left out, anew in each epoch.
        wait: source words that the first word of the target waits for; 0 for all.
        seed: equal in all processes.
        rank: index of this process.
        world: number of processes.

    Raises:
        DataError: an epoch has fewer batches than processes.
    """

    def __init__(
        self,
        codec: TranslationCodec,
        pairs: Pairs,
        batch_tokens: int,
        batch_size: int,
        *,
        dropout: float = 0.0,
        wait: int = 0,
        seed: int = 1,
        rank: int = 0,
        world: int = 1,
    ):
        self._codec, self._pairs = codec, pairs
        self._encoded = encode(codec, pairs)
        self._tokens, self._size = batch_tokens, batch_size
        self._dropout, self._wait, self._seed = dropout, wait, seed
        self._rank, self._world = rank, world
        self._name = fingerprint(codec, pairs)
        self._epoch, self._place = 0, 0
        self._plan = self._cut(0)
        if not self._plan:
            raise DataError(
                f"{pairs.name}: {len(pairs)} pairs make no batch for each of {world} processes: "
                "lower train.batch_tokens"
            )

    @property
    def encoded(self) -> Encoded:
        """The pairs as tokens."""
        return self._encoded

    @property
    def epoch(self) -> int:
        """Index of the epoch that the next batch belongs to."""
        return self._epoch

    @property
    def progress(self) -> float:
        """Epochs given out so far, with the fraction of the running one."""
        return self._epoch + self._place / len(self._plan)

    @property
    def starts_epoch(self) -> bool:
        """Whether the next batch is the first of an epoch."""
        return self._place == 0

    def next(self) -> PairBatch:
        """The next batch."""
        rows = self._plan[self._place]
        batch = make_batch(
            self._codec,
            [self._encoded.sources[i] for i in rows],
            [self._encoded.targets[i] for i in rows],
            self._wait,
        )
        self._place += 1
        if self._place == len(self._plan):
            self._begin(self._epoch + 1, 0)
        return batch

    def state_dict(self) -> dict[str, Any]:
        """The place in the stream, and in which, as JSON values."""
        return {
            "pairs": self._name,
            "tokens": self._tokens,
            "size": self._size,
            "seed": self._seed,
            "world": self._world,
            "epoch": self._epoch,
            "place": self._place,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Return to a place that `state_dict` gave.

        Raises:
            DataError: it is one in another stream.
        """
        for key, own in self.state_dict().items():
            if key not in ("epoch", "place") and state[key] != own:
                raise DataError(
                    f"the checkpoint is of other batches: its {key} were {state[key]}, not {own}: "
                    "continue with the same pairs, data options, train.batch_tokens, "
                    "train.batch_size and train.seed"
                )
        self._begin(int(state["epoch"]), int(state["place"]))

    def _begin(self, epoch: int, place: int) -> None:
        if epoch != self._epoch:
            self._plan = self._cut(epoch)
        self._epoch, self._place = epoch, place

    def _cut(self, epoch: int) -> list[NDArray[np.int64]]:
        """This process's batches of an epoch, as rows of the pairs."""
        if self._dropout:
            self._encoded = self._encode(epoch)
        lengths = np.array([len(source) for source in self._encoded.sources])
        ahead = np.array([len(target) + 1 for target in self._encoded.targets])
        rng = np.random.default_rng([self._seed, epoch])
        order = rng.permutation(len(lengths))
        mean = max(float((lengths + ahead).mean()), 1.0)
        size = CHUNK * max(min(int(self._tokens / mean), self._size), 1)
        batches: list[NDArray[np.int64]] = []
        for begin in range(0, len(order), size):
            rows = order[begin : begin + size]
            rows = rows[np.lexsort((lengths[rows], ahead[rows]))]
            batches += _split(rows, (lengths + ahead)[rows], self._tokens, self._size)
        batches = [batches[i] for i in rng.permutation(len(batches))]
        whole = len(batches) - len(batches) % self._world
        return batches[self._rank : whole : self._world]

    def _encode(self, epoch: int) -> Encoded:
        codec, pairs, p = self._codec, self._pairs, self._dropout
        seeds = np.random.SeedSequence([self._seed, epoch]).generate_state(2)
        return Encoded(
            codec.source.encode_all(pairs.sources, dropout=p, seed=int(seeds[0])),
            codec.target.encode_all(pairs.targets, dropout=p, seed=int(seeds[1])),
        )


def _split(
    rows: NDArray[np.int64], lengths: NDArray[np.int64], tokens: int, size: int
) -> list[NDArray[np.int64]]:
    """Rows in a line, cut where the next would be one too many."""
    cuts, count, taken = [0], 0, 0
    for i, length in enumerate(lengths.tolist()):
        if taken and (count + length > tokens or taken == size):
            cuts.append(i)
            count, taken = 0, 0
        count, taken = count + length, taken + 1
    return [part for part in np.split(rows, cuts[1:]) if len(part)]


def make_batch(
    codec: TranslationCodec, sources: Sequence[Ids], targets: Sequence[Ids], wait: int = 0
) -> PairBatch:
    """Pairs of tokens, padded to the longest."""
    end = codec.target.end
    ended = [np.append(target, end) for target in targets]
    begun = [np.concatenate([[end], target]) for target in targets]
    seen = visible(codec, sources, targets, wait)
    return PairBatch(
        torch.from_numpy(_pad(sources, 0)),
        torch.tensor([len(source) for source in sources]),
        torch.from_numpy(_pad(begun, 0)),
        torch.from_numpy(_pad(ended, -1)),
        torch.tensor([len(target) for target in ended]),
        None if seen is None else torch.from_numpy(seen.T.copy()),
    )


def _pad(rows: Sequence[NDArray[Any]], value: int) -> NDArray[np.int64]:
    """[T, B], filled up with `value`."""
    table = np.full((max(map(len, rows), default=0), len(rows)), value, np.int64)
    for i, row in enumerate(rows):
        table[: len(row), i] = row
    return table
