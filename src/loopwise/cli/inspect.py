"""``loopwise inspect``: what a model does over one sequence, unit by unit."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from loopwise.cli.options import Model
from loopwise.errors import missing_extra


def inspect(
    run: Model,
    text: Annotated[
        str | None,
        typer.Option("--text", help="For a language model or a translator: what it is to read."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option("--target", help="For a translator: a translation.  [default: its own]"),
    ] = None,
    series: Annotated[
        Path | None,
        typer.Option(
            "--series",
            metavar="FILE",
            help="For a forecaster: a table; for a synthetic task: a CSV of its inputs.",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--id", metavar="NAME", help="For a forecaster: which series.  [default: the first]"
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="For a synthetic task: which sequence to draw.  [default: 1]", min=0),
    ] = None,
    at: Annotated[
        int | None,
        typer.Option(
            metavar="STEP",
            help="Explain the prediction after this step, from 0; -1 is the last.  "
            "[default: the last whose successor is known]  Of a translator: this token of the "
            "translation.  [default: the one it was least sure of]",
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="Text that telling units are measured on; for a translator: sentences, a line "
            "each.  [default: validation's]"
        ),
    ] = None,
    checkpoint: Annotated[
        str, typer.Option(metavar="NAME", help="Which one: best, latest, a name or a step.")
    ] = "best",
    layer: Annotated[
        str | None, typer.Option(metavar="NAME", help="Heat maps of this layer alone.")
    ] = None,
    what: Annotated[
        str | None,
        typer.Option(metavar="PART", help="Heat maps of this alone: hidden, cell, gate-f, ..."),
    ] = None,
    units: Annotated[int, typer.Option(help="Units in a heat map.", min=1)] = 16,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write a page, such as a.html.")
    ] = None,
    plots: Annotated[
        Path | None,
        typer.Option("--plots", metavar="DIR", help="Put every picture there as PNG and SVG."),
    ] = None,
) -> None:
    """What units do over a sequence, and why a prediction.

    States and gates of every layer are shown. Units are compared with simple features: quotes,
    brackets, position in the line and others of a text, levels and changes of a forecaster's
    patches, what is to be remembered in a synthetic task. What shuffled features give is chance.
    Of a translator it also says where each word of a translation looked.
    """
    from loopwise.diagnose.states import require
    from loopwise.diagnose.strip import lines
    from loopwise.tasks.inspection import inspect_run

    found = inspect_run(
        run,
        text,
        target=target,
        series=series,
        name=name,
        seed=seed,
        at=at,
        data=tuple(data or ()),
        checkpoint=checkpoint,
    )
    chosen = found.layers if layer is None else (found[layer],)
    if what is not None:
        require(what, list(chosen[0].parts), "what")
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    print("\n".join(lines(found, colour=colour)))
    if out is None and plots is None:
        return
    try:
        from loopwise.diagnose.heatmaps import figures
        from loopwise.diagnose.inspect_page import write_page
        from loopwise.diagnose.plots import save_figures
    except ModuleNotFoundError as error:
        raise missing_extra(error, "--out and --plots") from error
    drawn = figures(found, layer, what, units)
    if out is not None:
        write_page(found, drawn, out, title=str(run))
        print(f"page: {out}")
    if plots is not None:
        save_figures(drawn, plots)
        print(f"pictures: {plots}")
