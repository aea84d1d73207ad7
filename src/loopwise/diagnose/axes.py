"""What each figure draws: functions that take a part of a report and an axis, and give it back."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.patches import Circle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from loopwise.diagnose import style
from loopwise.diagnose.report import Curve, Dependence, LayerReport, Report, TensorReport
from loopwise.diagnose.style import Line
from loopwise.diagnose.words import number, pace, percent, reach, short, steps

Record = Mapping[str, Any]

_HEALTHY = 10**-3.5, 10**-2.5
"""around 1e-3, the update-to-weight ratio of a training that goes well"""
_EIGENVALUES = 100
_TENSORS = 20
_RECORDS = 200


@style.style()
def gradients(layer: LayerReport, axis: Axes) -> Axes:
    """Norm of the loss's gradient at every time step: hidden state, cell state, gates."""
    found = layer.gradients
    thick, thin = {"linewidth": 2.2, "zorder": 3}, {"linewidth": 1.0}
    lines = [Line("h", found.h, {"color": style.H} | thick)]
    story = pace(found.slope_h)
    if found.c is not None:
        lines.append(Line("c", found.c, {"color": style.C} | thick))
        story = f"h {story}, c {pace(found.slope_c)}"
    for gate, curve in found.gates.items():
        label = gate if len(found.gates) > 1 else "before the activation"
        lines.append(Line(label, curve, style.gate_style(gate) | thin))
    style.log_lines(axis, range(len(found.h)), lines)
    _steps(axis, len(found.h))
    axis.set_xlabel("time step")
    style.heading(axis, _title(layer, "gradient norm"), story, legend=8)
    return axis


@style.style()
def influence(layer: LayerReport, axis: Axes, dependence: Dependence | None = None) -> Axes:
    """What is left of a state after some steps, the memory horizons, and what the data asks for."""
    found = layer.influence
    lags = len(found.h)
    shown = _lags_shown(layer, dependence)
    lines = [Line("h", _relative(found.h), {"color": style.H, "linewidth": 2.2})]
    if found.c is not None:
        lines.append(Line("c", _relative(found.c), {"color": style.C, "linewidth": 2.2}))
    look = {"color": style.X, "linewidth": 1.2, "linestyle": "--"}
    lines.append(Line("input", _relative(found.x), look))
    first = min(shown + 1, lags)
    cut = [line._replace(values=line.values[:first]) for line in lines]
    style.log_lines(axis, range(first), cut)
    for lag, level, name in (
        (found.horizon, math.exp(-1), "1/e"),
        (found.horizon_1_percent, 0.01, "1 %"),
    ):
        _horizon(axis, lag, level, name)
    if dependence is not None:
        _dependence(axis, dependence)
    _steps(axis, shown + 1)
    axis.set_xlabel("steps back" if shown >= lags - 1 else f"steps back, the first of {lags - 1}")
    story = f"memory horizon {reach(layer)}"
    if dependence is not None:
        story += f"; the data reaches {steps(dependence.reach)}"
    style.heading(axis, _title(layer, "influence"), story, legend=5)
    return axis


@style.style()
def spectrum(layer: LayerReport, axis: Axes) -> Axes:
    """Eigenvalues of every gate's recurrent matrix, on the unit circle."""
    found = layer.spectrum
    outermost = 1.0
    cut = False
    axis.add_patch(Circle((0, 0), 1, fill=False, edgecolor=style.INK, linewidth=1))
    for gate, radius in found.radius.items():
        points = np.array(found.eigenvalues.get(gate, ()), float).reshape(-1, 2)
        points = points[np.isfinite(points).all(axis=1)]
        cut |= len(points) > _EIGENVALUES
        points = points[:_EIGENVALUES]
        outermost = max(outermost, float(np.abs(points).max(initial=0)))
        label = f"{gate}  {number(radius)}" if len(found.radius) > 1 else number(radius)
        colour = style.gate_style(gate)["color"]
        axis.plot(*points.T, "o", color=colour, markersize=3.4, alpha=0.75, mew=0, label=label)
    limit = 1.12 * outermost
    axis.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    for each in (axis.xaxis, axis.yaxis):
        each.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    axis.set_xlabel("real")
    axis.set_ylabel("imaginary")
    if found.radius:
        axis.legend(
            loc="center left",
            bbox_to_anchor=(1.06, 0.5),
            title="radius",
            title_fontsize=8,
            alignment="left",
        )
    gate, radius = _largest(found.radius)
    story = f"the largest {number(radius)}" + (f", of {gate}" if len(found.radius) > 1 else "")
    if cut:
        story += f"; the outermost {_EIGENVALUES} each"
    style.heading(axis, _title(layer, "eigenvalues"), story)
    return axis


