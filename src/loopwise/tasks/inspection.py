"""A run's model over one sequence, seen from inside, whatever its task."""

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.corpus import Source, read_sources
from loopwise.diagnose.states import Inspection
from loopwise.errors import ConfigError, DataError, RunError, missing_extra
from loopwise.runs import Run
from loopwise.runtime.bundle import Bundle
from loopwise.tasks.registry import read_config
from loopwise.tasks.weights import bundle_of

if TYPE_CHECKING:
    from loopwise.tasks.synthetic.config import SyntheticConfig


def inspect_run(
    path: str | os.PathLike[str],
    text: str | None = None,
    *,
    target: str | None = None,
    series: str | os.PathLike[str] | None = None,
    name: str | None = None,
    seed: int | None = None,
    at: int | None = None,
    data: tuple[str, ...] = (),
    checkpoint: str = "best",
) -> Inspection:
    """Read one sequence with a run's model, and see states, gates, telling units, attribution.

    Args:
        path: the run's directory; of a language model also a bundle.
        text: for a language model or a translator.
        target: for a translator: a translation of the text; None for its own.
        series: for a synthetic task: a CSV file, a step in each row; for a forecaster: a table,
            without which it is the run's own.
        name: for a forecaster: of the series that is looked at, the first without.
        seed: for a synthetic task: which held-out sequence is drawn without `series`; 1.
        at: the step after which the prediction is explained, from 0; negative counts from the end.
            None: the last whose successor is known. For a translator: the token of the translation;
            None: the one that it was least sure of.
        data: for a language model: text that telling units are measured on; empty for what the run
            was validated on. A text of 2,000 tokens is measured itself. For a translator: sentences
            of the source, a line each.
        checkpoint: ``"best"``, ``"latest"``, or one by name, step or path.

    Raises:
        BundleError, RunError, CheckpointError: nothing there, or damaged.
        ConfigError: what does not fit the task.
        DataError: a sequence that is too short or cannot be read, or has no step `at`.
        MissingExtraError: training is not installed.
    """
    bundle = bundle_of(path, checkpoint)
    if bundle.task == "recognizer":
        raise ConfigError(
            f"{path}: a recognizer of speech: its units are not looked at one by one; see loopwise "
            f"diagnose {path}"
        )
    if bundle.task == "translator":
        if series is not None or name is not None or seed is not None:
            raise ConfigError(
                f"{path}: a translator: it takes --text and --target, but no --series, --id or "
                "--seed"
            )
        if text is None:
            raise ConfigError(f"{path}: a translator: give --text, a sentence")
        return _sentence(path, bundle, text, target, at, data)
    if target is not None:
        raise ConfigError(f"{path}: no translator: --target is not for it")
    if bundle.task == "forecaster":
        if text is not None or data or seed is not None or at is not None:
            raise ConfigError(
                f"{path}: a forecaster: it takes --series and --id, but no --text, --data, --seed "
                "or --at"
            )
        return _series(path, bundle, series, name)
    if name is not None:
        raise ConfigError(f"{path}: no forecaster: --id is not for it")
    if bundle.task == "language-model":
        if series is not None or seed is not None:
            raise ConfigError(f"{path}: a language model: it reads --text, no --series or --seed")
        if text is None:
            raise ConfigError(f"{path}: a language model: give --text")
        try:
            from loopwise.tasks.lm.inspection import TextInspector
        except ModuleNotFoundError as error:
            raise missing_extra(error, "loopwise inspect") from error
        return TextInspector(bundle).inspect(text, at, _measured(path, data))
    if text is not None or data:
        raise ConfigError(f"{path}: no language model: it takes no --text or --data, but --series")
    return _sequence(path, bundle, series, seed, at)


