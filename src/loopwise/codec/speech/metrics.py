"""Measures of recognised text, by `jiwer`: rates of wrong words, characters and sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loopwise.codec.strings import require_pairs
from loopwise.errors import missing_extra

if TYPE_CHECKING:
    from jiwer import WordOutput


@dataclass(frozen=True)
class Confusion:
    """A word that was taken for another.

    Attributes:
        said: the word; empty where `heard` was put in.
        heard: what was recognised; empty where `said` was left out.
        count: how often.
    """

    said: str
    heard: str
    count: int


@dataclass(frozen=True)
class SpeechScore:
    """How far recognised texts are from what was said, over a whole corpus.

    Attributes:
        wer: word error rate, ``(substitutions + deletions + insertions) / words``; a fraction that
            can exceed 1. Without any word it is the number of insertions, as in jiwer.
        cer: the same of characters, spaces included.
        sentence_error_rate: share of texts with an error, 0 to 1.
        substitutions: words taken for others.
        deletions: words left out.
        insertions: words put in.
        hits: words recognised.
        words: words that were said.
        characters: characters that were said, spaces included.
        sentences: number of texts.
        confusions: the most frequent errors, the most frequent first, then by alphabet.
    """

    wer: float
    cer: float
    sentence_error_rate: float
    substitutions: int
    deletions: int
    insertions: int
    hits: int
    words: int
    characters: int
    sentences: int
    confusions: tuple[Confusion, ...]


def speech_score(
    hypotheses: Sequence[str], references: Sequence[str], *, confusions: int = 10
) -> SpeechScore:
    """The errors of a corpus, each text by itself aligned with the fewest of them.

    Words are what stands between white space, of which more than one count as one space. Case
    and punctuation count; who wants to pass over them changes both sides beforehand.

    Args:
        hypotheses: the recognised texts; they may be empty.
        references: what was said, one for each; they may be empty.
        confusions: how many of the most frequent errors to tell.

    Raises:
        DataError: if there are unequal numbers of them, none, or one is no string.
        MissingExtraError: if `jiwer` is not installed.
    """
    require_pairs(hypotheses, references, "recognised text")
    try:
        import jiwer
    except ModuleNotFoundError as error:
        raise missing_extra(error, "Measuring recognised text") from None
    said, heard = [[" ".join(text.split()) for text in texts] for texts in (references, hypotheses)]
    words, characters = jiwer.process_words(said, heard), jiwer.process_characters(said, heard)
    wrong = sum(one != other for one, other in zip(said, heard, strict=True))
    counts = Counter(_errors(words))
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:confusions]
    return SpeechScore(
        wer=float(words.wer),
        cer=float(characters.cer),
        sentence_error_rate=wrong / len(said),
        substitutions=words.substitutions,
        deletions=words.deletions,
        insertions=words.insertions,
        hits=words.hits,
        words=words.hits + words.substitutions + words.deletions,
        characters=characters.hits + characters.substitutions + characters.deletions,
        sentences=len(said),
        confusions=tuple(Confusion(*pair, count) for pair, count in ranked),
    )


def _errors(output: WordOutput) -> Iterator[tuple[str, str]]:
    """Each wrong word: what was said and what was heard, empty for nothing."""
    for said, heard, chunks in zip(
        output.references, output.hypotheses, output.alignments, strict=True
    ):
        for chunk in chunks:
            ours = said[chunk.ref_start_idx : chunk.ref_end_idx]
            theirs = heard[chunk.hyp_start_idx : chunk.hyp_end_idx]
            if chunk.type == "substitute":
                yield from zip(ours, theirs, strict=True)
            elif chunk.type == "delete":
                yield from ((word, "") for word in ours)
            elif chunk.type == "insert":
                yield from (("", word) for word in theirs)
