"""Figures of a report. They need no display, and leave matplotlib's settings as they are."""

import io
import os
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loopwise.diagnose import axes
from loopwise.diagnose.axes import (
    Record,
    gates,
    gradients,
    influence,
    jacobian,
    lyapunov,
    spectrum,
    tensors,
    training,
)
from loopwise.diagnose.report import LayerReport, Report
from loopwise.diagnose.style import style
from loopwise.errors import RunError
from loopwise.files import write_atomically

__all__ = [
    "KINDS",
    "Kind",
    "figures",
    "gates",
    "gradients",
    "influence",
    "jacobian",
    "layers_shown",
    "lyapunov",
    "save",
    "save_figure",
    "save_figures",
    "spectrum",
    "svg",
    "tensors",
    "training",
]

_LAYERS = 6
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


@dataclass(frozen=True)
class Kind:
    """A kind of figure that every layer has."""

    title: str
    caption: str
    """one sentence: how to read it"""
    draw: Callable[[LayerReport, Axes, Report, Sequence[Record]], Axes]
    watched: bool = False
    """whether it needs watch records"""


KINDS = {
    "gradients": Kind(
        "Gradients through time",
        "A line that falls to the left means that early steps learn little from the loss, one that "
        "rises to the left that they drown the others; a level line is what you want.",
        lambda layer, axis, report, records: gradients(layer, axis),
    ),
    "influence": Kind(
        "Memory",
        "How much of a state is left after so many steps: where a curve falls below 1/e the layer "
        "begins to forget, and grey along the bottom is where the data has something to remember.",
        lambda layer, axis, report, records: influence(layer, axis, report.dependence),
    ),
    "training": Kind(
        "Gradients over training",
        "Each row is a moment of the training, bright where the gradient is large; the memory "
        "reaches from the right edge back to the white line.",
        lambda layer, axis, report, records: training(records, layer, axis),
        watched=True,
    ),
    "gates": Kind(
        "Gates",
        "Where the values of every gate lie: what is piled up in the shaded zones is saturated and "
        "lets hardly any gradient through, and the numbers are the shares there.",
        lambda layer, axis, report, records: gates(layer, axis),
    ),
    "spectrum": Kind(
        "Recurrent matrices",
        "Eigenvalues inside of the circle shrink their direction at every step, those outside let "
        "it grow until the nonlinearity stops it.",
        lambda layer, axis, report, records: spectrum(layer, axis),
    ),
    "jacobian": Kind(
        "Along the trajectory",
        "What one step does to a small change of the state: below 1 it shrinks, above 1 the "
        "largest singular value says how much it may grow at once, the radius how much in the "
        "long run.",
        lambda layer, axis, report, records: jacobian(layer, axis),
    ),
    "lyapunov": Kind(
        "Lyapunov exponents",
        "Each is the rate at which two neighbouring states part, in the shaded half, or meet; far "
        "below zero the past is lost, and near zero it is kept.",
        lambda layer, axis, report, records: lyapunov(layer, axis),
    ),
}
"""The kinds of figures that layers have, in the order of reading."""


def figures(report: Report, records: Iterable[Record] = ()) -> dict[str, Figure]:
    """Draw everything that a report tells.

    Args:
        report: what `loopwise.diagnose` measured.
        records: lines of a run's log; those of the kind ``"watch"`` show the training.

    Returns:
        Figures by name: ``"gradients.l0"`` is the kind ``"gradients"`` of `KINDS` for the layer
        ``"l0"``, and ``"tensors"`` is all parameters. Of many layers, only `layers_shown` have
        figures.
    """
    records = list(records)
    found: dict[str, Figure] = {}
    for name, kind in KINDS.items():
        for layer in layers_shown(report):
            if not kind.watched or axes.watched(records, layer.name):
                found[f"{name}.{layer.name}"] = _figure(
                    lambda axis, kind=kind, layer=layer: kind.draw(layer, axis, report, records)
                )
    if report.tensors:
        height = 1.1 + 0.23 * len(axes.tensors_shown(report))
        found["tensors"] = _figure(lambda axis: tensors(report, axis), (6.6, height))
    return found


def layers_shown(report: Report) -> tuple[LayerReport, ...]:
    """The layers that have figures: all of a few, of many first those with findings."""
    if len(report.layers) <= _LAYERS:
        return report.layers
    order = [finding.where for finding in report.findings]
    order += [layer.name for layer in report.layers]
    chosen = sorted(report.layers, key=lambda layer: order.index(layer.name))[:_LAYERS]
    return tuple(layer for layer in report.layers if layer in chosen)


def save(
    report: Report, folder: str | os.PathLike[str], records: Iterable[Record] = ()
) -> list[Path]:
    """Write every figure as PNG and as SVG.

    Args:
        report: what `loopwise.diagnose` measured.
        folder: where; it is made if it does not exist, and files of the same names are replaced.
        records: as for `figures`.

    Returns:
        The files, ``"gradients.l0.png"`` and so on; letters that file names should not have are
        ``_`` in them.

    Raises:
        RunError: they cannot be written.
    """
    return save_figures(figures(report, records), folder)


def save_figures(drawn: Mapping[str, Figure], folder: str | os.PathLike[str]) -> list[Path]:
    """The same with figures that are drawn already, by their names."""
    files: dict[Path, bytes] = {}
    for name, figure in drawn.items():
        stem = _file_name(name)
        while Path(folder, f"{stem}.svg") in files:
            stem += "_"
        files[Path(folder, f"{stem}.svg")] = svg(figure, name).encode()
        files[Path(folder, f"{stem}.png")] = _png(figure)
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        for path, content in files.items():
            write_atomically(path, content)
    except OSError as error:
        raise RunError(f"{folder}: cannot be written: {error.strerror}") from None
    return list(files)


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write one figure to a file, as SVG where its name ends so and else as PNG.

    Raises:
        RunError: it cannot be written.
    """
    file = Path(path)
    content = svg(figure, file.stem).encode() if file.suffix == ".svg" else _png(figure)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, content)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}") from None


def svg(figure: Figure, salt: str = "") -> str:
    """A figure as SVG, the same text each time; `salt` sets its ids apart from others'."""
    stream = io.StringIO()
    with style(), matplotlib.rc_context({"svg.hashsalt": salt}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a reader's font may have it
        figure.savefig(stream, format="svg", metadata=_NO_METADATA)
    return stream.getvalue()


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    with style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")
        figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _figure(draw: Callable[[Axes], Axes], size: tuple[float, float] | None = None) -> Figure:
    with style():
        figure = Figure(figsize=size)
        draw(figure.add_subplot())
    return figure


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.+-]", "_", name)[:80]
