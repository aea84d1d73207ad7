"""The forecasting network, written once for NumPy and torch.

What it computes is in array-API functions alone, so that training (torch tensors, with gradients)
and deployment (NumPy arrays, no torch) run the very same lines; only the recurrent layers differ.

Shapes: ``B`` windows, ``W`` points of a window, ``C`` channels, ``S`` patches of ``p`` points,
``K`` origins, the ends of the last K patches, ``h`` targets after each origin, ``P`` numbers that
describe a target.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from array_api_compat import array_namespace

from loopwise.codec.series.windows import Windows
from loopwise.runtime.description import ForecasterDescription
from loopwise.runtime.lags import Index, Lags, lags_of, seasonal_index

Array: TypeAlias = Any
"""Of NumPy or torch, float32."""

FLOOR = 0.05
"""Least standard deviation that a window counts with, in those of its whole series."""


class Read(NamedTuple):
    """What differs between training and deployment."""

    layers: Callable[[Array], Array]
    """the recurrent layers, [S, B, D] to [S, B, H]"""
    drop: Callable[[Array], Array]
    """dropout in training, nothing elsewhere"""
    gelu: Callable[[Array], Array]
    """the Gaussian error linear unit by its tanh (Hendrycks and Gimpel 2016, arXiv:1606.08415)"""
    mixed: Callable[[Array], object] | None = None
    """is shown what a target's base is a mixture of, as weights [B, K, h, C, candidates]"""


class Raw(NamedTuple):
    """What the network puts out."""

    outputs: Array
    """[B, K, h, C, P], what describes the targets, in the origin's scale"""
    centre: Array
    """[B, K, C], of the origin's scale, in the window's"""
    spread: Array
    """[B, K, C], the same: a target y of the window stands for (y - centre) / spread"""


def forward(
    description: ForecasterDescription,
    tensors: Mapping[str, Array],
    windows: Windows,
    read: Read,
    origins: int = 1,
    chosen: Index | None = None,
) -> Raw:
    """Read windows and describe the targets after the last `origins` patches.

    What an origin puts out depends on the points up to it alone, and on covariates known ahead.
    A network that reads every patch in the last origin's scale has that one origin only.

    Args:
        description: of the network.
        tensors: one member's, by their names in the description.
        windows: of any number of whole patches.
        read: the recurrent layers, and dropout.
        origins: K.
        chosen: which of the h targets are described, as places from 0; None for all. The decoder
            treats each by itself, so a few serve to learn from.

    Raises:
        ValueError: several origins of a network that has one.
    """
    xp = array_namespace(windows.values)
    d = description
    if origins > 1 and d.reads_in == "origin":
        raise ValueError(f"origins={origins}: this network reads windows in the scale of one")
    x, level, ahead = _adjust(xp, d, tensors, windows, origins, chosen)
    scale = _scale(xp, d, x, windows, level)
    hidden = _encode(xp, d, tensors, x, windows, scale, read)[-origins:]  # [K, B, H]
    context = xp.permute_dims(hidden, (1, 0, 2))
    if d.described:
        about = _describe(xp, d, tensors, windows)[:, None, :]
        about = xp.broadcast_to(about, (*context.shape[:2], about.shape[-1]))
        context = xp.concat([context, about], axis=-1)
    centre, spread = scale.centre[:, -origins:], scale.spread[:, -origins:]
    if d.decoder == "linear":
        raw = context @ tensors["head.weight"].T + tensors["head.bias"]
        raw = xp.reshape(raw, (*context.shape[:2], d.horizon, d.channels, d.output.size))
        raw = raw if chosen is None else raw[:, :, chosen]
    else:
        lags = lags_of(d, x.shape[1], origins).of(chosen)
        raw = _decode(xp, d, tensors, x, windows, context, scale, read, lags, chosen)
    if ahead is not None:
        raw = _shift(xp, d, raw, ahead / spread[:, :, None, :])
    return Raw(raw, centre, spread)


class _Scale(NamedTuple):
    """Of each patch's end, from the points up to there: [B, S, C], but for the last."""

    centre: Array
    """mean of the patch, or smoothed level"""
    spread: Array
    """standard deviation of all points so far, or their mean"""
    statistics: Array
    """[B, S, C, 3]: how large the spread is and how much patches differ, as logarithms, and how
    far the mean of all is"""


