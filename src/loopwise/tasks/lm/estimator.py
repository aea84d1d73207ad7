"""`loopwise.LanguageModel`: fit, score, generate, save, from Python."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loopwise.codec.corpus import Source
from loopwise.errors import DataError, MissingExtraError, RunError
from loopwise.runs import Run
from loopwise.runtime.language_model import LoadedLanguageModel
from loopwise.runtime.load import load
from loopwise.tasks.lm.config import LMConfig
from loopwise.tasks.lm.data import make_corpus

if TYPE_CHECKING:
    from loopwise.train.loop import FitResult


class LanguageModel:
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
        if config is not None and settings:
            raise TypeError("give a configuration or single settings, not both")
        self.config = config or LMConfig.from_settings(**settings)
        self.result: FitResult | None = None
        self._fitted: LoadedLanguageModel | None = None

    def fit(
        self,
        texts: str | Sequence[str],
        valid: str | Sequence[str] | None = None,
        *,
        out: str | os.PathLike[str] | None = None,
        verbose: bool = False,
    ) -> "LanguageModel":
        """Train on texts and keep the model that was best on validation.

        Args:
            texts: one text or several, read one after the other.
            valid: the same for validation; None holds out the end of `texts`
                (``valid_fraction``).
            out: a new directory for the run; None for none to stay.
            verbose: show progress.

        Returns:
            itself.

        Raises:
            DataError: no text, or too little for the batch.
            RunError: `out` is occupied.
            MissingExtraError: training is not installed.
        """
        corpus = make_corpus(
            _sources(texts, "texts"),
            None if valid is None else _sources(valid, "valid"),
            self.config.data,
        )
        train = _trainer()
        with tempfile.TemporaryDirectory() as scratch:
            run = Run.create(Path(scratch) / "run" if out is None else out)
            run.config_path.write_text(self.config.to_toml(), encoding="utf-8")
            self.result = train(self.config, run, corpus, console=_console(verbose))
            self._fitted = load(run.path)
        return self

    def perplexity(self, texts: Sequence[str]) -> float:
        """Perplexity per token over separate texts; see `LoadedLanguageModel.perplexity`."""
        return self.fitted.perplexity(texts)

    def score(self, texts: Sequence[str]) -> list[float]:
        """Log-probability of each text in nats; see `LoadedLanguageModel.score`."""
        return self.fitted.score(texts)

    def generate(self, prompt: str = "", length: int = 200, **options: Any) -> str:
        """A continuation of `prompt`; options as of `LoadedLanguageModel.generate`."""
        return self.fitted.generate(prompt, length, **options)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the bundle, to be read by `loopwise.load`."""
        self.fitted.save(path)

    @property
    def fitted(self) -> LoadedLanguageModel:
        """The trained model, as `loopwise.load` would give it.

        Raises:
            RunError: `fit` has not been called.
        """
        if self._fitted is None:
            raise RunError("this LanguageModel is not trained yet: call fit(texts) first")
        return self._fitted


def _sources(texts: str | Sequence[str], name: str) -> list[Source]:
    given = [texts] if isinstance(texts, str) else list(texts)
    if not any(given):
        raise DataError(f"{name}: no text in it")
    return [Source(f"{name}[{number}]", text.encode()) for number, text in enumerate(given) if text]


def _trainer():
    try:
        from loopwise.tasks.lm.training import train
    except ModuleNotFoundError as error:
        raise MissingExtraError("train", "LanguageModel.fit") from error
    return train


def _console(verbose: bool):
    from rich.console import Console

    return Console(quiet=not verbose)
