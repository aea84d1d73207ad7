"""A trained language model as its users hold it: stream, generate, score."""

import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from loopwise.codec.corpus import Source
from loopwise.codec.metrics import TextScore, perplexity
from loopwise.codec.numbers import is_integer
from loopwise.codec.search import Sampling
from loopwise.codec.text import TextCodec, codec_from_json
from loopwise.errors import BundleError, ConfigError, DataError
from loopwise.runtime import scoring
from loopwise.runtime.bundle import Bundle, write_bundle
from loopwise.runtime.cache import NeuralCache
from loopwise.runtime.description import parse_description
from loopwise.runtime.generation import sample_pieces, until
from loopwise.runtime.modules import Ids, LanguageModel
from loopwise.runtime.scoring import TokenScore
from loopwise.runtime.session import Session


class LoadedLanguageModel:
    """A language model with its codec. It holds no state: every call and every session has its own.

    Args:
        bundle: of the task ``"language-model"``.

    Raises:
        BundleError: a codec that is not valid or does not fit the model.
        MissingExtraError: a codec of a package that is not installed.
    """

    def __init__(self, bundle: Bundle):
        description = parse_description(bundle.model)
        try:
            self.codec: TextCodec = codec_from_json(bundle.codec)
        except DataError as error:
            raise BundleError(str(error)) from error
        if self.codec.size != description.vocabulary:
            raise BundleError(
                f"the codec has {self.codec.size} tokens, the model {description.vocabulary}"
            )
        self.bundle = bundle
        self._model = LanguageModel(description, bundle.tensors)

    @property
    def info(self) -> dict[str, Any]:
        """What the training left in the bundle about itself."""
        return self.bundle.info

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the bundle to a file; raises BundleError if that cannot be done."""
        write_bundle(path, self.bundle)

    def stream(self) -> Session:
        """A new session at the beginning of a text, before any token."""
        return Session(self._model, self.bundle)

    def generate(
        self,
        prompt: str = "",
        length: int = 200,
        *,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int | None = None,
        stop: str | None = None,
    ) -> str:
        """A continuation of the prompt, without the prompt.

        Args:
            prompt: the text before; an empty one stands for the beginning of a text.
            length: number of tokens at most, at least 0.
            temperature: at least 0; 0 always takes the most likely token.
            top_k: draw among the k most likely tokens; 0 for all.
            top_p: draw among the fewest tokens with this probability in all, in (0, 1].
            seed: equal seeds give equal texts; None for a text of its own each time.
            stop: end before this string; None to end only by `length`.

        Raises:
            ConfigError: an option that is not allowed.
            DataError: a prompt that the codec cannot encode.
        """
        return "".join(
            self.generate_pieces(
                prompt,
                length,
                temperature=temperature,
                top_k=top_k,
                top_p=top_p,
                seed=seed,
                stop=stop,
            )
        )

    def generate_pieces(
        self,
        prompt: str = "",
        length: int = 200,
        *,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int | None = None,
        stop: str | None = None,
    ) -> Iterator[str]:
        """Give the text of `generate` piece by piece, each as soon as it is certain.

        Arguments and errors are those of `generate`; options are checked at the call.
        """
        sampling = Sampling(temperature, top_k, top_p)
        if not (is_integer(length) and length >= 0):
            raise ConfigError(f"length={length!r}: must be at least 0 and whole")
        if stop == "":
            raise ConfigError("stop='': must hold at least one character, or be None")
        if seed is not None and not (is_integer(seed) and seed >= 0):
            raise ConfigError(f"seed={seed!r}: must be at least 0 and whole, or None")
        rng = np.random.default_rng(seed)
        pieces = sample_pieces(self.stream(), self.codec, prompt, length, sampling, rng)
        return filter(None, pieces if stop is None else until(stop, pieces))

    def score(self, texts: str | Sequence[str]) -> list[float]:
        """The log-probability of each text at the beginning of a stream, in nats, at most 0.

        A single string is one text.

        Raises:
            DataError: a text that the codec cannot encode.
        """
        ids = self._encode(texts)
        return scoring.score_ids(self._model, self.codec.start, ids)

    def score_tokens(self, text: str) -> list[TokenScore]:
        """The surprisal of each token of a text; they sum to minus its `score`."""
        return scoring.score_tokens(self._model, self.codec, text)

    def score_source(self, source: Source, *, cache: NeuralCache | None = None) -> TextScore:
        """Score a whole file as one text in flat memory; see `scoring.score_source`."""
        return scoring.score_source(self._model, self.codec, source, cache)

    def perplexity(self, texts: str | Sequence[str]) -> float:
        """The perplexity per token over separate texts, at least 1.

        A single string is one text.

        Raises:
            DataError: texts that hold no token at all, or that the codec cannot encode.
        """
        ids = self._encode(texts)
        tokens = sum(map(len, ids))
        if not tokens:
            raise DataError("perplexity of no tokens: give at least one text that is not empty")
        nats = -math.fsum(scoring.score_ids(self._model, self.codec.start, ids))
        return perplexity(nats / tokens)

    def _encode(self, texts: str | Sequence[str]) -> list[Ids]:
        return [self.codec.encode_text(t) for t in ([texts] if isinstance(texts, str) else texts)]
