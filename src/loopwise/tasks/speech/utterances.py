"""The utterances that options name, to learn from and to validate on. No torch here."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from loopwise.codec.speech.files import read_utterances
from loopwise.codec.speech.utterances import Utterances
from loopwise.errors import DataError
from loopwise.tasks.speech.config import DataConfig


def read_both(data: DataConfig) -> tuple[Utterances, Utterances]:
    """Utterances to learn from, and utterances to validate on, from files.

    Raises:
        DataError: no file is named, there is nothing to hold out, or as
            `loopwise.codec.speech.files` says.
    """
    if not data.train:
        raise DataError("no utterances to train on: give --data, a manifest or a folder")
    utterances = read_utterances(data.train, invalid=data.invalid)
    if data.valid:
        return utterances, read_utterances(data.valid, invalid=data.invalid)
    return hold_out(utterances, data.valid_fraction)


def validation_utterances(data: DataConfig) -> Utterances:
    """The utterances that a training with these options validated on.

    Raises:
        DataError: they were no file, or are not there any more.
    """
    if data.valid:
        return read_utterances(data.valid, invalid=data.invalid)
    data.require_files()
    return read_both(data)[1]


def hold_out(utterances: Utterances, fraction: float) -> tuple[Utterances, Utterances]:
    """Utterances to learn from, and others to validate on.

    Where there are at least two speakers, they have none in common, else no text. Which are held
    out follows from their own letters: no order of the manifest, and no utterance that is added,
    changes more than a few.

    Raises:
        DataError: the utterances have neither two speakers nor two texts.
    """
    speakers = [utterance.speaker for utterance in utterances]
    names = speakers if len(set(speakers)) > 1 else utterances.texts
    different = sorted(set(names), key=_draw)
    if len(different) < 2:
        raise DataError(
            f"{utterances.name}: one speaker and one text; at least 2 of either are needed, to "
            "hold some out for validation: give more, or --valid"
        )
    held = set(_enough(different, names, fraction * len(utterances)))
    parts: tuple[list[int], list[int]] = [], []
    for i, name in enumerate(names):
        parts[name in held].append(i)
    learned = replace(utterances.choose(parts[0]), dropped=utterances.dropped)
    return learned, utterances.choose(parts[1])


def _enough(different: Sequence[str], names: Sequence[str], wanted: float) -> list[str]:
    """The first of some names that have so many utterances together; not all of them."""
    counts = {name: names.count(name) for name in different}
    held: list[str] = []
    for name in different[:-1]:
        if held and sum(counts[each] for each in held) >= wanted:
            break
        held.append(name)
    return held


def _draw(name: str) -> bytes:
    return hashlib.blake2b(name.encode("utf-8"), digest_size=8).digest()
