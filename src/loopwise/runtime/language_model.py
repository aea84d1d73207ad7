"""A trained language model as its users hold it: stream, generate, score."""

import math
from collections.abc import Iterator
from typing import Unpack

from loopwise.codec.corpus import Source
from loopwise.codec.metrics import TextScore, perplexity
from loopwise.codec.numbers import is_integer
from loopwise.codec.search.options import LENGTH, Sampling, SamplingOptions
from loopwise.codec.strings import Text, Texts, list_texts, require_text
from loopwise.codec.text import TextCodec, codec_from_json
from loopwise.errors import BundleError, ConfigError, DataError
from loopwise.runtime import scoring
from loopwise.runtime.bundle import Bundle
from loopwise.runtime.cache import NeuralCache
from loopwise.runtime.description import LanguageModelDescription, parse_as
from loopwise.runtime.generation import sample_pieces, until
from loopwise.runtime.loaded import LoadedModel
from loopwise.runtime.modules import Ids
from loopwise.runtime.scoring import TokenScore
from loopwise.runtime.stream import TokenIds


class LoadedLanguageModel(LoadedModel):
    """A language model with its codec; its streams read token ids and put out logits.

    Args:
        bundle: of the task ``"language-model"``.

    Raises:
        BundleError: a model of another kind, or a codec that is not valid or does not fit it.
        MissingExtraError: a codec of a package that is not installed.
    """

    def __init__(self, bundle: Bundle):
        description = parse_as(LanguageModelDescription, bundle.model)
        try:
            self.codec: TextCodec = codec_from_json(bundle.codec)
        except DataError as error:
            raise BundleError(str(error)) from error
        if self.codec.size != description.vocabulary:
            raise BundleError(
                f"the codec has {self.codec.size} tokens, the model {description.vocabulary}"
            )
        super().__init__(bundle, description, TokenIds(description.vocabulary))

    def generate(
        self,
        prompt: str = "",
        length: int = LENGTH,
        *,
        stop: str | None = None,
        **sampling: Unpack[SamplingOptions],
    ) -> str:
        """A continuation of the prompt, without the prompt.

        Args:
            prompt: the text before; an empty one stands for the beginning of a text.
            length: number of tokens at most, at least 0.
            stop: end before this string; None to end only by `length`.
            sampling: how to draw: ``temperature``, ``top_k``, ``top_p`` and ``seed``, with the
                values and defaults of `loopwise.codec.search.options.Sampling`.

        Raises:
            ConfigError: an option that is not allowed.
            DataError: a prompt that is no string, or that the codec cannot encode.
        """
        return "".join(self.generate_pieces(prompt, length, stop=stop, **sampling))

    def generate_pieces(
        self,
        prompt: str = "",
        length: int = LENGTH,
        *,
        stop: str | None = None,
        **sampling: Unpack[SamplingOptions],
    ) -> Iterator[str]:
        """Give the text of `generate` piece by piece, each as soon as it is certain.

        Arguments and errors are those of `generate`; options are checked at the call.
        """
        options = Sampling(**sampling)
        _require_string("prompt", prompt)
        if not (is_integer(length) and length >= 0):
            raise ConfigError(f"length={length!r}: must be at least 0 and whole")
        if stop is not None:
            _require_string("stop", stop)
            if not stop:
                raise ConfigError("stop='': must hold at least one character, or be None")
        pieces = sample_pieces(self.stream(), self.codec, prompt, length, options)
        return filter(None, pieces if stop is None else until(stop, pieces))

    def score(self, texts: Texts) -> list[float]:
        """The log-probability of each text at the beginning of a stream, in nats, at most 0.

        Args:
            texts: strings, or one; or bytes, which only a model of bytes takes if they are not
                UTF-8.

        Raises:
            DataError: what is no text, or one that the codec cannot encode.
        """
        ids = self._encode_all(texts)
        return scoring.score_ids(self._reader(), self.codec.start, ids)

    def score_tokens(self, text: Text) -> list[TokenScore]:
        """The surprisal of each token of a text; they sum to minus its `score`.

        Raises:
            DataError: as `score`.
        """
        ids = self._encode(require_text(text, "text"))
        return scoring.score_tokens(self._reader(), self.codec, ids)

    def score_source(self, source: Source, *, cache: NeuralCache | None = None) -> TextScore:
        """Score a whole file as one text in flat memory, mixed with a cache if one is given.

        Raises:
            DataError: a source that the codec cannot encode, or without a token.
        """
        if cache is not None:
            return scoring.score_source_with_cache(self._model, self.codec, source, cache)
        return scoring.score_source(self._reader(), self.codec, source)

    def perplexity(self, texts: Texts) -> float:
        """The perplexity per token over separate texts, at least 1.

        Args:
            texts: as in `score`.

        Raises:
            DataError: as `score`, or texts that hold no token at all.
        """
        ids = self._encode_all(texts)
        tokens = sum(map(len, ids))
        if not tokens:
            raise DataError("perplexity of no tokens: give at least one text that is not empty")
        nats = -math.fsum(scoring.score_ids(self._reader(), self.codec.start, ids))
        return perplexity(nats / tokens)

    def _encode_all(self, texts: Texts) -> list[Ids]:
        return [self._encode(text) for text in list_texts(texts, "texts")]

    def _encode(self, text: Text) -> Ids:
        codec = self.codec
        return codec.encode_text(text) if isinstance(text, str) else codec.encode_bytes(text)


def _require_string(name: str, given: object) -> None:
    if not isinstance(given, str):
        raise DataError(f"{name}={given!r}: must be a string")
