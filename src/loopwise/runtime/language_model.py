"""A trained language model as its users hold it: stream, generate, score."""

import math
import os
from collections.abc import Iterator
from typing import Any, Unpack

from loopwise import engine
from loopwise.codec.corpus import Source
from loopwise.codec.metrics import TextScore, perplexity
from loopwise.codec.numbers import is_integer
from loopwise.codec.sampling import LENGTH, Sampling, SamplingOptions
from loopwise.codec.strings import Text, Texts, list_texts, require_text
from loopwise.codec.text import TextCodec, codec_from_json
from loopwise.errors import BundleError, ConfigError, DataError
from loopwise.runtime import scoring
from loopwise.runtime.bundle import Bundle, write_bundle
from loopwise.runtime.cache import NeuralCache
from loopwise.runtime.description import parse_description
from loopwise.runtime.generation import sample_pieces, until
from loopwise.runtime.modules import Ids, LanguageModel
from loopwise.runtime.native import PackedLanguageModel, engine_takes, pack_language_model
from loopwise.runtime.precision import require_precision
from loopwise.runtime.scoring import Reader, TokenScore
from loopwise.runtime.steps import NumpySteps, Steps
from loopwise.runtime.stream import Stream, TokenIds, require_streams


class LoadedLanguageModel:
    """A language model with its codec. It holds no state: every call and every stream has its own.

    The engine computes in the bundle's precision. Where it does not run, and with a cache, NumPy
    computes in float32 with weights that are rounded to it.

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
        self._packed: dict[str, Any] = {}  # by type of the weights, made when first asked for

    @property
    def info(self) -> dict[str, Any]:
        """What the training left in the bundle about itself."""
        return self.bundle.info

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the bundle to a file; raises BundleError if that cannot be done."""
        write_bundle(path, self.bundle)

    def stream(self, streams: int = 1, *, dtype: str | None = None) -> Stream:
        """New streams at the beginning of a text, before any token.

        Args:
            streams: how many; they share the weights.
            dtype: of the weights: ``"float32"``; or ``"bfloat16"`` or ``"int8"``, which are less
                accurate, and half and a quarter as large; None for that of the bundle.

        Raises:
            ConfigError: no number of streams, or a type that is not there.
        """
        layers = self._model.description.layers
        steps = self._steps(require_streams(streams), dtype)
        inputs = TokenIds(self._model.description.vocabulary)
        return Stream(steps, inputs, layers, self._model.dtype, self.bundle.fingerprint)

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
                values and defaults of `loopwise.codec.sampling.Sampling`.

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

    def _steps(self, streams: int, dtype: str | None) -> Steps:
        model, wanted = self._model, self.bundle.dtype if dtype is None else dtype
        require_precision(wanted)
        if self._engine_takes_it():
            return engine.streams(self._pack(wanted), streams)
        if dtype not in (None, "float32"):
            raise ConfigError(f"dtype={dtype!r}: needs the native engine (see loopwise doctor)")
        return NumpySteps(model.description.layers, model.initial_state(), model.read, streams)

    def _reader(self) -> Reader:
        dtype = self.bundle.dtype
        if dtype == "float32" or not self._engine_takes_it():
            return self._model
        return PackedLanguageModel(self._pack(dtype))

    def _pack(self, dtype: str) -> Any:
        if dtype not in self._packed:
            self._packed[dtype] = pack_language_model(
                self._model.description, self.bundle.tensors, dtype
            )
        return self._packed[dtype]

    def _engine_takes_it(self) -> bool:
        return engine_takes(self._model.description.layers, self.bundle.tensors)

    def _encode_all(self, texts: Texts) -> list[Ids]:
        return [self._encode(text) for text in list_texts(texts, "texts")]

    def _encode(self, text: Text) -> Ids:
        codec = self.codec
        return codec.encode_text(text) if isinstance(text, str) else codec.encode_bytes(text)


def _require_string(name: str, given: object) -> None:
    if not isinstance(given, str):
        raise DataError(f"{name}={given!r}: must be a string")