@style.style()
def gates(layer: LayerReport, axis: Axes) -> Axes:
    """Histogram of every gate's values; where it is saturated is shaded."""
    found = layer.activity
    names = list(found.histogram)
    tanh = [name for name in names if _is_tanh(layer, name)]
    for row, name in enumerate(reversed(names)):
        zone = 0.025 if name in tanh else 0.05  # of an axis that is 2 or 1 long
        values = np.nan_to_num(np.asarray(found.histogram[name], float), posinf=0, neginf=0)
        height = values / max(values.max(initial=0), 1e-30)
        edges = np.linspace(0, 1, len(values) + 1)
        colour = style.gate_style(name)["color"]
        for left in (0, 1 - zone):
            axis.fill_between([left, left + zone], row, row + 0.95, color=style.BAD, linewidth=0)
        axis.stairs(row + 0.68 * height, edges, baseline=row, fill=True, color=colour, alpha=0.85)
        low, high = found.low.get(name, math.nan), found.high.get(name, math.nan)
        look: dict[str, Any] = {"va": "top", "fontsize": 8, "color": style.INK}
        axis.text(0.005, row + 0.95, percent(low), ha="left", **look)
        axis.text(0.995, row + 0.95, percent(high), ha="right", **look)
    axis.set(xlim=(0, 1), ylim=(0, max(len(names), 1)))
    axis.set_yticks(
        [row + 0.35 for row in range(len(names))], [short(n, 12) for n in reversed(names)]
    )
    axis.tick_params(axis="y", length=0, labelcolor=style.INK)
    axis.grid(False)
    labels = ["−1", "0", "1"] if len(tanh) == len(names) else ["0", "0.5", "1"]
    if 0 < len(tanh) < len(names):
        other = f"{', '.join(tanh)}: "
        labels = [f"0\n{other}−1", "0.5\n0", "1\n1"]
    axis.set_xticks([0, 0.5, 1], labels)
    axis.get_xticklabels()[0].set_horizontalalignment("left")
    axis.get_xticklabels()[2].set_horizontalalignment("right")
    saturated = {name: found.low.get(name, 0) + found.high.get(name, 0) for name in names}
    name, share = _largest(saturated)
    story = f"saturated: {percent(share)}" + (f" of {name}" if len(names) > 1 else "")
    style.heading(axis, _title(layer, "gates"), story if names else "no gates")
    return axis


@style.style()
def jacobian(layer: LayerReport, axis: Axes) -> Axes:
    """Largest singular value and spectral radius of a step's Jacobian, along the trajectory."""
    found = layer.spectrum
    lines = [
        Line("largest singular value", found.jacobian_norm, {"color": style.H}),
        Line("spectral radius", found.jacobian_radius, {"color": style.C, "linestyle": "--"}),
    ]
    axis.axhline(1, color=style.INK, linewidth=0.8)
    style.log_lines(axis, found.jacobian_steps, lines, decades=0.3)
    low, high = axis.get_ylim()
    style.scale_log(axis, min(low, 0.45), max(high, 2.2))
    _steps(axis, layer.steps)
    axis.set_xlabel("time step")
    middle = float(np.median(found.jacobian_norm)) if found.jacobian_norm else math.nan
    if math.isfinite(middle):
        story = f"a typical step changes states by up to ×{number(middle)}"
    else:
        story = "no numbers" if not found.jacobian_norm else "not finite"
    style.heading(axis, _title(layer, "step Jacobian"), story, legend=3)
    return axis


@style.style()
def lyapunov(layer: LayerReport, axis: Axes) -> Axes:
    """The largest Lyapunov exponents."""
    values = np.asarray(layer.spectrum.lyapunov, float)
    place = np.arange(1, len(values) + 1)
    for sign, colour in ((values > 0, style.C), (values <= 0, style.H)):
        good = sign & np.isfinite(values)
        axis.vlines(place[good], 0, values[good], color=colour, linewidth=2)
        axis.plot(place[good], values[good], "o", color=colour, markersize=4.5)
    finite = values[np.isfinite(values)]
    low, high = min(finite.min(initial=0), -0.1), max(finite.max(initial=0), 0.1)
    margin = 0.12 * (high - low)
    axis.set(xlim=(0.4, max(len(values), 1) + 0.6), ylim=(low - margin, high + margin))
    axis.axhspan(0, high + margin, color=style.BAD, linewidth=0, zorder=0)
    axis.axhline(0, color=style.INK, linewidth=0.8)
    axis.grid(False, axis="x")
    axis.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    axis.set_xlabel("exponent, the largest first")
    axis.set_ylabel("nats a step")
    if not len(values):
        story = "no numbers"
    elif not math.isfinite(values[0]):
        story = f"the largest is {number(values[0])}"
    else:
        what = "neighbours part" if values[0] > 0 else "neighbours meet"
        story = f"the largest {values[0]:+.2g}: {what}".replace("-", "−")
    if lost := len(values) - len(finite):
        story += f"; {lost} not finite"
    style.heading(axis, _title(layer, "Lyapunov exponents"), story)
    return axis


