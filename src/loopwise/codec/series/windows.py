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

Array = NDArray[np.float32]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

LEAST = 1e-9
"""Least standard deviation of a series, in shares of its size: a constant one has none."""


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


class Space(NamedTuple):
    """How the values of windows were made from those of their series; float64, [B, C] each.

    A value x became ``(log x - centre) / spread``, or without the logarithm. Methods broadcast.
    """

    log: NDArray[np.bool_]
    centre: Floats
    spread: Floats
    bounded: NDArray[np.bool_]
    """whether what comes back ends at 0"""

    def over(self, *axes: int) -> "Space":
        """The same with new axes, for values that have more than windows and channels."""
        return Space(
            np.expand_dims(self.log, axes),
            np.expand_dims(self.centre, axes),
            np.expand_dims(self.spread, axes),
            np.expand_dims(self.bounded, axes),
        )

    def into(self, values: Floats) -> Floats:
        """Values into the windows' space; NaN where they have no logarithm."""
        with np.errstate(divide="ignore", invalid="ignore"):
            taken = np.where(self.log, np.log(np.where(values > 0, values, np.nan)), values)
        return (taken - self.centre) / self.spread

    def back(self, values: Floats) -> Floats:
        """Out of the windows' space."""
        taken = values * self.spread + self.centre
        with np.errstate(over="ignore"):
            found = np.where(self.log, np.exp(np.where(self.log, taken, 0.0)), taken)
        return np.where(self.bounded & (found < 0), 0.0, found)


class Spaces(NamedTuple):
    """What of a space its series decides, of rows or of windows."""

    log: NDArray[np.bool_]
    """[..., C], whether values are forecast by their logarithms"""
    spread: Floats
    """[..., C], their standard deviation, then"""
    size: Array
    """[..., C], see `Windows`"""
    bounded: NDArray[np.bool_]
    """[..., C], whether no value is below 0"""

    def of(self, which: Integers | slice) -> "Spaces":
        """Those of some rows."""
        return Spaces(self.log[which], self.spread[which], self.size[which], self.bounded[which])


