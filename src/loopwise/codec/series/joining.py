"""Series and the points that come after them, from two tables."""

import dataclasses

import numpy as np

from loopwise.codec.series.panel import Floats, Panel, offsets_of
from loopwise.codec.series.stamps import stamp_text
from loopwise.errors import DataError


def joined(panel: Panel, after: Panel, *, anew: bool = False) -> Panel:
    """The series of `after`, each with its points in `panel` before.

    Args:
        panel: the series up to now.
        after: what came then, of some of them; with the same columns.
        anew: whether the numbers of points begin anew in `after`, as in a table with a row for
            each series; else its stamps must go on where those of `panel` end.

    Raises:
        DataError: a series is not in `panel`, or does not go on where it ends there.
    """
    after.require_like(panel)
    place = {name: i for i, name in enumerate(panel.ids)}
    strange = [name for name in after.ids if name not in place]
    if strange:
        more = f" ({len(strange)} such series)" if len(strange) > 1 else ""
        raise DataError(
            f"series {strange[0]!r} is among the later points but not among the earlier ones{more}"
        )
    before = panel.select([place[name] for name in after.ids])
    if not anew:
        wanted = before.stamps_after(1)[:, 0]
        wrong = np.flatnonzero(wanted != after.first)
        if len(wrong):
            i = int(wrong[0])
            raise DataError(
                f"series {after.ids[i]!r}: the later points begin at {stamp_text(after.first[i])}; "
                f"after the earlier ones comes {stamp_text(wanted[i])}"
            )
    offsets = offsets_of(before.lengths + after.lengths)
    first = np.arange(len(before.values)) + np.repeat(after.offsets[:-1], before.lengths)
    second = np.arange(len(after.values)) + np.repeat(before.offsets[1:], after.lengths)

    def whole(old: Floats, new: Floats) -> Floats:
        result = np.empty((offsets[-1], old.shape[1]))
        result[first], result[second] = old, new
        return result

    return dataclasses.replace(
        before,
        offsets=offsets,
        values=whole(before.values, after.values),
        past=whole(before.past, after.past),
        future=whole(before.future, after.future),
    )
