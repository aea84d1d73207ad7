"""``loopwise export``: the one file that deployment needs."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loopwise.cli.model import open_model
from loopwise.cli.options import Model
from loopwise.cli.pairs import PairGroup, read_pairs_of
from loopwise.errors import BundleError, ConfigError, LoopwiseError

if TYPE_CHECKING:
    from loopwise.export.precision import Comparison, Sample
    from loopwise.runtime.bundle import Bundle


def export(
    model: Model,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The bundle, .safetensors.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE.")] = False,
    dtype: Annotated[
        str | None,
        typer.Option(
            help="Weights: float32, bfloat16 (half as large) or int8 (a quarter).  "
            "[default: as they are; a run's are float32]"
        ),
    ] = None,
    measure_on: Annotated[
        list[str] | None,
        typer.Option(
            "--measure-on",
            metavar="PATH",
            help="What to measure a lower precision or an average on: text, a forecaster's table, "
            "a translator's pairs, or a recognizer's utterances.  [default: the run's own]",
        ),
    ] = None,
    limit: Annotated[
        float | None,
        typer.Option(
            help="Largest rise of the task's metric in a lower precision, such as perplexity: "
            "0.01 is 1 %; inf allows anything, unmeasured too.  [default: 0.01]"
        ),
    ] = None,
    average: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="The mean of the weights of the last N checkpoints, instead of the best.",
            min=2,
        ),
    ] = None,
) -> None:
    """Write the best model of a run as one file.

    In a lower precision the model is measured before, on the beginning of held-out data, and
    nothing is written where it is worse than --limit allows. An average is measured, too.
    """
    from loopwise.runtime.bundle import write_bundle

    if file.suffix != ".safetensors":
        raise BundleError(f"{file}: a bundle's name ends in .safetensors")
    if file.exists() and not overwrite:
        raise BundleError(f"{file}: exists already; replace it with --overwrite")
    bundle = open_model(model).bundle
    if average is not None:
        bundle = _average(bundle, model, average, measure_on or [])
    if dtype is not None and dtype != bundle.dtype:
        bundle = _lower(bundle, dtype, model, measure_on or [], limit)
    elif limit is not None or (measure_on and average is None):
        raise ConfigError(
            f"--measure-on and --limit need a --dtype below that of the model, {bundle.dtype}"
        )
    write_bundle(file, bundle)
    print(f"{file}: {file.stat().st_size:,} bytes")


def _average(best: "Bundle", model: Path, count: int, measure_on: list[str]) -> "Bundle":
    from loopwise.export.precision import compare
    from loopwise.tasks.weights import average_of

    found = average_of(model, count)
    if found.task == "forecaster":
        print("intervals stay calibrated on the best model: see loopwise forecast --recalibrate")
    sample = _sample(found.task, model, measure_on, f"--average {count}", math.inf)
    if sample is not None:
        compared = compare(best, found, sample)
        _print_comparison(compared, ("best", f"mean of {count}"), sample.name)
    return found


def _lower(
    bundle: "Bundle", dtype: str, model: Path, measure_on: list[str], limit: float | None
) -> "Bundle":
    from loopwise.export.precision import LIMIT, Comparison, lower, require_lower

    require_lower(bundle, dtype)
    if measure_on and bundle.task == "sequence-model":
        raise ConfigError(
            "--measure-on PATH: is for text, tables, pairs and utterances; leave it out"
        )
    sample = _sample(bundle.task, model, measure_on, f"--dtype {dtype}", limit)
    lowered = lower(bundle, dtype, sample, LIMIT if limit is None else limit)
    if sample is not None:
        _print_comparison(Comparison(**lowered.info["precision"]), ("float32", dtype), sample.name)
    if bundle.task == "forecaster":
        print(f"the file keeps {dtype}; forecasts are computed in float32 from what it keeps")
    return lowered


def _sample(
    task: str, model: Path, measure_on: list[str], option: str, limit: float | None
) -> "Sample | None":
    from loopwise.tasks.registry import sample_of_run

    if measure_on and task == "forecaster":
        return _table(measure_on)
    if measure_on and task == "translator":
        from loopwise.tasks.translation.sample import sample_of

        return sample_of(read_pairs_of(model, measure_on, PairGroup()))
    if measure_on and task == "recognizer":
        from loopwise.codec.speech.files import read_utterances
        from loopwise.tasks.speech.sample import sample_of

        return sample_of(read_utterances(measure_on))
    if measure_on:
        from loopwise.tasks.lm.sample import sample_of_files

        return sample_of_files(measure_on)
    try:
        return sample_of_run(model)
    except LoopwiseError as error:
        if limit == math.inf:
            print(f"not measured: {error}")
            return None
        raise ConfigError(
            f"{option}: nothing to measure it on ({error}); give --measure-on PATH, or go "
            "without with --limit inf"
        ) from error


def _table(files: list[str]) -> "Sample":
    from loopwise.tasks.forecast.sample import SeriesSample

    if len(files) > 1:
        raise ConfigError(
            f"--measure-on: a forecaster is measured on one table, given {len(files)}"
        )
    return SeriesSample(files[0])


def _print_comparison(found: "Comparison", names: tuple[str, str], sample: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    for heading in ("", *names, "change"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    before, after, rise = found.float32, found.lowered, found.rise
    table.add_row(found.metric, f"{before:.4f}", f"{after:.4f}", f"{100 * rise:+.2f} %")
    Console().print(table)
    print(
        f"{found.output}: {found.mean_difference:.2g} off in the mean of "
        f"{found.outputs:,}, {found.largest_difference:.2g} at most\n"
        f"measured on {sample}"
    )
