"""What a search for speech finds."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from loopwise.codec.recognition import Recognition, Word


@dataclass(frozen=True)
class Spoken:
    """U units that were heard, with the frames of the best path through them.

    Attributes:
        ids: the units.
        starts: the frame in which each begins; ascending.
        ends: the frame before which it ends, at most the next one's start; its own start where
            several units were said in a frame.
        confidences: the unit's greatest probability in its frames.
        words: as a lexicon spells them; None from a search without.
        numbers: for each unit the number of its word; -1 for a unit that belongs to none, and all
            -1 from a search without a lexicon.
        log_probability: natural logarithm of the probability of the audio being read so, summed
            over the paths that were followed.
        score: that and what the language model and the bonuses add; what texts are ranked by.
    """

    ids: tuple[int, ...]
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    confidences: tuple[float, ...]
    words: tuple[str, ...] | None
    numbers: tuple[int, ...]
    log_probability: float
    score: float


class SpokenUnits(Protocol):
    """Turns units into text."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of units."""
        ...

    def token(self, unit: int) -> str:
        """One unit in printable form."""
        ...

    def words(self, ids: Sequence[int]) -> Iterable[int]:
        """For each unit the number of the word, from 0, to which it belongs; -1 for none."""
        ...


def recognition(
    spoken: Spoken, units: SpokenUnits, step: float, *, duration: float = math.inf
) -> Recognition:
    """The text and its times.

    A word begins with its first unit and ends with its last one. Its confidence is the geometric
    mean of theirs.

    Args:
        spoken: what was found.
        units: the recogniser's.
        step: seconds from one frame to the next.
        duration: of the audio, in seconds; no time is beyond it.
    """
    tokens = tuple(
        Word(units.token(unit), min(start * step, duration), min(end * step, duration), confidence)
        for unit, start, end, confidence in zip(
            spoken.ids, spoken.starts, spoken.ends, spoken.confidences, strict=True
        )
    )
    if spoken.words is None:
        text = units.decode(spoken.ids)
        words, numbers = tuple(text.split()), tuple(units.words(spoken.ids))
    else:
        text, words, numbers = " ".join(spoken.words), spoken.words, spoken.numbers
    return Recognition(text, _timed(words, tokens, numbers), tokens, spoken.score)


def _timed(
    words: Sequence[str], tokens: Sequence[Word], numbers: Sequence[int]
) -> tuple[Word, ...]:
    own: list[list[Word]] = [[] for _ in words]
    for token, number in zip(tokens, numbers, strict=True):
        if 0 <= number < len(words):  # beyond them is a word that was not spoken to its end
            own[number].append(token)
    return tuple(
        Word(text, mine[0].start, mine[-1].end, _geometric_mean([t.confidence for t in mine]))
        for text, mine in zip(words, own, strict=True)
        if mine
    )


def _geometric_mean(values: Sequence[float]) -> float:
    if min(values) <= 0:
        return 0.0
    return math.exp(sum(map(math.log, values)) / len(values))