@style.style()
def training(records: Iterable[Record], layer: LayerReport, axis: Axes) -> Axes:
    """Gradient norm over time and over training, from watch records; the line is the horizon."""
    rows = watched(records, layer.name)
    every = rows[:: -(-len(rows) // _RECORDS) or 1]
    width = max((len(row["gradient"]) for _, row in every), default=0)
    axis.grid(False)
    axis.set_xlabel("time step, the oldest left")
    axis.set_ylabel("training step")
    title = _title(layer, "training")
    if not width:
        style.heading(axis, title, "nothing was watched")
        return axis
    picture = np.array([_stretched(row["gradient"], width) for _, row in every])
    good = style.positive(picture.tolist())
    top = float(good.max()) if good.size else 1.0
    bottom = max(float(good.min()), top * 1e-12) if good.size else 0.1
    norm = LogNorm(min(bottom, top / 10), top)
    image = np.where(np.isfinite(picture), np.clip(picture, norm.vmin, None), np.nan)
    at = np.array([step for step, _ in every], float)
    edges = np.linspace(0, layer.steps, width + 1), _edges(at)
    axis.set_facecolor(style.C)  # what is not finite shows through
    mesh = axis.pcolormesh(*edges, image, norm=norm, cmap="cividis", rasterized=True)
    horizons = [_number(row.get("horizon")) for _, row in every]
    axis.plot(
        np.clip(layer.steps - np.array(horizons), 0, None),
        at,
        color=style.PAPER,
        marker="o" if len(at) == 1 else "",
        clip_on=False,
        path_effects=[withStroke(linewidth=3.4, foreground=style.INK)],
    )
    axis.set_ylim(edges[1][0], edges[1][-1])
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    axis.yaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    bar = axis.figure.colorbar(
        mesh, ax=axis, ticks=LogLocator(numticks=5), format=FuncFormatter(style.power), pad=0.03
    )
    bar.minorticks_off()
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    beyond = f"over {steps(layer.steps)}"
    ends = [steps(int(value)) if math.isfinite(value) else beyond for value in horizons]
    story = f"memory horizon {ends[0]}" + (f", then {ends[-1]}" if len(ends) > 1 else "")
    if len(every) < len(rows):
        story += f"; {len(every)} of {len(rows)} records"
    style.heading(axis, title, story)
    return axis


@style.style()
def tensors(report: Report, axis: Axes) -> Axes:
    """Gradient and update of every parameter relative to its weight."""
    shown = tensors_shown(report)
    row = np.arange(len(shown))[::-1]
    parts = [
        ("gradient / weight", [t.gradient_ratio for t in shown], 0.17, style.SKY, "D"),
        ("update / weight", [t.update_ratio for t in shown], -0.17, style.H, "o"),
    ]
    known = [
        (name, np.array(values, float), offset, colour, marker)
        for name, values, offset, colour, marker in parts
        if any(value is not None for value in values)
    ]
    good = style.positive([values.tolist() for _, values, *_ in known])
    low = max(min(good.min(initial=1e-4), 1e-4), good.max(initial=1e-2) * 1e-15) / 3
    high = max(good.max(initial=1e-2), 1e-2) * 3
    lost: list[tuple[float, str]] = []
    for name, values, offset, colour, marker in known:
        on = np.isfinite(values) & (values > low)
        y = row + offset
        axis.hlines(y[on], low, values[on], color=colour, linewidth=2.5, alpha=0.55)
        axis.plot(values[on], y[on], marker, color=colour, markersize=4.5, label=name)
        lost += [
            (place, "0" if value <= low else number(value))
            for place, value in zip(y[~on], values[~on], strict=True)
        ]
    for place, text in lost:
        axis.text(low * 1.1, place, text, fontsize=7, va="center", color=style.C)
    axis.axvspan(*_HEALTHY, color=style.GOOD, linewidth=0, zorder=0)
    axis.axvline(1e-3, color=style.X, linewidth=0.8, zorder=1)
    axis.set_xscale("log")
    axis.set(xlim=(low, high), ylim=(-0.6, max(len(shown), 1) - 0.4))
    axis.xaxis.set_major_locator(LogLocator(numticks=7))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(style.power))
    axis.set_yticks(row, [short(t.name, 32) for t in shown])
    axis.tick_params(axis="y", length=0, labelcolor=style.INK)
    axis.grid(False, axis="y")
    inside = sum(_off(t) <= 0.5 for t in report.tensors if t.update is not None)
    updated = sum(t.update is not None for t in report.tensors)
    story = f"{inside} of {updated} updates near 1e-3 of the weight" if updated else "no optimiser"
    if len(shown) < len(report.tensors):
        story += f"; the {len(shown)} furthest of {len(report.tensors)} shown"
    style.heading(axis, "Gradients and updates to weights", story, legend=2)
    return axis


def tensors_shown(report: Report) -> Sequence[TensorReport]:
    """The parameters that `tensors` draws: of many those furthest from 1e-3."""
    if len(report.tensors) <= _TENSORS:
        return report.tensors
    furthest = sorted(report.tensors, key=_off, reverse=True)[:_TENSORS]
    return [tensor for tensor in report.tensors if tensor in furthest]


def watched(records: Iterable[Record], name: str) -> list[tuple[float, Record]]:
    """Training step and measurement of each watch record that knows a layer, in order."""
    found = {
        float(record["step"]): record["layers"][name]
        for record in records  # a continued run may have a step twice: the later one counts
        if record.get("kind") == "watch" and name in record["layers"]
    }
    return sorted(found.items(), key=lambda item: item[0])


def _title(layer: LayerReport, what: str) -> str:
    return f"{short(layer.name, 24)} · {what}"


def _steps(axis: Axes, count: int) -> None:
    """An x axis of so many steps, from 0."""
    axis.set_xlim(-0.5 if count < 2 else 0, max(count - 1, 0.5))
    axis.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))


