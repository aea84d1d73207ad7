"""Windows of series as a network reads them, cut from a panel, for training and deployment alike.

Each series is first put into a space of its own: the logarithm where it is positive throughout,
then in units of its standard deviation. A window is shifted besides, so that its end lies about 0.
Both are done in float64; what follows needs no more than float32. So multiplying a series by any
number leaves its windows as they are. Counts are divided by their mean alone. What was never below
0 is not forecast below 0 either: values that are brought back end there.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.series.codec import SeriesCodec
from loopwise.codec.series.panel import Panel, offsets_of
from loopwise.codec.series.spaces import (
    Space,
    Spaces,
    mean_in,
    running_mean,
    spaces_of_series,
)

Array = NDArray[np.float32]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Windows(NamedTuple):
    """What a network reads; NumPy arrays here, torch tensors in training.

    Letters: B windows, L points of each, h of the horizon, C channels.
    """

    values: Any
    """[B, L, C] in the window's space; 0 where nothing is known"""
    known: Any
    """[B, L, C], 1 or 0"""
    size: Any
    """[B, C], how large the standard deviation of the series is, as a logarithm: that of
    logarithms as it is, else its share of the mean's size"""
    mean: Any
    """[B, K, C], of all points of the series up to each of the K origins, in the window's space"""
    past: Any
    """[B, L, covariates known up to now]"""
    future: Any
    """[B, L + h, covariates known ahead]"""
    static: Any
    """[B, numbers of a series]"""
    categories: Any
    """[B, categories of a series], codes, int64"""
    series: Any
    """[B], which trained series each is of, int64; -1 for none"""


@dataclass(frozen=True)
class Prepared:
    """A panel made ready for windows: R rows, each a series, or one channel of it.

    Attributes:
        offsets: where each series of the panel begins, and the end, [N + 1].
        values: [total, C of the panel].
        spaces: of the rows, [R, C of the network].
        mean: of each series' values, or logarithms, up to each point, [total, C of the panel].
        past: [total, P].
        future: covariates known ahead of all series, each with `beyond` points more than it has,
            [total + N * beyond, F].
        beyond: how many.
        static: [N, A].
        categories: [N, K].
        known_as: which trained series each row is, [R].
        per_series: rows of a series.
        shifts: whether windows are shifted.
    """

    offsets: Integers
    values: Floats
    spaces: Spaces
    mean: Floats
    past: Array
    future: Array
    beyond: int
    static: Array
    categories: Integers
    known_as: Integers
    per_series: int
    shifts: bool

    @property
    def lengths(self) -> Integers:
        """Points of each row, [R]."""
        return np.repeat(np.diff(self.offsets), self.per_series)


def prepare(
    panel: Panel,
    codec: SeriesCodec,
    beyond: int,
    ahead: Floats | None = None,
    until: Integers | None = None,
    spaces: Spaces | None = None,
) -> Prepared:
    """Make a panel ready.

    Args:
        panel: N series.
        codec: how the network reads.
        beyond: points after the end of each series whose covariates windows may ask for.
        ahead: of these points the table's own covariates known ahead, [N, `beyond`, F]; None
            where the codec has none, or nothing is forecast beyond the end.
        until: how many points of each series may decide its space, [N]; None for all.
        spaces: of the rows, if they are known already; then their mean is that of all points.
    """
    lengths = panel.lengths
    if spaces is None:
        spaces = spaces_of_series(
            panel, codec, lengths if until is None else np.minimum(until, lengths)
        )
        mean = running_mean(panel, spaces.log.reshape(len(panel), -1))
    else:
        mean = np.repeat(spaces.mean.reshape(len(panel), -1), lengths, axis=0)
    future = np.empty((len(panel.values) + len(panel) * beyond, codec.ahead), np.float32)
    if codec.ahead:
        inside = np.ones(len(future), bool)
        after = offsets_of(lengths + beyond)[1:, None] - beyond + np.arange(beyond)
        inside[after.ravel()] = False
        future[inside] = codec.told_ahead(panel.future, panel.all_stamps())
        if beyond:
            stamps = panel.stamps_after(beyond)
            width = panel.future.shape[1]
            given = np.full((stamps.size, width), np.nan)
            if ahead is not None:
                given = ahead.reshape(-1, width)
            future[after.ravel()] = codec.told_ahead(given, stamps.ravel())
    return Prepared(
        panel.offsets,
        panel.values,
        spaces,
        mean,
        codec.past(panel.past),
        future,
        beyond,
        codec.static(panel.static),
        panel.categories,
        codec.row_of(panel),
        codec.rows_per_series,
        codec.shifts,
    )


