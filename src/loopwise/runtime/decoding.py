"""How a recognizer seeks what was said: options, and the search that they ask for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

from loopwise.codec.ngram.scorer import NGramScorer
from loopwise.codec.search.ctc.beam import CtcSearch
from loopwise.codec.search.ctc.greedy import GreedySearch
from loopwise.codec.search.ctc.options import CtcOptions
from loopwise.codec.search.grammar import Grammar
from loopwise.codec.search.lexicon import LexiconGrammar
from loopwise.codec.search.units import UnitGrammar
from loopwise.codec.speech.codec import SpeechCodec
from loopwise.errors import ConfigError

Among = Literal["auto", "words", "units"]


class DecodingOptions(TypedDict, total=False):
    """Keyword arguments with the values of `Decoding`."""

    beam_size: int
    among: Among
    language: Any
    language_weight: float
    word_bonus: float


@dataclass(frozen=True)
class Decoding:
    """How what was said is sought.

    Attributes:
        beam_size: texts that are followed at a time; 1 takes the likeliest unit of each step, and
            knows neither words nor language.
        among: ``"words"`` that are known (the lexicon's, or those of the n-grams), or any sequence
            of ``"units"``; ``"auto"`` seeks words where the units are phones.
        language: what says how likely a word, or a unit, is after others: a
            `loopwise.codec.search.scorer.Scorer`, ``"own"`` for the n-grams in the bundle, which
            know words, or ``"none"``.
        language_weight: of its logarithms.
        word_bonus: for each word, in nats.
    """

    beam_size: int = 16
    among: Among = "auto"
    language: Any = "own"
    language_weight: float = 0.6
    word_bonus: float = 1.5
    search: CtcOptions = field(default_factory=CtcOptions)

    def __post_init__(self):
        if self.among not in ("auto", "words", "units"):
            raise ConfigError(f"among={self.among!r}: must be auto, words or units")
        CtcOptions(beam_size=self.beam_size)


def ctc_search(codec: SpeechCodec, options: Decoding) -> CtcSearch | GreedySearch:
    """The search that options ask for.

    Raises:
        ConfigError: words are to be sought, and none are known.
    """
    if options.beam_size == 1:
        return GreedySearch(codec.units.size)
    return CtcSearch(_grammar(codec, options), CtcOptions(beam_size=options.beam_size))


def _grammar(codec: SpeechCodec, options: Decoding) -> Grammar:
    units, weight = codec.units, options.language_weight
    among = options.among
    if among == "auto":
        among = "words" if units.unit == "phones" else "units"
    own = options.language == "own"
    scorer = None if options.language in ("own", "none") else options.language
    if among == "units":
        if own and units.unit == "words" and codec.language is not None:
            scorer = NGramScorer(codec.language, units.symbols)
        return UnitGrammar(units.size, scorer, weight=weight)
    words: Mapping[str, Any] = codec.words
    if not words:
        raise ConfigError(
            "among='words': this model knows none; train it with data.order, or 'units'"
        )
    if own and codec.language is not None:
        scorer = NGramScorer(codec.language, tuple(words))
    return LexiconGrammar(
        words,
        units.size,
        scorer,
        weight=weight,
        bonus=options.word_bonus,
        separator=_space(codec),
    )


def _space(codec: SpeechCodec) -> int | None:
    """The unit that stands between words."""
    return codec.units.symbols.index(" ") if " " in codec.units.symbols else None
