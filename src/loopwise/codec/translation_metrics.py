"""Measures of translations: BLEU and chrF by `sacrebleu`, and how far a simultaneous one lags."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np

from loopwise.codec.numbers import is_integer
from loopwise.codec.strings import require_pairs
from loopwise.errors import ConfigError, DataError, MissingExtraError

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

Tokenize: TypeAlias = Literal["13a", "none", "intl", "char", "zh"]
"""sacrebleu's tokenizers that need no download and no further package."""


@dataclass(frozen=True)
class TranslationScore:
    """How near translations come to references, over a whole corpus.

    Attributes:
        bleu: BLEU (Papineni et al., 2002), 0 to 100.
        chrf: chrF2 (Popovic, 2015), 0 to 100.
        precisions: of 1- to 4-grams in BLEU, 0 to 100.
        brevity_penalty: of BLEU, 0 to 1.
        hypothesis_tokens: tokens of the translations, as BLEU counts them.
        reference_tokens: those of the references.
        bleu_signature: sacrebleu's account of how it was computed.
        chrf_signature: likewise.
    """

    bleu: float
    chrf: float
    precisions: tuple[float, ...]
    brevity_penalty: float
    hypothesis_tokens: int
    reference_tokens: int
    bleu_signature: str
    chrf_signature: str


@dataclass(frozen=True)
class SentenceScore:
    """How near one translation comes to its reference.

    Attributes:
        bleu: BLEU with exponential smoothing over the orders that the sentence has, 0 to 100.
        chrf: chrF2, 0 to 100.
    """

    bleu: float
    chrf: float


def translation_score(
    hypotheses: Sequence[str],
    references: Sequence[str],
    *,
    tokenize: Tokenize = "13a",
    lowercase: bool = False,
) -> TranslationScore:
    """BLEU and chrF of a corpus.

    Args:
        hypotheses: the translations; they may be empty.
        references: one for each.
        tokenize: ``"13a"`` for plain text, ``"none"`` for what is tokenised already; ``"intl"``,
            ``"char"`` or ``"zh"``. It is BLEU's alone.
        lowercase: whether both measures are to pass over case.

    Raises:
        ConfigError: if `tokenize` is another.
        DataError: if there are unequal numbers of them, none, or one is no string.
        MissingExtraError: if `sacrebleu` is not installed.
    """
    require_pairs(hypotheses, references, "translation")
    bleu, chrf = _measures(tokenize, lowercase, whole=True)
    corpus, given = list(hypotheses), [list(references)]
    by_words, by_characters = bleu.corpus_score(corpus, given), chrf.corpus_score(corpus, given)
    return TranslationScore(
        bleu=by_words.score,
        chrf=by_characters.score,
        precisions=tuple(by_words.precisions),
        brevity_penalty=by_words.bp,
        hypothesis_tokens=int(by_words.sys_len),
        reference_tokens=int(by_words.ref_len),
        bleu_signature=str(bleu.get_signature()),
        chrf_signature=str(chrf.get_signature()),
    )


def sentence_scores(
    hypotheses: Sequence[str],
    references: Sequence[str],
    *,
    tokenize: Tokenize = "13a",
    lowercase: bool = False,
) -> list[SentenceScore]:
    """BLEU and chrF of each sentence by itself; arguments and errors as in `translation_score`."""
    require_pairs(hypotheses, references, "translation")
    bleu, chrf = _measures(tokenize, lowercase, whole=False)
    return [
        SentenceScore(
            bleu.sentence_score(hypothesis, [reference]).score,
            chrf.sentence_score(hypothesis, [reference]).score,
        )
        for hypothesis, reference in zip(hypotheses, references, strict=True)
    ]


def _measures(tokenize: str, lowercase: bool, *, whole: bool) -> tuple[BLEU, CHRF]:
    if tokenize not in get_args(Tokenize):
        allowed = ", ".join(map(repr, get_args(Tokenize)))
        raise ConfigError(f"tokenize={tokenize!r}: must be one of {allowed}")
    try:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
    except ImportError:
        raise MissingExtraError("text", "Measuring translations") from None
    # force: no warning that text looks tokenised, which it may well be
    bleu = BLEU(tokenize=tokenize, lowercase=lowercase, force=True, effective_order=not whole)
    return bleu, CHRF(lowercase=lowercase)