def _sentence(
    path: str | os.PathLike[str],
    bundle: Bundle,
    text: str,
    target: str | None,
    at: int | None,
    data: tuple[str, ...],
) -> Inspection:
    try:
        from loopwise.tasks.translation.inspection import Sentences, inspect_sentence
    except ModuleNotFoundError as error:
        raise missing_extra(error, "loopwise inspect") from error
    from loopwise.codec.lines import read_lines
    from loopwise.runtime.translator import LoadedTranslator
    from loopwise.tasks.translation.pairs import validation_pairs

    measured = None
    if data:
        measured = Sentences(", ".join(data), list(read_lines(data)))
    elif Path(path).is_dir() and (config := read_config(Run.open(path))).task == "translation":
        with suppress(DataError):
            pairs = validation_pairs(config.data)
            measured = Sentences(f"the sources of {pairs.name}", pairs.sources)
    return inspect_sentence(LoadedTranslator(bundle), text, target, at, measured)


def _sequence(
    path: str | os.PathLike[str],
    bundle: Bundle,
    series: str | os.PathLike[str] | None,
    seed: int | None,
    at: int | None,
) -> Inspection:
    from loopwise.tasks.synthetic.config import SyntheticConfig

    config = read_config(Run.open(path))
    if not isinstance(config, SyntheticConfig):
        raise ConfigError(f"{path}: the bundle is not of the run's task")
    try:
        from loopwise.tasks.synthetic.inspection import inspect_sequence, require_inputs
    except ModuleNotFoundError as error:
        raise missing_extra(error, "loopwise inspect") from error
    if series is not None and seed is not None:
        raise ConfigError("--series and --seed: give one of them")
    if series is not None:
        inputs = require_inputs(config.problem, _table(series))
    else:
        inputs = _drawn(config, 1 if seed is None else seed)
    last, count = -1 if at is None else at, len(inputs)
    if not -count <= last < count:
        raise DataError(f"at {at}: there are {count} steps, 0 to {count - 1} (or {-count} to -1)")
    return inspect_sequence(config, bundle, inputs, last % count)


def _series(
    path: str | os.PathLike[str],
    bundle: Bundle,
    series: str | os.PathLike[str] | None,
    name: str | None,
) -> Inspection:
    if Path(path).is_file():
        raise RunError(f"{path}: a bundle; a forecaster is inspected in the run that it came from")
    config = read_config(Run.open(path))
    if config.task != "forecast":
        raise ConfigError(f"{path}: the bundle is not of the run's task")
    try:
        from loopwise.tasks.forecast.inspection import inspect_series
    except ModuleNotFoundError as error:
        raise missing_extra(error, "loopwise inspect") from error
    from loopwise.codec.series.files import naming, read_table
    from loopwise.runtime.forecaster import LoadedForecaster

    if series is None:
        config.data.require_files()
    model, file = LoadedForecaster(bundle), config.data.train if series is None else series
    frame = read_table(file)
    with naming(file):
        table = model.read(frame, layout=config.data.layout, missing=config.data.missing)
    return inspect_series(config, model, table.panel, name, str(file))


def _drawn(config: "SyntheticConfig", seed: int) -> NDArray[np.float32]:
    from loopwise.tasks.synthetic.problems import held_out

    return held_out(config.problem, 1, seed).inputs[:, 0]


def _measured(path: str | os.PathLike[str], data: tuple[str, ...]) -> Source | None:
    """The text that telling units are measured on; None if there is none any more."""
    from loopwise.tasks.lm.data import join, reread_held_out

    if data:
        return join(read_sources(data))
    if not Path(path).is_dir():
        return None
    config = read_config(Run.open(path))
    try:
        return reread_held_out(config.data) if config.task == "lm" else None
    except DataError:
        return None


def _table(path: str | os.PathLike[str]) -> NDArray[np.float64]:
    try:
        rows = Path(path).read_text(encoding="utf-8").splitlines()
        table = [[float(cell) for cell in row.split(",")] for row in rows if row.strip()]
        return np.array(table, np.float64)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise DataError(f"{path}: not a table of numbers with commas: {error}") from None
