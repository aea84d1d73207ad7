"""Trained translators as their users hold them: translate, score, align, stream."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Unpack, overload

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.search.hypotheses import Hypothesis
from loopwise.codec.search.options import Search, SearchOptions
from loopwise.codec.search.prediction import Ensemble, Prediction
from loopwise.codec.search.sequences import search
from loopwise.codec.sentences import TranslationCodec
from loopwise.codec.strings import list_texts
from loopwise.errors import BundleError, ConfigError, DataError
from loopwise.runtime.alignment import Alignment, with_source_words
from loopwise.runtime.bundle import Bundle, write_bundle
from loopwise.runtime.description import TranslatorDescription, parse_as
from loopwise.runtime.modules import Ids
from loopwise.runtime.translation_model import Read, TranslationModel, limit
from loopwise.runtime.translation_stream import TranslationStream
from loopwise.runtime.waiting import require_wait, visible

SEARCH = Search(beam_size=5, length_penalty=1.4)
"""How translations are sought unless told otherwise."""
BATCH = 64
"""Sentences that are translated side by side."""


@dataclass(frozen=True, eq=False)
class Translation:
    """A translation.

    Attributes:
        text: of it.
        ids: of its tokens, without the end.
        log_probability: of its tokens and its end, in nats.
        score: what translations of a sentence are ranked by; see `loopwise.codec.search.options`.
        cut: whether it would have gone on, but was too long.
        alignment: what it looked at.
    """

    text: str
    ids: Ids
    log_probability: float
    score: float
    cut: bool
    alignment: Alignment


class Translating:
    """One network or several that translate together, by the mean of their probabilities.

    Args:
        codec: of all of them.
        models: at least one.
    """

    def __init__(self, codec: TranslationCodec, models: Sequence[TranslationModel]):
        self.codec, self._models = codec, list(models)

    @overload
    def translate(self, sentences: str, **options: Unpack[SearchOptions]) -> str: ...  # pyright: ignore[reportOverlappingOverload]
    @overload
    def translate(
        self, sentences: Sequence[str], **options: Unpack[SearchOptions]
    ) -> list[str]: ...
    def translate(
        self, sentences: str | Sequence[str], **options: Unpack[SearchOptions]
    ) -> str | list[str]:
        """The best translation of each sentence; of nothing but white space, nothing.

        Args:
            sentences: one or several, a line each.
            options: how they are sought, with the values of `loopwise.codec.search.options.Search`
                and the defaults ``beam_size=5, length_penalty=1.4``.

        Raises:
            ConfigError: an option that is not allowed.
            DataError: what is no sentence, or one that the codec cannot encode.
        """
        found = self.translations(sentences, **options)
        texts = [best[0].text if best else "" for best in found]
        return texts[0] if isinstance(sentences, str) else texts

    def translations(
        self,
        sentences: str | Sequence[str],
        *,
        batch_size: int = BATCH,
        first: int = 0,
        **options: Unpack[SearchOptions],
    ) -> list[list[Translation]]:
        """The ``n_best`` translations of each sentence, the best first.

        A sentence of nothing but white space has none. Other arguments and errors are those of
        `translate`.

        Args:
            sentences: one or several, a line each.
            batch_size: sentences that are translated side by side, which changes no result.
            first: number of the first of them; what is drawn for a sentence depends on the seed and
                on its number.
            options: how they are sought.
        """
        wanted = as_search(options)
        texts = [_sentence(text) for text in list_texts(sentences, "sentences")]
        sources = self.codec.source.encode_all(texts)
        found: list[list[Translation]] = [[] for _ in texts]
        for rows in _batches(sources, batch_size):
            numbers = [first + row for row in rows]
            part = self._seek([sources[row] for row in rows], numbers, wanted)
            for row, hypotheses in zip(rows, part, strict=True):
                found[row] = [self._translation(texts[row], sources[row], h) for h in hypotheses]
        return found

    def _seek(
        self, sources: Sequence[Ids], numbers: Sequence[int], options: Search
    ) -> list[list[Hypothesis]]:
        each = options.beam_size if options.sampling is None else options.n_best
        end = self.codec.target.end
        predictors = [
            _Predictor(model, model.read(sources), end, each * len(sources))
            for model in self._models
        ]
        lengths = np.array([len(source) for source in sources])
        return search(
            predictors[0] if len(predictors) == 1 else Ensemble(predictors),
            options,
            end=end,
            limits=[limit(length) for length in lengths.tolist()],
            source_lengths=lengths,
            numbers=numbers,
        )

    def _translation(self, text: str, source: Ids, found: Hypothesis) -> Translation:
        attention = found.attention
        assert attention is not None  # the network has it
        alignment = Alignment.of(self.codec, source, found.ids, attention[:, : len(source)])
        if self.codec.unit == "words":
            translated = with_source_words(self.codec, text, found.ids, alignment)
        else:
            translated = self.codec.target.decode(found.ids)
        return Translation(
            translated, found.ids, found.log_probability, found.score, found.cut, alignment
        )


class LoadedTranslator(Translating):
    """A translator with its codec.

    Args:
        bundle: of the task ``"translator"``.

    Raises:
        BundleError: a model of another kind, or a codec that is not valid or does not fit it.
        MissingExtraError: a codec of a package that is not installed.
    """

    def __init__(self, bundle: Bundle):
        d = parse_as(TranslatorDescription, bundle.model)
        try:
            codec = TranslationCodec.from_json(bundle.codec)
        except DataError as error:
            raise BundleError(str(error)) from error
        sizes = (codec.source.size, codec.target.size, codec.shared)
        if sizes != (d.source_vocabulary, d.target_vocabulary, d.shared):
            raise BundleError(
                f"the codec has {codec.source.size} and {codec.target.size} tokens, the model "
                f"{d.source_vocabulary} and {d.target_vocabulary}"
            )
        self.bundle, self.model = bundle, TranslationModel(d, bundle.tensors, bundle.dtype)
        super().__init__(codec, [self.model])

    @property
    def info(self) -> dict[str, Any]:
        """What the training left in the bundle about itself."""
        return self.bundle.info

    @property
    def wait(self) -> int:
        """Source words that it was trained to wait for before its first; 0 for all."""
        return self.model.description.wait

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the bundle to a file; raises BundleError if that cannot be done."""
        write_bundle(path, self.bundle)

    def stream(self, wait: int | None = None) -> TranslationStream:
        """Translate word by word, while the source is still coming.

        Args:
            wait: source words that are read before the first of the target; None for as many as in
                training.

        Raises:
            ConfigError: a translator that reads whole sentences, or a number that is not allowed.
        """
        return TranslationStream(self.model, self.codec, self.wait if wait is None else wait)

    def score(
        self,
        sources: str | Sequence[str],
        targets: str | Sequence[str],
        wait: int | None = None,
    ) -> list[float]:
        """The log-probability of each translation, its end included, in nats.

        Args:
            sources: one sentence or several.
            targets: as many.
            wait: source words that are read before the first of the target, as by a `stream`; None
                for as many as in training; 0 for all, as `translate` reads them.

        Raises:
            ConfigError: to wait, a translator that reads whole sentences.
            DataError: other numbers of them, or as `translate`.
        """
        return [float(log_probs.sum()) for log_probs in self.log_probs(sources, targets, wait)]

    def log_probs(
        self,
        sources: str | Sequence[str],
        targets: str | Sequence[str],
        wait: int | None = None,
    ) -> list[NDArray[Any]]:
        """The log-probability of each token of each translation, its end last: [T + 1] each.

        Arguments and errors are those of `score`.
        """
        return [log_probs for log_probs, _ in self._score(sources, targets, wait)]

    def score_tokens(self, source: str, target: str, wait: int | None = None) -> "list[TokenScore]":
        """The surprisal of each token of a translation and of its end; they sum to minus `score`.

        Arguments and errors are those of `score`.
        """
        (log_probs,) = self.log_probs(source, target, wait)
        ids = [*self.codec.target.encode(_sentence(target)), self.codec.target.end]
        return [
            TokenScore(self.codec.target.token(int(i)), float(-each))
            for i, each in zip(ids, log_probs, strict=True)
        ]

    def align(self, source: str, target: str, wait: int | None = None) -> Alignment:
        """What each token of a given translation looks at.

        Arguments and errors are those of `score`.
        """
        ((_, attention),) = self._score(source, target, wait)
        ids = [self.codec.source.encode(_sentence(source)), self.codec.target.encode(target)]
        return Alignment.of(self.codec, ids[0], ids[1], attention)

    def _score(
        self, sources: str | Sequence[str], targets: str | Sequence[str], wait: int | None
    ) -> list[tuple[NDArray[Any], NDArray[Any]]]:
        """Of each pair log-probabilities [T + 1] and attention [T, S]."""
        lines = [_sentence(text) for text in list_texts(sources, "sources")]
        wanted = [_sentence(text) for text in list_texts(targets, "targets")]
        if len(lines) != len(wanted):
            raise DataError(f"{len(lines)} sources and {len(wanted)} targets; give as many")
        wait = self.wait if wait is None else wait
        if wait:
            require_wait(self.model.description, wait)
        left, right = self.codec.source.encode_all(lines), self.codec.target.encode_all(wanted)
        found: list[Any] = [None] * len(left)
        for rows in _batches(left, empty=True):
            both = [left[row] for row in rows], [right[row] for row in rows]
            seen = visible(self.codec, *both, wait)
            scored = self.model.score(
                self.model.read(both[0]), both[1], self.codec.target.end, seen
            )
            for n, row in enumerate(rows):
                steps, places = len(right[row]), len(left[row])
                log_probs = scored.log_probs[: steps + 1, n]
                found[row] = log_probs, scored.attention[n, :steps, :places]
        return found


