"""``loopwise evaluate``: how well a model predicts files, or does its task."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from loopwise.cli.model import open_model_before
from loopwise.cli.options import Json, Model
from loopwise.cli.sequences import evaluate_sequences
from loopwise.cli.tables import Layout, Missing, is_forecaster
from loopwise.errors import ConfigError, missing_extra

if TYPE_CHECKING:
    from loopwise.codec.metrics import TextScore
    from loopwise.runtime.cache import NeuralCache
    from loopwise.runtime.language_model import LoadedLanguageModel
    from loopwise.runtime.sequence_model import LoadedSequenceModel


UNKNOWN_NOTE = (
    "Unknown tokens stand for text that the model cannot tell apart: compare bits per character "
    "and byte only where there are none."
)


def evaluate(
    model: Model,
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE...",
            help="For a language model: files, folders, globs, .gz, or - for standard input. For a "
            "forecaster: one table.",
        ),
    ] = None,
    cache: Annotated[
        int, typer.Option("--cache", metavar="N", help="Neural cache over the last N tokens.")
    ] = 0,
    cache_theta: Annotated[
        float | None, typer.Option(help="Flatness of the cache.  [default: 0.3]")
    ] = None,
    cache_weight: Annotated[
        float | None, typer.Option(help="Share of the cache.  [default: 0.1]")
    ] = None,
    dynamic: Annotated[
        bool, typer.Option("--dynamic", help="Dynamic evaluation: go on learning while reading.")
    ] = False,
    dynamic_lr: Annotated[
        float | None, typer.Option(help="Learning rate of --dynamic.  [default: 0.1]")
    ] = None,
    dynamic_decay: Annotated[
        float | None,
        typer.Option(
            help="Pull of --dynamic back to the trained weights, per step.  [default: 0.0]"
        ),
    ] = None,
    sequences: Annotated[
        int | None,
        typer.Option(help="For a synthetic task: how many to draw.  [default: 1000]", min=1),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="For a synthetic task: which to draw.  [default: 1]", min=0),
    ] = None,
    horizon: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="For a forecaster: steps of a forecast.  [default: its own]", min=1
        ),
    ] = None,
    windows: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="For a forecaster: forecasts of each series, from places before its end.  "
            "[default: 1]",
            min=1,
        ),
    ] = None,
    step: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Steps from one to the next.  [default: the horizon]", min=1
        ),
    ] = None,
    test: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="For a forecaster: what came after FILE, to be forecast from it."
        ),
    ] = None,
    per_series: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the errors of each series, .csv or .parquet."),
    ] = None,
    standardise: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Errors in standard deviations of the first N points, over all windows alike; "
            "one step from one to the next, and means as forecasts, unless told otherwise.",
            min=2,
        ),
    ] = None,
    point: Annotated[
        Literal["median", "mean"] | None,
        typer.Option(help="What a forecast comes down to.  [default: median]"),
    ] = None,
    layout: Layout = None,
    missing: Missing = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", help="Draw forecasts and what came, .png or .svg."),
    ] = None,
    as_json: Json = False,
) -> None:
    """How well a model predicts files, or does its task.

    Of a text it says perplexity: each file is read from its first to its last token. Bits per
    character and byte can be compared between models of any unit, where no token is unknown;
    perplexity is per token. A forecaster stands beside forecasts that need no training, on the
    last part of each series. A run of a synthetic task takes no files: its sequences are drawn
    anew.
    """
    from loopwise.runtime.cache import NeuralCache
    from loopwise.runtime.language_model import LoadedLanguageModel

    files = files or []
    if dynamic and cache:
        raise ConfigError("--dynamic and --cache cannot be combined: give one of them")
    caching = _given(theta=cache_theta, interpolation=cache_weight)
    if caching and not cache:
        raise ConfigError("--cache-theta and --cache-weight need --cache N: give it as well")
    learning = _given(lr=dynamic_lr, decay=dynamic_decay)
    if learning and not dynamic:
        raise ConfigError("--dynamic-lr and --dynamic-decay need --dynamic: give it as well")
    loaded = open_model_before(files, model, "evaluate")
    drawing = _given(sequences=sequences, seed=seed)
    forecasting = _given(
        horizon=horizon, windows=windows, step=step, test=test, per_series=per_series,
        standardise=standardise, point=point, layout=layout, missing=missing, plot=plot,
    )  # fmt: skip
    if is_forecaster(loaded):
        if drawing or cache or dynamic:
            raise ConfigError(
                f"{model}: a forecaster: --sequences, --seed, --cache and --dynamic are not for it"
            )
        from loopwise.cli.forecasts import evaluate_forecasts

        evaluate_forecasts(model, loaded, files, as_json, **forecasting)
        return
    if forecasting:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in forecasting)
        raise ConfigError(f"{model}: no forecaster: leave out {names}")
    if not isinstance(loaded, LoadedLanguageModel):
        if files or cache or dynamic or loaded.bundle.task != "sequence-model":
            raise ConfigError(f"{model}: no language model: it takes no FILE, --cache or --dynamic")
        evaluate_sequences(model, cast("LoadedSequenceModel", loaded), as_json, **drawing)
        return
    if drawing:
        raise ConfigError(f"{model}: a language model: --sequences and --seed are not for it")
    if not files:
        raise ConfigError(f"{model}: a language model: give FILE..., the text to evaluate it on")
    memory = NeuralCache(cache, **caching) if cache else None
    _evaluate_text(loaded, files, memory, learning if dynamic else None, as_json)


def _evaluate_text(
    loaded: "LoadedLanguageModel",
    files: list[str],
    memory: "NeuralCache | None",
    learning: dict[str, Any] | None,
    as_json: bool,
) -> None:
    from loopwise.codec.corpus import read_sources
    from loopwise.codec.metrics import TextScore

    sources = read_sources(files)
    if learning is not None:
        try:
            from loopwise.tasks.lm.dynamic import DynamicEvaluation
        except ModuleNotFoundError as error:
            raise missing_extra(error, "--dynamic") from error
        learner = DynamicEvaluation(loaded.bundle, **learning)
        scores = [(source.name, learner.score_source(source)) for source in sources]
    else:
        scores = [(source.name, loaded.score_source(source, cache=memory)) for source in sources]
    total = sum((score for _, score in scores), TextScore())
    if as_json:
        each = [{"file": name, **_figures(score)} for name, score in scores]
        print(json.dumps({**_figures(total), "files": each}, indent=2, ensure_ascii=False))
    else:
        _print_table([*scores, ("total", total)] if len(scores) > 1 else scores)


def _given(**options: Any) -> dict[str, Any]:
    """Without those that were left out, whose defaults are known elsewhere."""
    return {name: value for name, value in options.items() if value is not None}


def _figures(score: "TextScore") -> dict[str, Any]:
    return {
        "perplexity": score.perplexity,
        "bits_per_character": score.bits_per_character,
        "bits_per_byte": score.bits_per_byte,
        "unknown_rate": score.unknown_rate,
        "nats": score.nats,
        "tokens": score.tokens,
        "characters": score.characters,
        "bytes": score.bytes,
    }


def _print_table(scores: "list[tuple[str, TextScore]]") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None)
    table.add_column("file", overflow="fold")
    for heading in ("perplexity", "bits/char", "bits/byte", "unknown", "tokens"):
        table.add_column(heading, justify="right", no_wrap=True, min_width=len(heading))
    for name, score in scores:
        table.add_row(
            Text(name),  # no markup in it
            f"{score.perplexity:.3f}",
            f"{score.bits_per_character:.4f}",
            f"{score.bits_per_byte:.4f}",
            f"{100 * score.unknown_rate:.2f} %",
            f"{score.tokens:,}",
        )
    Console().print(table)
    if any(score.unknown for _, score in scores):
        print(UNKNOWN_NOTE)
