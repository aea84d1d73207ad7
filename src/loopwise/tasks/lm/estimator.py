"""`loopwise.LanguageModel`: fit, score, generate, save, from Python."""

import os
from typing import Any, Unpack

from rich.console import Console

from loopwise.codec.base import encode_utf8
from loopwise.codec.corpus import Source
from loopwise.codec.search.options import LENGTH, SamplingOptions
from loopwise.codec.strings import Texts, list_texts
from loopwise.errors import DataError, missing_extra
from loopwise.runtime.language_model import LoadedLanguageModel
from loopwise.runtime.load import load
from loopwise.tasks.fitting import Estimator, require_model, run_directory
from loopwise.tasks.lm.config import LMConfig
from loopwise.tasks.lm.data import held_out, make_corpus
from loopwise.tasks.lm.sample import sample_of


class LanguageModel(Estimator[LMConfig, LoadedLanguageModel]):
    """A recurrent language model.

    Args:
        config: all options; None for the defaults.
        settings: single options instead, such as ``unit="chars"``, ``hidden_size=256``,
            ``epochs=5``; ``loopwise config lm`` prints them all.

    Attributes:
        config: the options.
        result: how the training ended, once fitted.

    Raises:
        ConfigError: an option is not allowed.
    """

    def __init__(self, config: LMConfig | None = None, **settings: Any):
        super().__init__(LMConfig, config, settings, ("train", "valid"), "texts")

    def fit(
        self,
        texts: Texts,
        valid: Texts | None = None,
        *,
        out: str | os.PathLike[str] | None = None,
        resume: bool = False,
        overwrite: bool = False,
        verbose: bool = False,
    ) -> "LanguageModel":
        """Train on texts and keep the model that was best on validation.

        Args:
            texts: one text or several, read one after the other; strings, or bytes, which need
                not be UTF-8 where ``unit`` is ``"bytes"``.
            valid: the same for validation; None holds out the end of `texts`
                (``valid_fraction``).
            out: the run's directory, a new one unless `resume` or `overwrite` is true; None for
                none to stay.
            resume: continue the run at `out` from its latest checkpoint, with the same texts.
            overwrite: replace the run at `out`.
            verbose: show progress.

        Returns:
            itself.

        Raises:
            ConfigError: `resume` and `overwrite` together, or without `out`; or a run that cannot
                be continued with these options.
            DataError: no text, too little for the batch, or to `resume` another one than before.
            RunError: `out` is occupied, or to `resume` no run.
            TrainingError: no validation gave a finite loss, or steps in a row were not finite.
            MissingExtraError: training is not installed.
        """
        try:
            from loopwise.tasks.lm.training import train
        except ModuleNotFoundError as error:
            raise missing_extra(error, "LanguageModel.fit") from error
        data = self.config.data
        with run_directory(out, resume=resume, overwrite=overwrite) as run:
            sources = _sources(texts, "texts")
            valid_sources = None if valid is None else _sources(valid, "valid")
            corpus = make_corpus(sources, valid_sources, data)
            self.result = train(
                self.config,
                run,
                corpus,
                resume=resume,
                overwrite=overwrite,
                console=Console(quiet=not verbose),
            )
            require_model(self.result)
            self._fitted = load(run)
        self._sample = sample_of([held_out(sources, valid_sources, data)])
        return self

    def perplexity(self, texts: Texts) -> float:
        """Perplexity per token over separate texts; see `LoadedLanguageModel.perplexity`."""
        return self.fitted.perplexity(texts)

    def score(self, texts: Texts) -> list[float]:
        """Log-probability of each text in nats; see `LoadedLanguageModel.score`."""
        return self.fitted.score(texts)

    def generate(
        self,
        prompt: str = "",
        length: int = LENGTH,
        *,
        stop: str | None = None,
        **sampling: Unpack[SamplingOptions],
    ) -> str:
        """A continuation of `prompt`, without it; see `LoadedLanguageModel.generate`."""
        return self.fitted.generate(prompt, length, stop=stop, **sampling)


def _sources(texts: Texts, name: str) -> list[Source]:
    sources = [
        Source(f"{name}[{number}]", text if isinstance(text, bytes) else encode_utf8(text))
        for number, text in enumerate(list_texts(texts, name))
        if text
    ]
    if not sources:
        raise DataError(f"{name}: no text in it")
    return sources
