"""The spaces that series are forecast in: logarithms or not, their spread, size and mean."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.series.codec import SeriesCodec
from loopwise.codec.series.panel import Panel

Array = NDArray[np.float32]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

LEAST = 1e-9
"""Least standard deviation of a series, in shares of its size: a constant one has none."""


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
    mean: Floats
    """[..., C], of their points, of the logarithms where these are taken"""
    bounded: NDArray[np.bool_]
    """[..., C], whether no value is below 0"""

    def of(self, which: Integers | slice) -> "Spaces":
        """Those of some rows."""
        return Spaces(
            self.log[which],
            self.spread[which],
            self.size[which],
            self.mean[which],
            self.bounded[which],
        )


def spaces_of_series(panel: Panel, codec: SeriesCodec, lengths: Integers) -> Spaces:
    """Of each row and channel, [R, C]."""
    considered = np.arange(len(panel.values)) - np.repeat(panel.offsets[:-1], panel.lengths)
    inside = considered < np.repeat(lengths, panel.lengths)
    values = panel.values
    known = np.isfinite(values) & inside[:, None]
    least = lows(panel, np.where(known, values, np.inf))
    count = np.maximum(sums(panel, known.astype(float)), 1)
    log = (least > 0) & (codec.space == "log")
    filled = _taken(panel, log, known)
    mean = sums(panel, filled) / count
    off = np.where(known, filled - np.repeat(mean, panel.lengths, axis=0), 0.0)
    return spaces_of(codec, log, least >= 0, mean, sums(panel, off * off) / count)


def _taken(panel: Panel, log: NDArray[np.bool_], known: NDArray[np.bool_]) -> Floats:
    """Known values, of the series [N, targets] that say so their logarithms; 0 elsewhere."""
    each = known & np.repeat(log, panel.lengths, axis=0)
    taken = np.where(each, np.log(np.where(each, panel.values, 1.0)), panel.values)
    return np.where(known, taken, 0.0)


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
        off, about, unit = _in_units(panel, taken, there)
        mean = _before(panel, off, series, ends) / count
        variance = np.maximum(_before(panel, off * off, series, ends) / count - mean * mean, 0.0)
        found.append((mean * unit[series] + about[series], variance * unit[series] ** 2))
    mean, variance = (np.where(log, *both) for both in zip(*found, strict=True))
    return spaces_of(codec, log, never_below, mean, variance)


def running_mean(panel: Panel, log: NDArray[np.bool_]) -> Floats:
    """The mean of each series' values, or logarithms, up to each point; see `Prepared.mean`."""
    lengths = panel.lengths
    known = np.isfinite(panel.values) & ~(np.repeat(log, lengths, axis=0) & (panel.values <= 0))
    off, about, unit = _in_units(panel, _taken(panel, log, known), known)
    series = np.repeat(np.arange(len(panel)), lengths)
    ends = np.arange(1, len(off) + 1) - panel.offsets[series]
    count = np.maximum(_before(panel, known.astype(float), series, ends), 1)
    return _before(panel, off, series, ends) / count * unit[series] + about[series]


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
        mean.reshape(shape),
        (never_below & codec.bounded).reshape(shape),
    )


def _spread(codec: SeriesCodec, log: NDArray[np.bool_], mean: Floats, variance: Floats) -> Floats:
    if codec.space == "as-is":
        return np.ones_like(mean)
    if codec.space == "counts":
        return np.where(mean > 0, mean, 1.0)
    size = np.where(log, 1.0, np.abs(mean))
    return np.maximum(np.sqrt(variance), LEAST * np.where(size > 0, size, 1.0))


def mean_in(space: Space, mean: Floats) -> Array:
    """The means of series [B, K, C], of logarithms where these are taken, in windows' spaces."""
    space = space.over(1)
    return ((mean - space.centre) / space.spread).astype(np.float32)


def _in_units(
    panel: Panel, values: Floats, known: NDArray[np.bool_]
) -> tuple[Floats, Floats, Floats]:
    """Values less the mean of their series, in units of its deviation: so sums lose no digits.

    Returns:
        the values, 0 where they are not known, and of each series the mean and the unit.
    """
    count = np.maximum(sums(panel, known.astype(float)), 1)
    about = sums(panel, np.where(known, values, 0.0)) / count
    off = np.where(known, values - np.repeat(about, panel.lengths, axis=0), 0.0)
    unit = np.sqrt(sums(panel, off * off) / count)
    unit = np.where(unit > 0, unit, 1.0)
    return off / np.repeat(unit, panel.lengths, axis=0), about, unit


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
