"""BPE dropout: other segmentations of the same text, drawn at random (Provilkov et al., 2020)."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.bpe import BpeCodec


def encode_with_dropout(
    codec: BpeCodec, texts: Sequence[str], dropout: float, generator: np.random.Generator
) -> list[NDArray[np.int32]]:
    """The ids ``[T]`` of each text where at each step a merge is left out with a probability.

    At every step of a word's segmentation, each merge that could be made is dropped with
    probability `dropout`; the first of those left is made; a step without any ends the word
    (algorithm 1). `tokenizers` can do this too, but its random numbers take no seed.

    Args:
        codec: what makes the tokens.
        texts: each in one line.
        dropout: 0 to 1; 0 gives the ids of `BpeCodec.encode_batch`, 1 those of all bytes.
        generator: where the random numbers come from.

    Raises:
        DataError: if a text holds a lone surrogate.
    """
    if dropout == 0:
        return codec.encode_batch(texts)
    segment = _segmenter(codec, _gaps(dropout, generator))
    lengths = np.array([len(piece) for piece in codec.pieces])
    rows: list[NDArray[np.int32]] = []
    for ids, chunks in codec.encode_chunks(texts):
        row = np.array(ids, np.int32)
        starts = np.flatnonzero(np.diff(chunks, prepend=-1)) if ids else np.zeros(0, np.int64)
        # Without dropout each merge takes one token away, and only the dropping of the merge that
        # is next matters: a chunk stays as it is unless one of these comes after `made` others.
        made = generator.geometric(dropout, len(starts)) - 1
        merges = np.add.reduceat(lengths[row] - 1, starts) if ids else made
        changed = np.flatnonzero(made < merges)
        rows.append(_replaced(row, starts, changed, made, segment) if len(changed) else row)
    return rows


def _replaced(
    row: NDArray[np.int32],
    starts: NDArray[np.int64],
    changed: NDArray[np.int64],
    made: NDArray[np.int64],
    segment: Callable[[list[int], int], list[int]],
) -> NDArray[np.int32]:
    """The row with other segmentations of the chunks that are `changed`."""
    ids, bounds, result, done = row.tolist(), [*starts.tolist(), len(row)], list[int](), 0
    for chunk in changed.tolist():
        first, end = bounds[chunk], bounds[chunk + 1]
        result += ids[done:first]
        result += segment(ids[first:end], int(made[chunk]))
        done = end
    return np.array(result + ids[done:], np.int32)


def _gaps(dropout: float, generator: np.random.Generator) -> Iterator[int]:
    """How many merges are kept before one is dropped, again and again."""
    while True:
        yield from (generator.geometric(dropout, 1024) - 1).tolist()


def _segmenter(codec: BpeCodec, gaps: Iterator[int]) -> Callable[[list[int], int], list[int]]:
    """A function of a chunk's ids and the number of merges before the first that is dropped."""
    ranks = {
        (left, right): (rank, merged) for rank, (left, right, merged) in enumerate(codec.merges)
    }
    byte_ids = {piece[0]: i for i, piece in enumerate(codec.pieces) if len(piece) == 1}
    octets = [[byte_ids[octet] for octet in piece] for piece in codec.pieces]

    def segment(ids: list[int], kept: int) -> list[int]:
        symbols = [octet for i in ids for octet in octets[i]]
        while True:
            possible = [
                (*ranks[pair], at) for at, pair in enumerate(pairwise(symbols)) if pair in ranks
            ]
            for _, merged, at in sorted(possible):
                if kept:
                    kept -= 1
                    symbols[at : at + 2] = [merged]
                    break
                kept = next(gaps)  # this one is dropped
            else:
                return symbols

    return segment
