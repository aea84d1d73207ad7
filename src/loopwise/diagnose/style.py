"""Colours and settings that all figures share, and axes that take any number.

The hues are those of Okabe and Ito (2008), which colour-blind people can tell apart; lines that
share an axis differ in their dashes, too.
"""

import math
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from numpy.typing import NDArray

COLOURS = {
    "paper": ("#ffffff", "#15181d"),
    "ink": ("#1f2328", "#e6e8eb"),
    "muted": ("#68707a", "#9aa3ad"),
    "line": ("#dfe3e8", "#343a42"),
    "h": ("#0072b2", "#4fb0ee"),
    "c": ("#d55e00", "#ff8c42"),
    "x": ("#009e73", "#35c99c"),
    "sky": ("#3f9fd8", "#7cc6f2"),
    "pink": ("#c0659a", "#e08fbe"),
    "violet": ("#7b5fb5", "#ac95e0"),
    "gold": ("#c98a00", "#f0b93a"),
    "data": ("#9aa1a9", "#7d858f"),
    "good": ("#d5efe5", "#17392f"),
    "bad": ("#fbe3d6", "#452414"),
}
"""Each colour on white and on black paper."""

PAPER, INK, MUTED, LINE, H, C, X, SKY, PINK, VIOLET, GOLD, DATA, GOOD, BAD = (
    light for light, _ in COLOURS.values()
)

_GATES = {
    "i": (SKY, "-"),
    "r": (SKY, "-"),
    "f": (PINK, (0, (5, 1.5))),
    "z": (PINK, (0, (5, 1.5))),
    "g": (VIOLET, (0, (4, 1, 1, 1))),
    "n": (VIOLET, (0, (4, 1, 1, 1))),
    "o": (GOLD, (0, (1, 1))),
}

_SETTINGS: dict[str, Any] = {
    "figure.figsize": (4.2, 2.9),
    "figure.facecolor": PAPER,
    "figure.constrained_layout.use": True,
    "savefig.facecolor": "auto",
    "savefig.dpi": 200,
    "svg.fonttype": "none",
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # names may have dollar signs
    "axes.facecolor": PAPER,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.fontsize": 8,
    "legend.labelcolor": MUTED,
    "legend.handlelength": 1.6,
    "legend.handletextpad": 0.4,
    "legend.columnspacing": 1.1,
    "legend.borderaxespad": 0.2,
    "legend.borderpad": 0.1,
}

_DECADES = 30
"""what a log axis shows at most"""
_MOST = 200
"""decades from 1 that matplotlib's ticks can bear"""
_MARKS = 60
"""of numbers that have no place on a log axis"""


@contextmanager
def style() -> Generator[None]:
    """The settings of all figures here, whatever the user's are; these come back at the end."""
    with matplotlib.style.context(["default", _SETTINGS]):
        yield


def gate_style(gate: str) -> dict[str, Any]:
    """Colour and dashes of a gate, by its part in the cell."""
    colour, dashes = _GATES.get(gate, (SKY, "-"))
    return {"color": colour, "linestyle": dashes}


def heading(axis: Axes, title: str, story: str, *, legend: int = 0) -> None:
    """A title, one line below it that tells what is to see, and a legend of `legend` columns."""
    room = 14 if legend else 0
    axis.set_title(title, pad=20 + room)
    axis.annotate(
        story,
        (0, 1),
        (0, 7 + room),
        xycoords="axes fraction",
        textcoords="offset points",
        color=MUTED,
        fontsize=8.5,
        annotation_clip=False,
    )
    if legend and axis.get_legend_handles_labels()[0]:
        axis.legend(loc="lower left", bbox_to_anchor=(-0.01, 1), ncols=legend)


class Line(NamedTuple):
    """One curve of a log axis."""

    label: str
    values: Sequence[float]
    look: dict[str, Any]


def log_lines(axis: Axes, x: Sequence[float], lines: Sequence[Line], *, decades: float = 2) -> None:
    """Draw curves on a log axis of `decades` at least; what has no place on it is marked."""
    low, high = _limits([line.values for line in lines], decades)
    x_values = np.asarray(x, float)
    below: list[float] = []
    broken: list[float] = []
    for line in lines:
        y = np.asarray(line.values, float)
        good = np.isfinite(y) & (y >= low) & (y <= high)
        shown = np.where(good, y, np.nan)
        axis.plot(x_values, shown, label=line.label, **line.look)
        lone = good & ~np.append(good[1:], False) & ~np.append(False, good[:-1])
        axis.plot(x_values[lone], y[lone], "o", color=line.look["color"], markersize=4)
        broken += list(x_values[~(y <= high) | np.isneginf(y)])
        below += list(x_values[np.isfinite(y) & (y < low)])
    scale_log(axis, low, high)
    _edge(axis, below, 0, 6, INK, "zero" if low <= _smallest(lines) else f"below {power(low)}")
    _edge(axis, broken, 1, "x", C, "not finite")


def scale_log(axis: Axes, low: float, high: float) -> None:
    """A log scale with few, plain labels on the y axis."""
    axis.set_ylim(low, high)  # first: choosing limits of its own, the log scale may overflow
    axis.set_yscale("log")
    subs = [1, 2, 5] if high < 50 * low else [1]
    axis.yaxis.set_major_locator(LogLocator(subs=subs, numticks=6))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(FuncFormatter(power))


def power(value: float, _: object = None) -> str:
    """A number as a tick of a log axis says it: 0.1, 1, 2, 10, and 10⁻³ beyond."""
    if value <= 0:
        return "0"
    exponent = round(math.log10(value))
    if 0.05 < value < 500 or not math.isclose(value, 10.0**exponent, rel_tol=1e-6):
        return f"{value:.2g}"
    return "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def positive(curves: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """All numbers that have a place on a log axis."""
    values = np.concatenate([np.zeros(0), *(np.asarray(curve, float) for curve in curves)])
    return values[np.isfinite(values) & (values > 0)]


def _limits(curves: Sequence[Sequence[float]], decades: float) -> tuple[float, float]:
    """A little more than the numbers take, `decades` at least and `_DECADES` at most."""
    values = positive(curves)
    if not values.size:
        return 1e-1, 1e1
    top = min(math.log10(values.max()), _MOST)
    bottom = max(math.log10(values.min()), top - _DECADES)
    margin = max(0.06 * (top - bottom), (decades - top + bottom) / 2)
    return 10.0 ** max(bottom - margin, -_MOST), 10.0 ** min(top + margin, _MOST)


def _smallest(lines: Sequence[Line]) -> float:
    values = positive([line.values for line in lines])
    return float(values.min()) if values.size else math.inf


def _edge(axis: Axes, x: list[float], height: int, marker: Any, colour: str, label: str) -> None:
    if not x:
        return
    places = np.unique(x)
    some = places[np.unique(np.linspace(0, len(places) - 1, _MARKS).round().astype(int))]
    axis.plot(
        some,
        np.full(len(some), height),
        linestyle="",
        marker=marker,
        color=colour,
        markersize=5,
        clip_on=False,
        label=label,
        transform=axis.get_xaxis_transform(),
    )