def _scale(
    xp: Any, d: ForecasterDescription, x: Array, windows: Windows, level: Array | None
) -> _Scale:
    batch, patches = x.shape[0], x.shape[1] // d.patch
    shape = (batch, patches, d.patch, d.channels)
    of, there = xp.reshape(x, shape), xp.reshape(windows.known, shape)
    count = xp.sum(there, axis=2)
    total = xp.sum(of * there, axis=2)
    counts = xp.cumulative_sum(count, axis=1)
    mean = xp.cumulative_sum(total, axis=1) / _at_least(xp, counts, 1.0)
    square = xp.cumulative_sum(xp.sum(of * of * there, axis=2), axis=1)
    variance = square / _at_least(xp, counts, 1.0) - mean * mean
    both = there[:, 1:] * there[:, :-1]
    change = xp.sum(xp.abs(of[:, 1:] - of[:, :-1]) * both, axis=2)
    pairs = xp.cumulative_sum(xp.sum(both, axis=2), axis=1)
    change = xp.cumulative_sum(change, axis=1) / _at_least(xp, pairs, 1.0)
    change = xp.concat([xp.zeros_like(count[:, :1]), change], axis=1)
    if d.scale in ("mean", "none"):
        centre = xp.zeros_like(mean)
        spread = xp.ones_like(mean) if d.scale == "none" else _at_least(xp, mean, FLOOR)
    else:
        own = xp.where(count > 0, total / _at_least(xp, count, 1.0), mean)
        centre = own if level is None else level
        spread = xp.sqrt(_at_least(xp, variance, FLOOR**2))
    size = xp.broadcast_to(windows.size[:, None], mean.shape)
    told = [
        size + xp.log(spread),
        size + xp.log(change + 1e-4),
        (mean - centre) / spread,
    ]
    return _Scale(centre, spread, xp.stack(told, axis=-1))


def _encode(
    xp: Any,
    d: ForecasterDescription,
    tensors: Mapping[str, Array],
    x: Array,
    windows: Windows,
    scale: _Scale,
    read: Read,
) -> Array:
    """The last layer's output after each patch, [S, B, H].

    A patch goes in by the origin's scale; or by its own, with how that scale has changed since the
    one before.
    """
    batch, patches = x.shape[0], x.shape[1] // d.patch
    shape = (batch, patches, d.patch, d.channels)
    first = -1 if d.reads_in == "origin" else 0
    centre, spread = scale.centre[:, first:, None, :], scale.spread[:, first:, None, :]
    of, there = xp.reshape(x, shape), xp.reshape(windows.known, shape)
    own = (of - centre) / spread * there
    # what is missing rather than what is known: 0 nearly everywhere, where 1 would act as a bias
    parts = [own, 1 - there, windows.past, windows.future[:, : x.shape[1]]]
    flat = [xp.reshape(part, (batch, patches, -1)) for part in parts if part.shape[-1]]
    if d.reads_in == "patch":
        flat.append(_since(xp, scale)[:, :patches])
    rows = xp.concat(flat, axis=-1)
    rows = xp.reshape(rows, (batch * rows.shape[1], rows.shape[2]))  # in one product
    features = _at_least(xp, rows @ tensors["patch.weight"].T + tensors["patch.bias"], 0.0)
    features = xp.reshape(features, (batch, -1, features.shape[-1]))
    return read.layers(xp.permute_dims(read.drop(features), (1, 0, 2)))


def _since(xp: Any, scale: _Scale) -> Array:
    """How far a patch's scale has moved and grown since the one before, [B, S, 2 C]."""
    moved = (scale.centre[:, 1:] - scale.centre[:, :-1]) / scale.spread[:, 1:]
    grown = xp.log(scale.spread[:, 1:] / scale.spread[:, :-1])
    first = xp.zeros_like(scale.centre[:, :1])
    return xp.concat([xp.concat([first, each], axis=1) for each in (moved, grown)], axis=-1)


def _describe(
    xp: Any, d: ForecasterDescription, tensors: Mapping[str, Array], windows: Windows
) -> Array:
    """Static numbers and categories as features, [B, E]."""
    parts = [windows.static] if d.static else []
    for n in range(len(d.categories)):
        codes = windows.categories[:, n]
        parts.append(xp.take(tensors[f"categories.{n}.weight"], codes, axis=0))
    return xp.concat(parts, axis=-1)


