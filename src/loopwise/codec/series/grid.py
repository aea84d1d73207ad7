"""The step between the stamps of a table: found in it, or the one that is wanted."""

from dataclasses import replace

import numpy as np

from loopwise.codec.series.frequency import Frequency
from loopwise.codec.series.layouts import Points
from loopwise.codec.series.mending import Missing
from loopwise.codec.series.panel import Integers, offsets_of
from loopwise.codec.series.stamps import Stamps, stamp_text
from loopwise.codec.series.zones import to_local
from loopwise.errors import DataError

_NEARLY_A_DAY = 23 * 3_600_000_000


def on_grid(
    points: Points, wanted: str | int | Frequency | None, missing: Missing, *, known: bool
) -> tuple[Points, Frequency]:
    """Points with stamps as a panel keeps them, and their step, which all of them fit.

    Args:
        points: in order.
        wanted: the step; None for the most common one.
        missing: what is done about gaps. Of shorter steps than a table has, most points would be.
        known: whether it is a model's that wants the step.

    Raises:
        DataError: the step is another one, or stamps are off the grid.
    """
    offsets = offsets_of(np.bincount(points.codes, minlength=len(points.ids)))
    if wanted is not None:
        step = Frequency.parse(wanted)
        points = _on_the_wall(points) if step.local else points
        if step.numbered == (points.stamps.dtype.kind != "M"):
            _require_step(points, offsets, step, missing, known=known)
        step.require_fit(points.stamps, offsets, points.where)
        return points, step
    if points.zone and _days_or_longer(points):
        points = _on_the_wall(points)
    return points, Frequency.infer(points.stamps, offsets, points.where)


def _on_the_wall(points: Points) -> Points:
    if points.zone is None:
        return points
    return replace(points, stamps=to_local(points.stamps, points.zone))


def _days_or_longer(points: Points) -> bool:
    """Whether most steps are a day or more, which may have 23 hours."""
    same = points.codes[1:] == points.codes[:-1]
    steps = np.diff(points.stamps)[same].astype(np.int64)
    return bool(len(steps)) and float(np.median(steps)) >= _NEARLY_A_DAY


def _require_step(
    points: Points, offsets: Integers, step: Frequency, missing: Missing, *, known: bool
) -> None:
    """Refuse a table most of whose stamps are less or more than a step after each other."""
    first = points.stamps[offsets[:-1]][points.codes]
    position = step.index(first, points.stamps)
    later = np.flatnonzero(points.codes[1:] == points.codes[:-1]) + 1
    steps = position[later] - position[later - 1]
    usual = (steps == 0) | (steps > 1)
    if not len(steps) or 2 * int(usual.sum()) <= len(steps):
        return
    shorter = 2 * int((steps == 0).sum()) > len(steps)
    if not shorter and missing != "error":
        return  # what lies between is mended
    k = int(later[np.argmax(steps == 0 if shorter else steps > 1)])
    raise DataError(
        f"{points.where(k)}: {stamp_text(points.stamps[k])} comes after "
        f"{stamp_text(points.stamps[k - 1])}; the step of this table is "
        f"{_measured(points.stamps, later)}, {'that of the model' if known else 'the one given'} "
        f"is {step.name}: " + (_SHORTER if shorter else _LONGER).format(step=step.name)
    )


_SHORTER = (
    "sum or average the rows of each {step} first, as with resample in pandas or "
    "group_by_dynamic in polars"
)
_LONGER = "give a row for each {step}, or choose missing=interpolate or missing=mask"


def _measured(stamps: Stamps, later: Integers) -> str:
    """The most common step of a table, as a frequency."""
    steps, counts = np.unique(stamps[later] - stamps[later - 1], return_counts=True)
    place = int(np.argmax(counts))
    k = later[np.flatnonzero(stamps[later] - stamps[later - 1] == steps[place])[0]]
    return Frequency.infer(stamps[k - 1 : k + 1]).name