def average_lagging(delays: Sequence[int], source_length: int) -> float:
    """Average lagging of a simultaneous translation behind its source, in source words.

    With g(t) the delay of target word t, |x| and |y| the lengths, r = |y| / |x| and τ the first t
    with g(t) = |x| (Ma et al., 2019, eq. 8)::

        AL = 1/τ Σ_{t=1..τ} (g(t) - (t - 1) / r)

    wait-k on equal lengths has AL = k. If no word waited for the whole source, τ = |y|.

    Args:
        delays: g(t): source words that were read when target word t was written, [|y|].
        source_length: |x|, in words.

    Returns:
        The lag; NaN without a target word.

    Raises:
        DataError: if the delays fall, or are not whole numbers in 0 to `source_length`.
    """
    return _lagging(delays, source_length, len(delays))


def length_adaptive_average_lagging(
    delays: Sequence[int], source_length: int, reference_length: int
) -> float:
    """Average lagging that a translation of too many words does not lower (Papi et al., 2022).

    It is `average_lagging` with r = max(|y|, |y*|) / |x|, where |y*| is `reference_length`, the
    words of the reference.
    """
    return _lagging(delays, source_length, max(len(delays), reference_length))


def average_proportion(delays: Sequence[int], source_length: int) -> float:
    """The share of the source that is read when a target word is written, on average, 0 to 1.

    ``AP = 1 / (|x| |y|) Σ_t g(t)`` (Cho & Esipova, 2016); arguments, NaN and errors as in
    `average_lagging`.
    """
    _check_delays(delays, source_length)
    return sum(delays) / (source_length * len(delays)) if len(delays) else math.nan


def _lagging(delays: Sequence[int], source_length: int, target_length: int) -> float:
    _check_delays(delays, source_length)
    if not len(delays):
        return math.nan
    delay = np.asarray(delays)
    complete = np.flatnonzero(delay == source_length)
    counted = complete[0] + 1 if len(complete) else len(delay)
    ideal = np.arange(counted) * (source_length / target_length)
    return float(np.mean(delay[:counted] - ideal))


def _check_delays(delays: Sequence[int], source_length: int) -> None:
    if not is_integer(source_length) or source_length < 1:
        raise DataError(f"source_length={source_length!r}: must be at least 1")
    previous = 0
    for position, delay in enumerate(delays):
        if not is_integer(delay) or not previous <= delay <= source_length:
            raise DataError(
                f"delays[{position}]={delay!r}: must be a whole number in {previous} to "
                f"{source_length}, as delays cannot fall or go beyond the source"
            )
        previous = delay


@dataclass(frozen=True)
class Latency:
    """How far simultaneous translations lag; means over sentences that have a translation.

    Attributes:
        average_lagging: in source words.
        length_adaptive: average lagging that does not reward long translations, in source words.
        average_proportion: 0 to 1.
        sentences: how many the means are over.
        empty: how many had no translation.
    """

    average_lagging: float
    length_adaptive: float
    average_proportion: float
    sentences: int
    empty: int


def latency(
    delays: Sequence[Sequence[int]], source_lengths: Sequence[int], reference_lengths: Sequence[int]
) -> Latency:
    """The latency of a corpus.

    Args:
        delays: of each sentence, as `average_lagging` takes them.
        source_lengths: words of each source.
        reference_lengths: words of each reference.

    Raises:
        DataError: if there are unequal numbers of them, no translation at all, or delays that
            cannot be.
    """
    counts = {len(delays), len(source_lengths), len(reference_lengths)}
    if len(counts) > 1:
        raise DataError(
            f"delays of {len(delays)} sentences, {len(source_lengths)} lengths of sources and "
            f"{len(reference_lengths)} of references; they must be as many"
        )
    given = [
        each for each in zip(delays, source_lengths, reference_lengths, strict=True) if len(each[0])
    ]
    if not given:
        raise DataError("there is no translated sentence whose latency could be measured")
    return Latency(
        average_lagging=_mean([average_lagging(g, x) for g, x, _ in given]),
        length_adaptive=_mean([length_adaptive_average_lagging(*each) for each in given]),
        average_proportion=_mean([average_proportion(g, x) for g, x, _ in given]),
        sentences=len(given),
        empty=len(delays) - len(given),
    )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
