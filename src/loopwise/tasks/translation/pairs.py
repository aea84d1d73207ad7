"""The pairs that options name: those to learn from, and those to validate on. No torch here."""

import hashlib
from dataclasses import replace

from loopwise.codec.pair_files import read_pairs, read_parallel
from loopwise.codec.pairs import PairFilter, Pairs
from loopwise.errors import DataError
from loopwise.tasks.translation.config import DataConfig

MOST_HELD_OUT = 2000
"""Source sentences that are held out where no pairs are given to validate on."""


def read_both(data: DataConfig) -> tuple[Pairs, Pairs]:
    """Pairs to learn from, and pairs to validate on, from files.

    Raises:
        DataError: no file is named, there is nothing to hold out, or as `loopwise.codec.pair_files`
            says.
    """
    if not (data.train or data.source):
        raise DataError(
            "no pairs to train on: give --data FILE (TSV or JSON lines), or --source and --target"
        )
    pairs = _read(data, data.train, data.source, data.target)
    if data.valid or data.valid_source:
        return pairs, _read(data, data.valid, data.valid_source, data.valid_target)
    return hold_out(pairs, data.valid_fraction)


def validation_pairs(data: DataConfig) -> Pairs:
    """The pairs that a training with these options validated on.

    Raises:
        DataError: they were no file, or are not there any more.
    """
    if data.valid or data.valid_source:
        return _read(data, data.valid, data.valid_source, data.valid_target)
    data.require_files()
    return read_both(data)[1]


def hold_out(pairs: Pairs, fraction: float) -> tuple[Pairs, Pairs]:
    """Pairs to learn from, and pairs to validate on, which have no source in common.

    Which sentences are held out follows from their own letters: no order of the file, and no pair
    that is added, changes more than a few.

    Raises:
        DataError: the pairs have fewer than two different sources.
    """
    names = {source: _draw(source) for source in pairs.sources}
    count = min(max(round(len(names) * fraction), 1), MOST_HELD_OUT)
    if count >= len(names):
        raise DataError(
            f"{pairs.name}: {len(names)} different source sentences; at least 2 are needed, to "
            "hold some out for validation: give more, or --valid"
        )
    held = set(sorted(names, key=names.__getitem__)[:count])
    parts: tuple[list[int], list[int]] = [], []
    for i, source in enumerate(pairs.sources):
        parts[source in held].append(i)
    return replace(pairs.choose(parts[0]), dropped=pairs.dropped), pairs.choose(parts[1])


def _draw(sentence: str) -> bytes:
    return hashlib.blake2b(sentence.encode("utf-8"), digest_size=8).digest()


def _read(
    data: DataConfig, both: tuple[str, ...], source: tuple[str, ...], target: tuple[str, ...]
) -> Pairs:
    wanted = PairFilter(data.invalid, data.max_words, data.max_ratio, data.duplicates)
    if both:
        return read_pairs(both, wanted, columns=data.columns, keys=data.keys)
    return read_parallel(source, target, wanted)
