"""Pictures of an inspection: heat maps, text coloured by a unit, what a prediction is due to."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from loopwise.diagnose import style
from loopwise.diagnose.states import Array, Attention, Inspection, LayerStates, Mixture, Score
from loopwise.diagnose.words import number, short

SHOWN = 100
"""Steps of a heat map."""
UNITS = 16
TOLD = 8
"""Features whose best unit has a picture of its own."""
LINES = 16
"""Lines of a coloured text, at most."""
WIDE = 76
"""Letters of such a line."""
_MONO: dict[str, Any] = {"family": "monospace", "fontsize": 8.5}
_SIGNED = {"gate-g", "gate-n", "gate-h"}


def figures(
    found: Inspection, layer: str | None = None, what: str | None = None, units: int = UNITS
) -> dict[str, Figure]:
    """All pictures by name, the most telling first.

    Args:
        found: what was seen.
        layer: only this one's heat maps.
        what: only of this part, such as ``"gate-f"``.
        units: rows of a heat map.

    Returns:
        ``"attribution"``; of a forecaster ``"mixture"``; of a translator ``"attention"``;
        ``"telling.<feature>"``, ``"<part>.<layer>"``.
    """
    drawn = {"attribution": _due(found)}
    if found.mixture is not None:
        drawn["mixture"] = _mixture(found.mixture)
    if found.attention is not None:
        drawn["attention"] = _attention(found, found.attention)
    for score in told(found):
        drawn[f"telling.{score.feature}"] = _told(found, score)
    for each in found.layers if layer is None else [found[layer]]:
        for part in each.parts if what is None else [what]:
            drawn[f"{part}.{each.name}"] = _map(found, each, part, units)
    return drawn


def told(found: Inspection) -> list[Score]:
    """The scores that have pictures: the strongest beyond chance."""
    scores = () if found.telling is None else found.telling.scores
    return [score for score in scores if score.tells][:TOLD]


@style.style()
def _map(found: Inspection, layer: LayerStates, part: str, count: int) -> Figure:
    first, last = window(found)
    units = found.units(layer.name, part if part in layer.memory else "hidden", count)
    units = [unit for unit in units if unit < layer.parts[part].shape[-1]]
    if part in layer.memory:
        values = found.centred(layer.name, part)
        story = "orange above a unit's mean, blue below; full colour from two standard deviations"
    else:
        values = layer.parts[part][:, 0]
        story = (
            "orange above zero, blue below"
            if part in _SIGNED
            else "the fuller the colour, the more open"
        )
    image = _coloured(values[first:last, units].T, open_only=_open(part))
    figure = Figure(figsize=(9.6, 1.2 + 0.19 * len(units)))
    axis = figure.add_subplot()
    axis.imshow(image, aspect="auto", interpolation="nearest", extent=(first, last, len(units), 0))
    marks = found.marks(layer.name, part)
    names = [f"{unit}  {marks[unit]}" if unit in marks else str(unit) for unit in units]
    axis.set_yticks(np.arange(len(units)) + 0.5, names)
    axis.tick_params(length=0, labelcolor=style.INK)
    axis.grid(False)
    _tokens(axis, found, first, last)
    style.heading(axis, f"{short(layer.name, 30)} · {part}", story)
    return figure


@style.style()
def _told(found: Inspection, score: Score) -> Figure:
    unit = score.unit
    title = f"{score.feature}: {unit}, r = {score.r:+.2f} (chance {score.chance:.2f})"
    values = found.centred(unit.layer, unit.part)[:, unit.index] * np.sign(score.r)
    feature = found.features.get(score.feature)
    if found.kind != "text":
        figure = Figure(figsize=(9.6, 2.0))
        axis = figure.add_subplot()
        if feature is not None:
            axis.fill_between(
                range(len(values)), _scaled(feature), step="mid", color=style.DATA, alpha=0.4, lw=0
            )
        axis.plot(_scaled(values), color=style.H)
        axis.set_yticks([])
        axis.set_xlabel("step")
        axis.set_xlim(0, len(values) - 1)
        axis.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        turned = ", the unit's sign turned" if score.r < 0 else ""
        style.heading(axis, title, f"grey the feature, blue the unit, over their range{turned}")
        return figure
    flat = feature is None or set(np.unique(feature)) <= {0, 1}
    under = None if feature is None or not flat else feature > 0
    flipped = ", its sign turned" if score.r < 0 else ""
    story = f"orange where the unit is high, blue where it is low{flipped}"
    story += "; underlined where it is so" if under is not None else ""
    return _text(found, values, title, story, under)


def _due(found: Inspection) -> Figure:
    due = found.attribution
    first = due.first
    title = f"What gave {due.what}: {number(due.value)}"
    peak = max(float(np.abs(due.occlusion).max(initial=0)), 1e-12)
    if found.kind == "text":
        values = np.zeros(len(found.tokens))
        values[first : due.at + 1] = due.occlusion / peak
        story = "by occlusion: orange made it likelier, blue less likely; full colour is "
        return _text(found, values, title, f"{story}{number(peak)} nats", None, due.at)
    return _bars(found, title)


@style.style()
def _mixture(mixture: Mixture) -> Figure:
    steps, count = mixture.shares.shape
    mean = mixture.shares.mean(0)
    figure = Figure(figsize=(9.6, 1.3 + 0.24 * count))
    axis = figure.add_subplot()
    image = _coloured(mixture.shares.T / max(float(mixture.shares.max()), 1e-9), open_only=True)
    extent = (0.5, steps + 0.5, count, 0)
    axis.imshow(image, aspect="auto", interpolation="nearest", extent=extent)
    names = [f"{name}  {100 * mean[n]:.0f} %" for n, name in enumerate(mixture.names)]
    axis.set_yticks(np.arange(count) + 0.5, names)
    axis.tick_params(axis="y", length=0, labelcolor=style.INK)
    axis.xaxis.set_major_locator(MaxNLocator(12, integer=True))
    axis.set_xlabel("steps ahead")
    axis.grid(False)
    story = "which past values the forecast of each step is a mixture of; full colour is "
    style.heading(axis, "What the forecast looks at", f"{story}{100 * mixture.shares.max():.0f} %")
    return figure


@style.style()
def _attention(found: Inspection, seen: Attention) -> Figure:
    steps, places = seen.weights.shape
    figure = Figure(figsize=(min(2.4 + 0.34 * places, 16), 1.9 + 0.26 * steps))
    axis = figure.add_subplot()
    image = _coloured(seen.weights, open_only=True)
    axis.imshow(image, aspect="auto", interpolation="nearest", extent=(0, places, steps, 0))
    axis.set_yticks(np.arange(steps) + 0.5, [_clean(each) for each in seen.target], **_MONO)
    axis.set_xticks(np.arange(places) + 0.5, [_clean(each) for each in found.tokens], **_MONO)
    axis.tick_params(axis="x", labelrotation=90)
    axis.tick_params(length=0, labelcolor=style.INK)
    axis.grid(False)
    style.heading(axis, "Where each token looks", "the fuller the colour, the larger its share")
    return figure


@style.style()
def _bars(found: Inspection, title: str) -> Figure:
    due = found.attribution
    figure = Figure(figsize=(9.6, 2.6))
    axis = figure.add_subplot()
    place = np.arange(due.first, due.at + 1)
    axis.bar(place - 0.2, due.occlusion, 0.4, color=style.H, label="occlusion")
    axis.bar(place + 0.2, due.integrated, 0.4, color=style.C, label="integrated gradients")
    axis.axhline(0, color=style.INK, linewidth=0.8)
    axis.set_xlabel("step")
    axis.xaxis.set_major_locator(MaxNLocator(10, integer=True))
    style.heading(axis, title, "above zero: this input raised it", legend=2)
    return figure


@style.style()
def _text(
    found: Inspection,
    values: Array,
    title: str,
    story: str,
    under: NDArray[np.bool_] | None = None,
    at: int | None = None,
) -> Figure:
    """The text, each token on a ground whose colour is its value."""
    cells = layout(found.tokens)
    cells = cells if at is None else cells[: at + 2]
    lines = cells[-1][0] + 1
    skipped = max(0, lines - LINES)
    figure = Figure(figsize=(9.6, 0.72 + 0.24 * min(lines, LINES)))
    axis = figure.add_subplot()
    for k, (line, left, width) in enumerate(cells):
        if line < skipped:
            continue
        top = line - skipped
        strength = float(np.clip(values[k], -1, 1))
        if abs(strength) > 0.03:
            colour = style.C if strength > 0 else style.H
            look: dict[str, Any] = {
                "facecolor": colour,
                "alpha": 0.75 * abs(strength),
                "linewidth": 0,
            }
            axis.add_patch(Rectangle((left, top), width, 0.86, **look))
        if under is not None and under[k]:
            axis.plot([left, left + width], [top + 0.9] * 2, color=style.INK, linewidth=1.1)
        if at is not None and k == at + 1:
            box: dict[str, Any] = {"fill": False, "edgecolor": style.INK, "linewidth": 1}
            axis.add_patch(Rectangle((left, top), width, 0.86, **box))
        place = (left + width / 2, top + 0.45)
        axis.text(*place, _clean(found.tokens[k]), ha="center", va="center", **_MONO)
    axis.set(xlim=(0, WIDE), ylim=(min(lines, LINES), 0))
    axis.axis("off")
    style.heading(axis, short(title, 120), story)
    return figure


def layout(tokens: Sequence[str]) -> list[tuple[int, float, float]]:
    """Line, left edge and width of every token, in letters; a new line after ⏎."""
    cells: list[tuple[int, float, float]] = []
    line, left = 0, 0.0
    for token in tokens:
        width = float(max(len(token), 1))
        if left and left + width > WIDE:
            line, left = line + 1, 0.0
        cells.append((line, left, width))
        left += width
        if token.endswith("⏎"):
            line, left = line + 1, 0.0
    return cells


def window(found: Inspection) -> tuple[int, int]:
    """The steps that heat maps show: all, or those around the prediction."""
    count = len(found.tokens)
    last = min(max(found.attribution.at + 2, SHOWN), count)
    return max(0, last - SHOWN), last


def _tokens(axis: Axes, found: Inspection, first: int, last: int) -> None:
    if found.kind == "numbers" or max(map(len, found.tokens[first:last]), default=1) > 3:
        axis.xaxis.set_major_locator(MaxNLocator(10, integer=True))
        axis.set_xlabel("step")
    if found.kind == "numbers":
        return
    wide = max(map(len, found.tokens[first:last]), default=1)
    axis.set_xticks(
        np.arange(first, last) + 0.5, [_clean(each) for each in found.tokens[first:last]], **_MONO
    )
    if wide > 1:
        axis.tick_params(axis="x", labelrotation=90)
    axis.set_xlabel("")


def _clean(token: str) -> str:
    return short(token, max(len(token), 1))


def _open(part: str) -> bool:
    return part.startswith("gate") and part not in _SIGNED


def _coloured(values: Array, *, open_only: bool) -> Array:
    """RGBA whose opacity is the size, so that any paper shows through."""
    high, low = to_rgba(style.X if open_only else style.C), to_rgba(style.H)
    image = np.where((values >= 0)[..., np.newaxis], high, low)
    image[..., 3] = np.clip(np.nan_to_num(np.abs(values)), 0, 1)
    return image


def _scaled(values: Iterable[float]) -> Array:
    array = np.asarray(list(values), float)
    span = float(array.max() - array.min())
    return (array - array.min()) / (span or 1.0)
