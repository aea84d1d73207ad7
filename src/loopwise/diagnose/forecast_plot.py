"""Pictures of forecasts: history, forecast, intervals, what came, several series side by side."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from loopwise.codec.series.panel import Panel
from loopwise.codec.series.stamps import Stamps
from loopwise.diagnose import style
from loopwise.diagnose.words import short

Floats = NDArray[np.float64]

SHOWN = 12
"""Series of a figure, at most."""
PAST = 4
"""Points of history that are shown by default, in horizons."""
_LEAST = 40
"""Points of history that are shown at least."""


@dataclass(frozen=True)
class Fan:
    """One forecast.

    Attributes:
        stamps: [h].
        point: [h].
        intervals: percent, lower and upper ends [h]; in any order.
    """

    stamps: Stamps
    point: Floats
    intervals: Sequence[tuple[float, Floats, Floats]] = ()


@dataclass(frozen=True)
class Picture:
    """One series with its forecasts.

    Attributes:
        name: of the series.
        stamps: of its values, [T].
        values: what is known, [T]; NaN is a gap. Those after a forecast's beginning are what came.
        fans: forecasts, each from what came before it.
        paths: sample paths of the last one, [n, h].
    """

    name: str
    stamps: Stamps
    values: Floats
    fans: Sequence[Fan] = ()
    paths: Floats = field(default_factory=lambda: np.empty((0, 0)))


def pictures(
    panel: Panel,
    ends: NDArray[np.int64],
    point: Floats,
    levels: Sequence[float] = (),
    intervals: Floats | None = None,
    *,
    history: int | None = None,
    paths: Floats | None = None,
) -> list[Picture]:
    """What `figure` draws, of the first series of a panel.

    Args:
        panel: N series; what they have after the origins is drawn as what came.
        ends: how many points come before each forecast, [N, K].
        point: [N, K, h, targets].
        levels: percent of the intervals.
        intervals: lower and upper ends for each level, [N, K, h, targets, 2 * levels].
        history: points before the first forecast; None for four horizons, at least 40.
        paths: [n, N, h, targets], after the last of `ends`.
    """
    h, targets = point.shape[2:]
    before = max(PAST * h, _LEAST) if history is None else history
    found: list[Picture] = []
    for i in range(min(len(panel), -(-SHOWN // targets))):
        begin = max(int(ends[i].min()) - before, 0)
        last = min(int(ends[i].max()) + h, int(panel.lengths[i]))
        stamps = panel.frequency.at(panel.first[i], np.arange(begin, last))
        for target, called in enumerate(panel.targets):
            fans: list[Fan] = []
            for k, end in enumerate(ends[i].tolist()):
                ahead = panel.frequency.at(panel.first[i], np.arange(end, end + h))
                given: list[tuple[float, Floats, Floats]] = []
                if intervals is not None:
                    both = intervals[i, k, :, target].reshape(h, -1, 2)
                    given = [(p, *both[:, n].T) for n, p in enumerate(levels)]
                fans.append(Fan(ahead, point[i, k, :, target], given))
            name = str(panel.ids[i])
            found.append(
                Picture(
                    name if targets == 1 else f"{name} · {called}",
                    stamps,
                    panel.series(i)[begin:last, target],
                    fans,
                    np.empty((0, h)) if paths is None else paths[:, i, :, target],
                )
            )
    return found[:SHOWN]


@style.style()
def figure(drawn: Sequence[Picture], *, more: int = 0) -> Figure:
    """Forecasts as small multiples.

    Args:
        drawn: up to `SHOWN` of them.
        more: how many series are not drawn, which is said.
    """
    drawn = drawn[:SHOWN]
    columns = 1 if len(drawn) == 1 else 2 if len(drawn) < 5 else 3
    rows = -(-len(drawn) // columns)
    size = (8.4, 3.6) if len(drawn) == 1 else (4.6 * columns, 0.7 + 2.35 * rows)
    result = Figure(figsize=size)
    axes: Any = result.subplots(rows, columns, squeeze=False)
    for place, axis in enumerate(axes.ravel()):
        if place < len(drawn):
            draw(drawn[place], axis)
        else:
            axis.axis("off")
    handles = _legend(drawn)
    result.legend(handles=handles, loc="outside upper right", ncols=len(handles), borderaxespad=0.4)
    if more:
        result.supxlabel(f"{more:,} more series are not shown", fontsize=8.5, color=style.MUTED)
    return result


@style.style()
def draw(drawn: Picture, axis: Axes) -> Axes:
    """One series: its history, its forecasts and what came after their beginning."""
    axis.plot(drawn.stamps, drawn.values, color=style.INK, linewidth=1.0, zorder=5)
    for number, fan in enumerate(drawn.fans):
        _fan(drawn, fan, axis, is_last=number == len(drawn.fans) - 1)
    everything = [drawn.stamps, *(fan.stamps for fan in drawn.fans)]
    low, high = min(s[0] for s in everything if len(s)), max(s[-1] for s in everything if len(s))
    axis.set_xlim(low, high)
    if np.asarray(drawn.stamps).dtype.kind == "M":
        locator = AutoDateLocator(minticks=3, maxticks=8)
        axis.xaxis.set_major_locator(locator)
        axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        axis.xaxis.get_offset_text().set(color=style.MUTED, fontsize=8)
    else:
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axis.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axis.yaxis.set_major_formatter(FuncFormatter(_plain))
    axis.grid(False, axis="x")
    axis.set_title(short(drawn.name, 48))
    return axis


def _fan(drawn: Picture, fan: Fan, axis: Axes, *, is_last: bool) -> None:
    before = np.flatnonzero((drawn.stamps < fan.stamps[0]) & np.isfinite(drawn.values))
    stamps, joint = fan.stamps, np.empty(0)
    if len(before):  # from the last known value on, so that nothing hangs in the air
        joint = drawn.values[before[-1:]]
        stamps = np.concatenate([drawn.stamps[before[-1:]], fan.stamps])
    for n, (_, low, high) in enumerate(_widest_first(fan)):
        axis.fill_between(
            stamps,
            np.concatenate([joint, low]),
            np.concatenate([joint, high]),
            color=style.H,
            alpha=_shade(n, len(fan.intervals)),
            linewidth=0,
            zorder=1,
        )
    if is_last:
        for path in drawn.paths:
            look: dict[str, Any] = {"color": style.SKY, "linewidth": 0.6, "alpha": 0.5}
            axis.plot(stamps, np.concatenate([joint, path]), zorder=2, **look)
    axis.plot(stamps, np.concatenate([joint, fan.point]), color=style.H, linewidth=1.8, zorder=4)
    cutoff = stamps[0]
    axis.axvline(cutoff, color=style.MUTED, linewidth=0.7, linestyle=(0, (2, 2)), zorder=0)


def _legend(drawn: Sequence[Picture]) -> list[Any]:
    handles: list[Any] = [
        Line2D([], [], color=style.INK, linewidth=1.0, label="series"),
        Line2D([], [], color=style.H, linewidth=1.8, label="forecast"),
    ]
    fans = [fan for picture in drawn for fan in picture.fans]
    if fans:
        given = _widest_first(fans[0])
        for n, (percent, *_) in reversed(list(enumerate(given))):
            # the widest lies under the others
            alpha = 1 - np.prod([1 - _shade(k, len(given)) for k in range(n + 1)])
            handles.append(
                Patch(facecolor=style.H, alpha=float(alpha), linewidth=0, label=f"{percent:g} %")
            )
    if any(len(picture.paths) for picture in drawn):
        handles.append(Line2D([], [], color=style.SKY, linewidth=0.8, label="paths"))
    return handles


def _widest_first(fan: Fan) -> list[tuple[float, Floats, Floats]]:
    return sorted(fan.intervals, key=lambda interval: -interval[0])


def _shade(n: int, count: int) -> float:
    """Opacity of the n-th widest of some intervals, which lie over each other."""
    return 0.2 if count < 4 else 0.12


def _plain(value: float, _: object = None) -> str:
    """A number without an exponent or an offset: 0.5, 1,200, 3.4 M."""
    size = abs(value)
    if size >= 1e6:
        power, letter = (1e9, "G") if size >= 1e9 else (1e6, "M")
        return f"{value / power:.4g} {letter}".replace("-", "−")
    text = f"{value:,.6g}" if size < 1000 else f"{value:,.0f}"
    return text.replace("-", "−")