@dataclass(frozen=True)
class Prepared:
    """A panel made ready for windows: R rows, each a series, or one channel of it.

    Attributes:
        offsets: where each series of the panel begins, and the end, [N + 1].
        values: [total, C of the panel].
        spaces: of the rows, [R, C of the network].
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
        spaces: of the rows, if they are known already.
    """
    lengths = panel.lengths
    if spaces is None:
        spaces = _spaces(panel, codec, lengths if until is None else np.minimum(until, lengths))
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
    """
    series, channel = rows // prepared.per_series, rows % prepared.per_series
    begin = prepared.offsets[series]
    places = ends[:, None] + np.arange(-length, 0)
    there = places >= 0
    index = begin[:, None] + np.where(there, places, 0)
    values = _values(prepared, index, channel)
    values = np.where(there[..., None], values, np.nan)
    spaces = spaces or prepared.spaces.of(rows)
    scaled, known, space = scale(values, spaces, patch, shifts=prepared.shifts)
    return (
        Windows(
            scaled,
            known,
            spaces.size,
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
    return np.where(there[..., None], _values(prepared, index, channel), np.nan)


def _values(prepared: Prepared, index: Integers, channel: Integers) -> Floats:
    """Values at places [B, ...] in the panel, [B, ..., C]."""
    if prepared.per_series == 1:
        return prepared.values[index]
    shape = (-1,) + (1,) * (index.ndim - 1)
    return prepared.values[index, channel.reshape(shape)][..., None]


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


def _spaces(panel: Panel, codec: SeriesCodec, lengths: Integers) -> Spaces:
    """Of each row and channel, [R, C]."""
    considered = np.arange(len(panel.values)) - np.repeat(panel.offsets[:-1], panel.lengths)
    inside = considered < np.repeat(lengths, panel.lengths)
    values = panel.values
    known = np.isfinite(values) & inside[:, None]
    least = lows(panel, np.where(known, values, np.inf))
    count = np.maximum(sums(panel, known.astype(float)), 1)
    log = (least > 0) & (codec.space == "log")
    each = np.repeat(log, panel.lengths, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        taken = np.where(each, np.log(np.where(known & each, values, 1.0)), values)
    filled = np.where(known, taken, 0.0)
    mean = sums(panel, filled) / count
    off = np.where(known, filled - np.repeat(mean, panel.lengths, axis=0), 0.0)
    return spaces_of(codec, log, least >= 0, mean, sums(panel, off * off) / count)


def spaces_at(panel: Panel, codec: SeriesCodec, series: Integers, ends: Integers) -> Spaces:
    """What the points before places within series decide of the spaces there.

    Args:
        panel: N series.
        codec: how the network reads.
        series: which of them each place is in, [B].
        ends: how many of its points come before each place, [B].

    Returns:
        of the rows of the places, [B * rows of a series, C].
    """
    values = panel.values
    known = np.isfinite(values)
    count = np.maximum(_before(panel, known.astype(float), series, ends), 1)
    positive = _before(panel, (known & (values <= 0)).astype(float), series, ends) == 0
    never_below = _before(panel, (known & (values < 0)).astype(float), series, ends) == 0
    log = positive & (codec.space == "log")
    found: list[tuple[Floats, Floats]] = []
    for logs in (True, False):
        there = known & (values > 0) if logs else known
        taken = np.log(np.where(there, values, 1.0)) if logs else np.where(known, values, 0.0)
        # in units of the whole series, so that sums lose no digits; they cancel out
        points = np.maximum(sums(panel, there.astype(float)), 1)
        about = sums(panel, np.where(there, taken, 0.0)) / points
        off = np.where(there, taken - np.repeat(about, panel.lengths, axis=0), 0.0)
        unit = np.sqrt(sums(panel, off * off) / points)
        unit = np.where(unit > 0, unit, 1.0)
        off = off / np.repeat(unit, panel.lengths, axis=0)
        mean = _before(panel, off, series, ends) / count
        variance = np.maximum(_before(panel, off * off, series, ends) / count - mean * mean, 0.0)
        found.append((mean * unit[series] + about[series], variance * unit[series] ** 2))
    mean, variance = (np.where(log, *both) for both in zip(*found, strict=True))
    return spaces_of(codec, log, never_below, mean, variance)


def spaces_of(
    codec: SeriesCodec,
    log: NDArray[np.bool_],
    never_below: NDArray[np.bool_],
    mean: Floats,
    variance: Floats,
) -> Spaces:
    """The spaces of series with a mean and a variance, of their logarithms where these are taken.

    Args:
        codec: how the network reads.
        log: whether they are, of each series and target, [N, targets].
        never_below: whether no value is below 0, the same.
        mean: the same; 0 where nothing is known.
        variance: the same.

    Returns:
        of rows, [R, C].
    """
    spread = _spread(codec, log, mean, variance)
    whole = np.where(log, 1.0, np.abs(mean) + spread)
    whole = np.where(whole > 0, whole, 1.0)
    size = np.log(spread / whole) if codec.shifts else np.zeros_like(mean)
    shape = (len(mean) * codec.rows_per_series, codec.channels)
    return Spaces(
        log.reshape(shape),
        spread.reshape(shape),
        size.reshape(shape).astype(np.float32),
        (never_below & codec.bounded).reshape(shape),
    )


def _spread(codec: SeriesCodec, log: NDArray[np.bool_], mean: Floats, variance: Floats) -> Floats:
    if codec.space == "as-is":
        return np.ones_like(mean)
    if codec.space == "counts":
        return np.where(mean > 0, mean, 1.0)
    size = np.where(log, 1.0, np.abs(mean))
    return np.maximum(np.sqrt(variance), LEAST * np.where(size > 0, size, 1.0))


def _before(panel: Panel, values: Floats, series: Integers, ends: Integers) -> Floats:
    """The sums of each series' points before places, [B, C]."""
    sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    begin = panel.offsets[:-1][series]
    return sums[begin + ends] - sums[begin]


def sums(panel: Panel, values: Floats) -> Floats:
    """The sums over the points of each series, [N, C]."""
    padded = np.concatenate([values, np.zeros((1, values.shape[1]))])
    sums = np.add.reduceat(padded, panel.offsets[:-1], axis=0)
    return np.where(panel.lengths[:, None] > 0, sums, 0.0)


def lows(panel: Panel, values: Floats) -> Floats:
    """The least value of each series, [N, C]; infinite for one without points."""
    padded = np.concatenate([values, np.full((1, values.shape[1]), np.inf)])
    lows = np.minimum.reduceat(padded, panel.offsets[:-1], axis=0)
    return np.where(panel.lengths[:, None] > 0, lows, np.inf)