def _decode(
    xp: Any,
    d: ForecasterDescription,
    tensors: Mapping[str, Array],
    x: Array,
    windows: Windows,
    context: Array,
    scale: _Scale,
    read: Read,
    lags: Lags,
    chosen: Index | None,
) -> Array:
    """A small network for each target that sees past cycles, [B, K, h, C, P].

    The target's location is a mixture of those past values, with weights that depend on the
    context, plus an offset: a seasonal naive forecast that is learned.
    """
    origins = len(lags.places)
    values, known = _gather(xp, d, x, windows.known, lags)  # [B, K, h, C, L + N]
    centre, spread = scale.centre[:, -origins:], scale.spread[:, -origins:]
    values = (values - centre[:, :, None, :, None]) / spread[:, :, None, :, None] * known
    hidden = _each(xp, values, tensors["targets.weight"])
    once = context @ tensors["context.weight"].T + tensors["context.bias"]
    about = scale.statistics[:, -origins:] @ tensors["statistics.weight"].T
    steps = _only(tensors["steps.weight"], chosen) @ tensors["steps_to_hidden.weight"].T
    hidden = hidden + (once[:, :, None, :] + about)[:, :, None, :, :] + steps[:, None, :]
    if d.future:
        ahead = windows.future @ tensors["ahead.weight"].T
        ahead = xp.take(ahead, _constant(xp, lags.targets.ravel(), x), axis=1)
        ahead = xp.reshape(ahead, (x.shape[0], *lags.targets.shape, 1, d.decoder_size))
        hidden = hidden + ahead
    if d.channels > 1:
        hidden = hidden + tensors["channels.weight"]
    out = _each(xp, read.gelu(hidden), tensors["head.weight"]) + tensors["head.bias"]
    if not d.candidates:
        return out
    mixed, there = values[..., : d.lags], known[..., : d.lags]
    if d.linear:
        weight = _only(tensors["linear.weight"], chosen)
        mapped = _map(xp, d, weight, x, windows, centre, spread)
        mixed = xp.concat([mixed, mapped[..., None]], axis=-1)
        there = xp.concat([there, xp.ones_like(mapped)[..., None]], axis=-1)
    weights = out[..., : d.candidates] - 1e9 * (1 - there)  # the unknown has no share
    weights = xp.exp(weights - xp.max(weights, axis=-1, keepdims=True))
    weights = weights / xp.sum(weights, axis=-1, keepdims=True)
    out = out[..., d.candidates :]
    if d.linear:
        weights, out = _yield_to_map(xp, d, tensors["linear.share"], weights, out)
    if read.mixed is not None:
        read.mixed(weights)
    return _shift(xp, d, out, xp.sum(weights * mixed, axis=-1))


def _yield_to_map(
    xp: Any, d: ForecasterDescription, share: Array, weights: Array, out: Array
) -> tuple[Array, Array]:
    """Give the linear map so much of the location before the network says the rest.

    The map is the last of what is mixed. The network's own part, mixture and offset, counts the
    less; how far outputs spread stays as it was.
    """
    only = np.zeros(d.candidates, np.float32)
    only[-1] = 1
    weights = (1 - share) * weights + share * _constant(xp, only, weights)
    return weights, out * (1 - share * _constant(xp, _moves(d), out))


def _map(
    xp: Any,
    d: ForecasterDescription,
    weight: Array,
    x: Array,
    windows: Windows,
    centre: Array,
    spread: Array,
) -> Array:
    """A linear map of the window before each origin, and of the mean of its series up to there.

    In the origin's scale, [B, K, h, C].
    """
    known, origins = windows.known, centre.shape[1]
    missing = d.window + d.patch * (origins - 1) - x.shape[1]
    if missing > 0:  # an origin so early that its window begins before the first point
        before = xp.zeros_like(x[:, :1])
        before = xp.broadcast_to(before, (x.shape[0], missing, x.shape[2]))
        x, known = xp.concat([before, x], axis=1), xp.concat([before, known], axis=1)
    mean = (windows.mean[:, -origins:] - centre) / spread
    outputs: list[Array] = []
    for k in range(origins):
        end = x.shape[1] - d.patch * (origins - 1 - k)
        begin = end - d.window
        own = (x[:, begin:end] - centre[:, k, None]) / spread[:, k, None] * known[:, begin:end]
        own = xp.concat([own, mean[:, k, None]], axis=1)
        outputs.append(xp.permute_dims(xp.permute_dims(own, (0, 2, 1)) @ weight.T, (0, 2, 1)))
    return xp.stack(outputs, axis=1)


def _gather(
    xp: Any, d: ForecasterDescription, x: Array, known: Array, lags: Lags
) -> tuple[Array, Array]:
    """Past values for each target and which of them are known, [B, K, h, C, L + N]."""
    index = _constant(xp, lags.places.ravel(), x)
    shape = (x.shape[0], *lags.places.shape, d.channels)
    inside = _constant(xp, lags.inside.astype(np.float32), x)[:, :, :, None]
    mask = xp.reshape(xp.take(known, index, axis=1), shape) * inside
    found = xp.reshape(xp.take(x, index, axis=1), shape)
    return xp.moveaxis(found, -1, 3), xp.moveaxis(mask, -1, 3)


