"""How a recognizer seeks what was said: options, and the grammar that they ask for."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypedDict, cast

from loopwise.codec.ngram.scorer import NGramScorer
from loopwise.codec.numbers import is_number
from loopwise.codec.search.ctc.options import CtcOptions
from loopwise.codec.search.grammar import Grammar
from loopwise.codec.search.hot_words import HotWords
from loopwise.codec.search.lexicon import LexiconGrammar
from loopwise.codec.search.scorer import Blend, Scorer
from loopwise.codec.search.units import UnitGrammar
from loopwise.codec.speech.codec import SpeechCodec
from loopwise.errors import ConfigError, DataError
from loopwise.runtime.language_model import LoadedLanguageModel
from loopwise.runtime.language_scorer import LanguageScorer
from loopwise.runtime.load import load

Among = Literal["auto", "words", "units"]
Method = Literal["auto", "ctc", "transducer"]
Language: TypeAlias = "str | os.PathLike[str] | LoadedLanguageModel | Scorer"

LANGUAGE_WEIGHT = 0.5
MOST = 1000
"""Of weights and bonuses, either sign: beyond, sums with logarithms lose their meaning."""

Spell: TypeAlias = Callable[[str], Sequence[int]]
"""From a phrase to the numbers of what is sought."""


class DecodingOptions(TypedDict, total=False):
    """Keyword arguments with the values of `Decoding`."""

    beam_size: int
    among: Among
    method: Method
    language: Language
    language_weight: float
    word_bonus: float
    hot_words: Sequence[str]
    hot_bonus: float


@dataclass(frozen=True)
class Decoding:
    """How what was said is sought.

    Attributes:
        beam_size: texts that are followed at a time, at least 1; 1 takes the likeliest unit each
            time and knows neither words nor language.
        among: ``"words"`` that are known (the lexicon's, or those of the n-grams), or any sequence
            of ``"units"``; ``"auto"`` seeks words where the units are phones.
        method: ``"ctc"`` or ``"transducer"``; ``"auto"`` takes the transducer if the model has no
            other.
        language: what says how likely a word, or where units are sought a unit, is after others:
            ``"own"``, the n-grams of words in the bundle where words are sought; ``"none"``; a
            language model of loopwise, or its path; or any `loopwise.codec.search.scorer.Scorer`.
        language_weight: of its logarithms, from -1000 to 1000.
        word_bonus: for each word, or unit, that is sought, in nats, likewise.
        hot_words: words, or phrases, that are expected.
        hot_bonus: for each of them that is said, in nats, likewise.

    Raises:
        ConfigError: a value that is not allowed, or options that a beam of one cannot heed.
    """

    beam_size: int = 16
    among: Among = "auto"
    method: Method = "auto"
    language: Language = "own"
    language_weight: float = LANGUAGE_WEIGHT
    word_bonus: float = 0.0
    hot_words: Sequence[str] = ()
    hot_bonus: float = 2.0

    def __post_init__(self):
        if self.among not in ("auto", "words", "units"):
            raise ConfigError(f"among={self.among!r}: must be auto, words or units")
        if self.method not in ("auto", "ctc", "transducer"):
            raise ConfigError(f"method={self.method!r}: must be auto, ctc or transducer")
        CtcOptions(beam_size=self.beam_size)
        for name in ("language_weight", "word_bonus", "hot_bonus"):
            value = getattr(self, name)
            if not (is_number(value) and abs(value) <= MOST):
                raise ConfigError(f"{name}={value!r}: must be a number from -{MOST} to {MOST}")
        words = cast(Any, self.hot_words)
        if isinstance(words, str) or not isinstance(words, Sequence):
            raise ConfigError(f"hot_words={words!r}: must be a list of phrases")
        for phrase in cast("Sequence[Any]", words):
            if not isinstance(phrase, str) or not phrase.strip():
                raise ConfigError(f"hot_words: {phrase!r} is no phrase")
        if self.beam_size == 1 and self._rated():
            raise ConfigError(
                "beam_size=1 takes the likeliest unit each time: it knows no words, language, "
                "bonus or hot words; give a larger one"
            )

    def _rated(self) -> bool:
        """Whether texts are to be rated by more than their sound, beyond the defaults."""
        kept = (self.among, self.language) in (("auto", "own"), ("units", "none"))
        weighed = self.language_weight != LANGUAGE_WEIGHT or self.word_bonus
        return bool(not kept or weighed or self.hot_words)


def make_grammar(codec: SpeechCodec, options: Decoding) -> Grammar:
    """The texts among which options seek.

    Raises:
        ConfigError: words are to be sought and none are known, or a language model of other units.
        DataError: a hot word that cannot be spelled.
    """
    units, among = codec.units, options.among
    if among == "auto":
        among = "words" if units.unit == "phones" else "units"
    if among == "units":
        scorer = _scorer(
            codec, options, units.symbols, units.unit, lambda phrase: units.encode(phrase).tolist()
        )
        return UnitGrammar(units.size, scorer)
    words: Mapping[str, Any] = codec.words
    if not words:
        raise ConfigError(
            "among='words': this model knows none, neither a lexicon nor n-grams; seek 'units'"
        )
    numbers = {word: number for number, word in enumerate(words)}
    scorer = _scorer(codec, options, tuple(words), "words", _speller(codec, numbers))
    return LexiconGrammar(words, units.size, scorer, separator=_space(codec))


def _speller(codec: SpeechCodec, numbers: Mapping[str, int]) -> Spell:
    def spell(phrase: str) -> Sequence[int]:
        found = codec.units.normalise(phrase).split()
        missing = [word for word in found if word not in numbers]
        if missing:
            raise DataError(f"{missing[0]!r} is not among the words that are known")
        return [numbers[word] for word in found]

    return spell


def _scorer(
    codec: SpeechCodec, options: Decoding, names: Sequence[str], unit: str, spell: Spell
) -> Scorer | None:
    """All that rates texts besides the sound."""
    scorers: list[tuple[Scorer, float]] = []
    language = _language(codec, options.language, names, unit)
    if language is not None:
        scorers.append((language, options.language_weight))
    if options.hot_words:
        phrases = {_spelled(phrase, spell): options.hot_bonus for phrase in options.hot_words}
        scorers.append((HotWords(phrases, len(names)), 1.0))
    if options.word_bonus and not scorers:
        scorers.append((HotWords({}, len(names)), 0.0))  # indifferent
    return Blend(scorers, bonus=options.word_bonus) if scorers else None


def _spelled(phrase: str, spell: Spell) -> tuple[int, ...]:
    try:
        return tuple(spell(phrase))
    except DataError as error:
        raise DataError(f"hot word {phrase!r}: {error}") from None


def _language(
    codec: SpeechCodec, language: Language, names: Sequence[str], unit: str
) -> Scorer | None:
    if isinstance(language, str) and language == "none":
        return None
    if isinstance(language, str) and language == "own":
        if codec.language is None or unit != "words":
            return None
        return NGramScorer(codec.language, names)
    if isinstance(language, str | os.PathLike):
        loaded = load(language)
        if not isinstance(loaded, LoadedLanguageModel):
            raise ConfigError(f"language={os.fspath(language)!r}: no language model")
        language = loaded
    if isinstance(language, LoadedLanguageModel):
        return LanguageScorer(language, names, unit, codec.units.symbols[0])
    if not (hasattr(language, "start") and hasattr(language, "advance")):
        raise ConfigError(
            f"language={language!r}: must be own, none, a language model, its path or a Scorer"
        )
    return language


def _space(codec: SpeechCodec) -> int | None:
    """The unit that stands between words."""
    return codec.units.symbols.index(" ") if " " in codec.units.symbols else None
