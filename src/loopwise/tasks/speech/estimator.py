"""`loopwise.Recognizer`: fit, transcribe, stream, save, from Python."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias, Unpack, overload

from rich.console import Console

from loopwise.codec.recognition import Recognition
from loopwise.codec.speech.files import read_utterances
from loopwise.codec.speech.utterances import Utterance, Utterances, list_utterances
from loopwise.errors import missing_extra
from loopwise.runtime.decoding import DecodingOptions
from loopwise.runtime.load import load
from loopwise.runtime.recognition_stream import EndpointRules, RecognitionStream
from loopwise.runtime.recognizer import Audio, LoadedRecognizer
from loopwise.tasks.fitting import Estimator, require_model, run_directory
from loopwise.tasks.speech.config import PATHS, SpeechConfig
from loopwise.tasks.speech.sample import sample_of
from loopwise.tasks.speech.utterances import hold_out

Given: TypeAlias = (
    str
    | os.PathLike[str]
    | Utterances
    | Iterable[
        str | os.PathLike[str] | Utterance | tuple[str | os.PathLike[str], str] | Mapping[str, Any]
    ]
)
"""Manifests or folders by their paths; or utterances, as `list_utterances` takes them."""


class Recognizer(Estimator[SpeechConfig, LoadedRecognizer]):
    """A recognizer of speech.

    Args:
        config: all options; None for the defaults.
        settings: single options instead, such as ``unit="words"``, ``hidden_size=64``,
            ``epochs=20``; ``loopwise config speech`` prints them all.

    Attributes:
        config: the options.
        result: how the training ended, once fitted.

    Raises:
        ConfigError: an option is not allowed.
    """

    def __init__(self, config: SpeechConfig | None = None, **settings: Any):
        super().__init__(SpeechConfig, config, settings, PATHS, "utterances")

    def fit(
        self,
        utterances: Given,
        valid: Given | None = None,
        *,
        out: str | os.PathLike[str] | None = None,
        resume: bool = False,
        overwrite: bool = False,
        verbose: bool = False,
    ) -> "Recognizer":
        """Train on utterances and keep the model that was best on validation.

        Args:
            utterances: manifests or folders by their paths, as ``--data`` takes them; or for each
                utterance an `Utterance`, a pair ``(audio, text)`` or a mapping with the keys of a
                manifest, where audio is a file.
            valid: the same for validation; None holds out some of `utterances`
                (``valid_fraction``).
            out: the run's directory, a new one unless `resume` or `overwrite` is true; None for
                none to stay.
            resume: continue the run at `out` from its latest checkpoint, with the same utterances.
            overwrite: replace the run at `out`.
            verbose: show progress.

        Returns:
            itself.

        Raises:
            ConfigError: `resume` and `overwrite` together, or without `out`; or a run that cannot
                be continued with these options.
            DataError: an utterance that cannot be used (``invalid="skip"`` leaves them out), too
                few utterances, or to `resume` others than before.
            RunError: `out` is occupied, or to `resume` no run.
            TrainingError: no validation gave a finite loss, or steps in a row were not finite.
            MissingExtraError: training, or reading audio, is not installed.
        """
        try:
            from loopwise.tasks.speech.training import train
        except ModuleNotFoundError as error:
            raise missing_extra(error, "Recognizer.fit") from error
        data = self.config.data
        paths = {name: _paths(part) for name, part in zip(PATHS, (utterances, valid), strict=True)}
        named = data.model_copy(update={name: part for name, part in paths.items() if part})
        config = self.config.model_copy(update={"data": named.absolute()})
        with run_directory(out, resume=resume, overwrite=overwrite) as run:
            learned = _read(config, utterances, paths["train"], "utterances")
            held = None if valid is None else _read(config, valid, paths["valid"], "valid")
            if held is None:
                learned, held = hold_out(learned, data.valid_fraction)
            self.result = train(
                config,
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
    def transcribe(  # pyright: ignore[reportOverlappingOverload]
        self, audio: Audio, rate: float | None = None, **options: Unpack[DecodingOptions]
    ) -> str: ...
    @overload
    def transcribe(
        self, audio: Sequence[Audio], rate: float | None = None, **options: Unpack[DecodingOptions]
    ) -> list[str]: ...
    def transcribe(
        self,
        audio: Audio | Sequence[Audio],
        rate: float | None = None,
        **options: Unpack[DecodingOptions],
    ) -> str | list[str]:
        """What is said in each recording; see `LoadedRecognizer.transcribe`."""
        return self.fitted.transcribe(audio, rate, **options)

    def recognitions(
        self,
        audio: Audio | Sequence[Audio],
        rate: float | None = None,
        **options: Unpack[DecodingOptions],
    ) -> list[Recognition]:
        """The same with times and confidences; see `LoadedRecognizer.recognitions`."""
        return self.fitted.recognitions(audio, rate, **options)

    def stream(
        self, rules: EndpointRules | None = None, **options: Unpack[DecodingOptions]
    ) -> RecognitionStream:
        """Listen to sound while it comes; see `LoadedRecognizer.stream`."""
        return self.fitted.stream(rules, **options)


def _paths(given: Any) -> tuple[str, ...]:
    """The paths where paths are given, else none."""
    if isinstance(given, str | os.PathLike):
        return (os.fspath(given),)
    several = isinstance(given, list | tuple) and bool(given)
    if several and all(isinstance(each, str | os.PathLike) for each in given):
        return tuple(map(os.fspath, given))
    return ()


def _read(config: SpeechConfig, given: Given, paths: tuple[str, ...], name: str) -> Utterances:
    if paths:
        return read_utterances(paths, invalid=config.data.invalid)
    return list_utterances(given, invalid=config.data.invalid, name=name)