def _adjust(
    xp: Any,
    d: ForecasterDescription,
    tensors: Mapping[str, Array],
    windows: Windows,
    origins: int,
    chosen: Index | None,
) -> tuple[Array, Array | None, Array | None]:
    """Take the season out.

    Returns:
        the window without it; the smoothed level at the end of each patch, [B, S, C], if it is
        smoothed; and what the season will be, [B, K, h, C], if it was taken out.
    """
    x, known = windows.values, windows.known
    if d.scale not in ("seasonal", "smoothing"):
        return x, None, None
    length = x.shape[1]
    first = length - (origins - 1) * d.patch  # what the first origin may see
    profile = _profile(xp, d, x[:, :first], known[:, :first])  # [B, m, C]
    if d.scale == "smoothing":
        steps = np.arange(d.horizon) if chosen is None else chosen
        return _smooth(xp, d, tensors["smoothing.weight"], profile, windows, origins, steps)
    phase, ahead = seasonal_index(d, length, origins)
    ahead = ahead if chosen is None else ahead[:, chosen]
    out = x - xp.take(profile, _constant(xp, phase, x), axis=1)
    future = xp.take(profile, _constant(xp, ahead.ravel(), x), axis=1)
    return out * known, None, xp.reshape(future, (len(x), *ahead.shape, d.channels))


def _profile(xp: Any, d: ForecasterDescription, x: Array, known: Array) -> Array:
    """The mean of each phase of the shortest season less the mean of all, [B, m, C]."""
    season = d.season
    phases: list[Array] = []
    for phase in range(season):
        there = known[:, phase::season]
        total = xp.sum(x[:, phase::season] * there, axis=1)
        phases.append(total / _at_least(xp, xp.sum(there, axis=1), 1.0))
    profile = xp.stack(phases, axis=1)
    return profile - xp.mean(profile, axis=1, keepdims=True)


def _smooth(
    xp: Any,
    d: ForecasterDescription,
    weight: Array,
    profile: Array,
    windows: Windows,
    origins: int,
    steps: Index,
) -> tuple[Array, Array, Array]:
    """Additive Holt-Winters smoothing without a trend (Smyl 2020, section 3.1, in our scale).

    Each series has its own two coefficients, which are trained. What goes on is the window less its
    season; the season of the targets is the last one known at their origin.
    """
    x, known = windows.values, windows.known
    last = xp.full_like(windows.series, weight.shape[0] - 1)
    rows = xp.where(windows.series < 0, last, windows.series)
    rates = 0.5 * (1 + xp.tanh(0.5 * xp.take(weight, rows, axis=0)))  # [B, 2]
    level_rate, season_rate = rates[:, :1], rates[:, 1:]
    season = [profile[:, phase] for phase in range(d.season)]
    begun = known[:, : d.season]
    level = xp.sum(x[:, : d.season] * begun, axis=1) / _at_least(xp, xp.sum(begun, axis=1), 1.0)
    length = x.shape[1]
    ends = {length - 1 - k * d.patch for k in range(origins)}
    out: list[Array] = []
    levels: list[Array] = []
    ahead: list[Array] = []
    for t in range(length):
        phase, there = t % d.season, known[:, t]
        without = x[:, t] - season[phase]
        out.append(there * without)
        level = level + there * level_rate * (without - level)
        season[phase] = season[phase] + there * season_rate * (x[:, t] - level - season[phase])
        if (t + 1) % d.patch == 0:
            levels.append(level)
        if t in ends:
            targets = [season[(t + 1 + j) % d.season] for j in steps.tolist()]
            ahead.append(xp.stack(targets, axis=1))
    return xp.stack(out, axis=1), xp.stack(levels, axis=1), xp.stack(ahead, axis=1)


def _shift(xp: Any, d: ForecasterDescription, raw: Array, base: Array) -> Array:
    """Add `base` [B, K, h, C] to the locations among the outputs."""
    return raw + base[..., None] * _constant(xp, _moves(d), raw)


def _moves(d: ForecasterDescription) -> np.ndarray[Any, Any]:
    """1 for outputs that are locations, else 0."""
    return np.isin(np.arange(d.output.size), d.output.locations).astype(np.float32)


def _each(xp: Any, x: Array, weight: Array) -> Array:
    """``x @ weight.T`` of targets [B, K, h, C, ...].

    NumPy makes a product of each window so, not of each target. One of all would be fast too, but
    the threads that it wakes then keep the engine's from the cores.
    """
    batch, origins, steps, channels, size = x.shape
    rows = xp.reshape(x, (batch, origins * steps * channels, size)) @ weight.T
    return xp.reshape(rows, (batch, origins, steps, channels, weight.shape[0]))


def _only(table: Array, chosen: Index | None) -> Array:
    return table if chosen is None else table[chosen]


def _at_least(xp: Any, x: Array, floor: float) -> Array:
    return xp.clip(x, min=floor)


def _constant(xp: Any, array: np.ndarray[Any, Any], like: Array) -> Array:
    """A NumPy array where `like` is."""
    return array if isinstance(like, np.ndarray) else xp.asarray(array, device=like.device)