@dataclass(frozen=True)
class TokenScore:
    """A token of a translation, and its surprisal in nats."""

    token: str
    nats: float


def ensemble(translators: Sequence[LoadedTranslator]) -> Translating:
    """Several translators as one, by the mean of their probabilities.

    Raises:
        ConfigError: none, or translators of different vocabularies.
    """
    if not translators:
        raise ConfigError("an ensemble of no translators: give at least one")
    first = translators[0]
    for number, other in enumerate(translators[1:], start=2):
        if other.bundle.codec != first.bundle.codec:
            raise ConfigError(
                f"translator {number} has another vocabulary than the first; those of an ensemble "
                "are trained on the same pairs with the same data options"
            )
    return Translating(first.codec, [translator.model for translator in translators])


def as_search(options: SearchOptions) -> Search:
    """All options of a search by those that are given; what is drawn has no beam.

    Raises:
        ConfigError: an option that is unknown or not allowed.
    """
    known = [field.name for field in fields(Search)]
    if unknown := options.keys() - set(known):
        raise ConfigError(f"{min(unknown)}= is no option; known are {', '.join(known)}")
    base = SEARCH if options.get("sampling") is None else replace(SEARCH, beam_size=1)
    return replace(base, **options)


class _Predictor:
    """A network before its first token, as the search asks it; see `Predictor`."""

    def __init__(self, model: TranslationModel, read: Read, end: int, most: int):
        self._model, self._rows, self._end = model, len(read), end
        self._decoder = model.begin(read, most)

    def start(self) -> Prediction:
        rows = np.arange(self._rows, dtype=np.int32)
        return self.step(rows, np.full(self._rows, self._end, np.int32))

    def step(self, parents: NDArray[np.int32], tokens: NDArray[np.int32]) -> Prediction:
        readout, attention = self._decoder.step(parents, tokens)
        return Prediction(self._model.predict(readout), attention)


def _sentence(text: str | bytes) -> str:
    """A sentence with single spaces between its words."""
    if isinstance(text, bytes):
        raise DataError("sentences must be strings, not bytes")
    return " ".join(text.split())


def _batches(
    sources: Sequence[Ids], size: int = BATCH, *, empty: bool = False
) -> Iterator[list[int]]:
    """Places of sentences of like length, in batches; of empty ones where they are asked for."""
    order = sorted(range(len(sources)), key=lambda row: len(sources[row]))
    rows = [row for row in order if empty or len(sources[row])]
    for begin in range(0, len(rows), size):
        yield rows[begin : begin + size]