def _relative(curve: Curve) -> Curve:
    return tuple(value / curve[0] if curve[0] else value for value in curve)


def _lags_shown(layer: LayerReport, dependence: Dependence | None) -> int:
    """Up to which lag there is something to see."""
    found, last = layer.influence, len(layer.influence.h) - 1
    needed = 0 if dependence is None else math.ceil(1.25 * dependence.reach)
    if found.horizon_1_percent is None:
        return max(last, needed)
    return max(min(last, max(2 * found.horizon_1_percent, 20)), needed)


def _horizon(axis: Axes, lag: int | None, level: float, name: str) -> None:
    bottom, top = axis.get_ylim()
    if not bottom < level < top:
        return
    axis.axhline(level, color=style.MUTED, linewidth=0.7, linestyle=(0, (2, 2)))
    if lag is None:
        axis.annotate(
            name,
            (1, level),
            (-2, 2),
            xycoords=axis.get_yaxis_transform(),
            textcoords="offset points",
            ha="right",
            fontsize=8,
            color=style.MUTED,
        )
        return
    axis.plot([lag], [level], "o", color=style.PAPER, mec=style.INK, markersize=5.5, zorder=5)
    axis.annotate(
        f"{name}: {steps(lag)}",
        (lag, level),
        (6, 3),
        textcoords="offset points",
        fontsize=8,
        zorder=6,
    )


def _dependence(axis: Axes, found: Dependence) -> None:
    """What the data depends on, along the bottom, and how far it reaches."""
    values = np.nan_to_num(np.asarray(found.values, float), posinf=0, neginf=0)
    below = axis.get_xaxis_transform()
    peak = values.max(initial=0)
    axis.fill_between(
        found.lags,
        0,
        0.25 * values / (peak or 1),
        transform=below,
        color=style.DATA,
        alpha=0.45,
        linewidth=0,
        label=found.kind,
        zorder=0,
    )
    if found.reach:
        axis.plot([found.reach] * 2, [0, 0.3], color=style.MUTED, linewidth=1.2, transform=below)
        axis.annotate(
            f"data: {found.reach}",
            (found.reach, 0.3),
            (0, 2),
            xycoords=below,
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=style.MUTED,
            path_effects=[withStroke(linewidth=3, foreground=style.PAPER)],
        )


def _is_tanh(layer: LayerReport, gate: str) -> bool:
    return layer.cell == "rnn_tanh" or gate in ("g", "n")


def _largest(values: Mapping[str, float]) -> tuple[str, float]:
    return max(values.items(), key=lambda item: _number(item[1]), default=("", math.nan))


def _number(value: object) -> float:
    """A number of a log, where null stands for one that is not finite."""
    return float(value) if isinstance(value, int | float) else math.nan


def _stretched(values: Sequence[object], width: int) -> list[float]:
    if not values:
        return [math.nan] * width
    return [_number(values[place * len(values) // width]) for place in range(width)]


def _edges(at: Any) -> Any:
    """Where cells with these middles end."""
    if len(at) == 1:
        return np.array([at[0] - 0.5, at[0] + 0.5])
    middles = (at[1:] + at[:-1]) / 2
    return np.concatenate([[2 * at[0] - middles[0]], middles, [2 * at[-1] - middles[-1]]])


def _off(tensor: TensorReport) -> float:
    """Decades between a tensor's ratio and 1e-3."""
    ratio = tensor.update_ratio
    value = tensor.gradient_ratio if ratio is None else ratio
    return abs(math.log10(value / 1e-3)) if 0 < value < math.inf else math.inf
