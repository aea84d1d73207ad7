"""`loopwise.Translator`: fit, translate, score, stream, save, from Python."""

import os
from collections.abc import Sequence
from typing import Any, Unpack, overload

from rich.console import Console

from loopwise.codec.pairs import PairFilter, Pairs, list_pairs
from loopwise.codec.search.options import SearchOptions
from loopwise.errors import missing_extra
from loopwise.runtime.load import load
from loopwise.runtime.translation_stream import TranslationStream
from loopwise.runtime.translator import LoadedTranslator, Translation
from loopwise.tasks.fitting import Estimator, require_model, run_directory
from loopwise.tasks.translation.config import PATHS, TranslationConfig
from loopwise.tasks.translation.pairs import hold_out
from loopwise.tasks.translation.sample import sample_of


class Translator(Estimator[TranslationConfig, LoadedTranslator]):
    """A translator of sentences.

    Args:
        config: all options; None for the defaults.
        settings: single options instead, such as ``unit="words"``, ``hidden_size=128``,
            ``epochs=5``; ``loopwise config translation`` prints them all.

    Attributes:
        config: the options.
        result: how the training ended, once fitted.

    Raises:
        ConfigError: an option is not allowed.
    """

    def __init__(self, config: TranslationConfig | None = None, **settings: Any):
        super().__init__(TranslationConfig, config, settings, PATHS, "pairs")

    def fit(
        self,
        pairs: Sequence[tuple[str, str]] | Pairs,
        valid: Sequence[tuple[str, str]] | Pairs | None = None,
        *,
        out: str | os.PathLike[str] | None = None,
        resume: bool = False,
        overwrite: bool = False,
        verbose: bool = False,
    ) -> "Translator":
        """Train on pairs of sentences and keep the model that was best on validation.

        Args:
            pairs: a sentence and its translation each, a line each.
            valid: the same for validation; None holds out some of `pairs` (``valid_fraction``).
            out: the run's directory, a new one unless `resume` or `overwrite` is true; None for
                none to stay.
            resume: continue the run at `out` from its latest checkpoint, with the same pairs.
            overwrite: replace the run at `out`.
            verbose: show progress.

        Returns:
            itself.

        Raises:
            ConfigError: `resume` and `overwrite` together, or without `out`; or a run that cannot
                be continued with these options.
            DataError: a pair that cannot be used (``invalid="skip"`` leaves them out), too few
                pairs, or to `resume` others than before.
            RunError: `out` is occupied, or to `resume` no run.
            TrainingError: no validation gave a finite loss, or steps in a row were not finite.
            MissingExtraError: training is not installed.
        """
        try:
            from loopwise.tasks.translation.training import train
        except ModuleNotFoundError as error:
            raise missing_extra(error, "Translator.fit") from error
        data = self.config.data
        wanted = PairFilter(data.invalid, data.max_words, data.max_ratio, data.duplicates)
        with run_directory(out, resume=resume, overwrite=overwrite) as run:
            learned = list_pairs(pairs, wanted)
            held = None if valid is None else list_pairs(valid, wanted, name="valid")
            if held is None:
                learned, held = hold_out(learned, data.valid_fraction)
            self.result = train(
                self.config,
                run,
                learned,
                held,
                resume=resume,
                overwrite=overwrite,
                console=Console(quiet=not verbose),
            )
            require_model(self.result)
            self._fitted = load(run)
        self._sample = sample_of(held)
        return self

    @overload
    def translate(self, sentences: str, **options: Unpack[SearchOptions]) -> str: ...  # pyright: ignore[reportOverlappingOverload]
    @overload
    def translate(
        self, sentences: Sequence[str], **options: Unpack[SearchOptions]
    ) -> list[str]: ...
    def translate(
        self, sentences: str | Sequence[str], **options: Unpack[SearchOptions]
    ) -> str | list[str]:
        """The best translation of each sentence; see `LoadedTranslator.translate`."""
        return self.fitted.translate(sentences, **options)

    def translations(
        self, sentences: str | Sequence[str], **options: Unpack[SearchOptions]
    ) -> list[list[Translation]]:
        """The ``n_best`` translations of each sentence; see `LoadedTranslator.translations`."""
        return self.fitted.translations(sentences, **options)

    def score(
        self,
        sources: str | Sequence[str],
        targets: str | Sequence[str],
        wait: int | None = None,
    ) -> list[float]:
        """The log-probability of each translation in nats; see `LoadedTranslator.score`."""
        return self.fitted.score(sources, targets, wait)

    def stream(self, wait: int | None = None) -> TranslationStream:
        """Translate word by word; see `LoadedTranslator.stream`."""
        return self.fitted.stream(wait)
