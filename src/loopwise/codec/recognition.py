"""What was heard: text, and its words with their times."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Word:
    """A word, or another unit of speech, with its time.

    Attributes:
        text: as it is written.
        start: seconds from the beginning of the audio.
        end: seconds, at least `start`; words that follow each other do not overlap.
        confidence: from 0 to 1, how sure the recogniser is of it.
    """

    text: str
    start: float
    end: float
    confidence: float


@dataclass(frozen=True)
class Recognition:
    """What was recognised in an utterance, or so far in a stream.

    Attributes:
        text: the words joined.
        words: with their times, in order.
        tokens: the units that the network told apart (characters, pieces, phones), likewise.
        score: what recognitions of the same audio are ranked by: a log probability, and what
            language models, bonuses of words and hot words add to it.
    """

    text: str
    words: tuple[Word, ...]
    tokens: tuple[Word, ...]
    score: float
