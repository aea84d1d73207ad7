"""Which unit follows what: correlations of units with features of the input. NumPy alone.

Karpathy et al. 2015 (arXiv:1506.02078, section 4) found such units by eye; here a table of features
is tried, and what shuffled features give is the floor.
"""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from loopwise.diagnose.states import Array, LayerStates, Score, Telling, Typical, Unit

SHUFFLES = 20
"""Copies whose strongest correlation is the floor: one feature in 21 passes by chance."""
LEAST = 20
"""Steps of either kind that a yes-or-no feature must have."""

Floats = NDArray[np.float64]


def telling(layers: Iterable[LayerStates], features: Mapping[str, Array], source: str) -> Telling:
    """Score every unit against every feature.

    The floor comes from copies whose pieces, about the root of N steps long, were put in another
    order: they keep how slowly a feature changes, which alone correlates with slow units.

    Args:
        layers: their hidden and cell states, [T, B, H].
        features: each [T, B], or [T] with one row.
        source: names the data.

    Returns:
        for each feature that varies, the best unit; beyond chance first, then by correlation.
    """
    parts = [(each.name, part, values) for each in layers for part, values in each.memory.items()]
    owners = [Unit(name, part, k) for name, part, v in parts for k in range(v.shape[-1])]
    flat = [np.swapaxes(v, 0, 1).reshape(-1, v.shape[-1]).astype(np.float64) for *_, v in parts]
    states = np.concatenate(flat, axis=1)
    mean, spread = states.mean(0), states.std(0)
    scaled = ((states - mean) / np.where(spread > 1e-9, spread, np.inf)).astype(np.float32)
    table = {name: values.T.ravel().astype(np.float64) for name, values in features.items()}
    table = {name: values for name, values in table.items() if _varies(values)}
    scores, best = _scores(scaled, table, owners)
    typical: dict[tuple[str, str], Typical] = {}
    at = 0
    for name, part, values in parts:
        own = slice(at, at := at + values.shape[-1])
        typical[name, part] = Typical(mean[own], spread[own], best[own])
    scores.sort(key=lambda score: (not score.tells, -abs(score.r)))
    return Telling(source, len(states), tuple(scores), typical)


def _scores(
    states: NDArray[np.float32], table: Mapping[str, Floats], owners: list[Unit]
) -> tuple[list[Score], Floats]:
    """The best unit of each feature, and each unit's best correlation beyond chance."""
    best = np.zeros(states.shape[1])
    if not table:
        return [], best
    columns = np.stack([(v - v.mean()) / v.std() for v in table.values()], 1).astype(np.float32)
    chance = np.zeros(len(table))
    generator = np.random.default_rng(0)
    for _ in range(SHUFFLES):
        shuffled = columns[_reordered(len(columns), generator)]
        chance = np.maximum(chance, np.abs(shuffled.T @ states / len(states)).max(1))
    scores: list[Score] = []
    for name, r, floor in zip(table, columns.T @ states / len(states), chance, strict=True):
        k = int(np.abs(r).argmax())
        scores.append(Score(name, owners[k], float(r[k]), float(floor)))
        best = np.maximum(best, np.where(np.abs(r) > floor, np.abs(r), 0))
    return scores, best


def _reordered(count: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """The numbers below `count`, cut at random places into pieces in random order."""
    cuts = np.sort(generator.choice(np.arange(1, count), max(int(count**0.5) - 1, 1), False))
    pieces = np.split(np.arange(count), cuts)
    return np.concatenate([pieces[k] for k in generator.permutation(len(pieces))])


def _varies(values: Floats) -> bool:
    kinds = np.unique(values)
    if len(kinds) == 2:
        return int(min((values == kinds[0]).sum(), (values == kinds[1]).sum())) >= LEAST
    return len(kinds) > 2 and len(values) > LEAST