def cut(
    prepared: Prepared,
    rows: Integers,
    ends: Integers,
    length: int,
    horizon: int,
    patch: int,
    spaces: Spaces | None = None,
    origins: int = 1,
) -> tuple[Windows, Space]:
    """Cut windows.

    Args:
        prepared: the panel.
        rows: of which row each is, [B].
        ends: how many points of its row come before each window's end, [B].
        length: L; what lies before the beginning of a row is unknown.
        horizon: h.
        patch: the mean of so many last points is the centre of a window's space.
        spaces: of each window, [B, C]; None for those of the rows.
        origins: K, the ends of the last K patches.
    """
    series, channel = rows // prepared.per_series, rows % prepared.per_series
    begin = prepared.offsets[series]
    places = ends[:, None] + np.arange(-length, 0)
    there = places >= 0
    index = begin[:, None] + np.where(there, places, 0)
    values = _of_rows(prepared, prepared.values, index, channel)
    values = np.where(there[..., None], values, np.nan)
    if spaces is None:
        last = ends[:, None] - patch * np.arange(origins - 1, -1, -1)
        last = begin[:, None] + np.maximum(last - 1, 0)
        mean = _of_rows(prepared, prepared.mean, last, channel)
        spaces = prepared.spaces.of(rows)
    else:
        mean = spaces.mean[:, None]
    scaled, known, space = scale(values, spaces, patch, shifts=prepared.shifts)
    return (
        Windows(
            scaled,
            known,
            spaces.size,
            mean_in(space, mean),
            np.where(there[..., None], prepared.past[index], np.float32(0)),
            _ahead(prepared, series, ends, length, horizon),
            prepared.static[series],
            prepared.categories[series],
            prepared.known_as[rows],
        ),
        space,
    )


def scale(
    values: Floats, spaces: Spaces, patch: int, *, shifts: bool
) -> tuple[Array, Array, Space]:
    """Put the values of windows into their spaces.

    Args:
        values: [B, L, C]; NaN where nothing is known.
        spaces: of each window, [B, C].
        patch: the mean of so many last points is the centre of a window's space.
        shifts: whether there is a centre.

    Returns:
        `Windows.values`, `Windows.known` and the spaces.
    """
    log, spread = spaces.log, spaces.spread
    space = Space(log, np.zeros_like(spread), np.ones_like(spread), spaces.bounded)
    taken = space.over(1).into(values)
    known = np.isfinite(taken)
    centre = _centre(taken, known, patch) if shifts else space.centre
    space = space._replace(centre=centre, spread=spread)
    scaled = np.where(known, (taken - centre[:, None]) / spread[:, None], 0.0)
    return scaled.astype(np.float32), known.astype(np.float32), space


def following(prepared: Prepared, rows: Integers, ends: Integers, horizon: int) -> Floats:
    """The values that follow so many first ones, [B, ..., h, C]; NaN where there are none.

    Args:
        prepared: the panel.
        rows: [B].
        ends: [B, ...], with any axes more.
        horizon: h.
    """
    shape = (-1,) + (1,) * (ends.ndim - 1)
    series, channel = rows // prepared.per_series, rows % prepared.per_series
    places = ends[..., None] + np.arange(horizon)
    lengths = prepared.lengths[rows].reshape(*shape, 1)
    there = (places >= 0) & (places < lengths)
    index = prepared.offsets[series].reshape(*shape, 1) + np.where(there, places, 0)
    return np.where(there[..., None], _of_rows(prepared, prepared.values, index, channel), np.nan)


def _of_rows(prepared: Prepared, table: Floats, index: Integers, channel: Integers) -> Floats:
    """What stands at places [B, ...] of a table like the panel's values, [B, ..., C]."""
    if prepared.per_series == 1:
        return table[index]
    shape = (-1,) + (1,) * (index.ndim - 1)
    return table[index, channel.reshape(shape)][..., None]


def _ahead(
    prepared: Prepared, series: Integers, ends: Integers, length: int, horizon: int
) -> Array:
    places = ends[:, None] + np.arange(-length, horizon)
    width = prepared.future.shape[1]
    if not width:
        return np.empty((*places.shape, 0), np.float32)
    limit = np.diff(prepared.offsets)[series][:, None] + prepared.beyond
    there = (places >= 0) & (places < limit)
    begin = (prepared.offsets[series] + series * prepared.beyond)[:, None]
    found = prepared.future[begin + np.where(there, places, 0)]
    return np.where(there[..., None], found, np.float32(0))


def _centre(values: Floats, known: NDArray[np.bool_], patch: int) -> Floats:
    """The mean of the last points, or of all where these are unknown, [B, C]."""
    filled = np.where(known, values, 0.0)
    near, all_of_it = known[:, -patch:].sum(1), known.sum(1)
    last = filled[:, -patch:].sum(1) / np.maximum(near, 1)
    return np.where(near > 0, last, filled.sum(1) / np.maximum(all_of_it, 1))
