"""What a model did over one sequence, as arrays: states, gates, telling units, attribution."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from loopwise.config import nearest
from loopwise.errors import ConfigError

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class LayerStates:
    """One layer in one direction.

    Attributes:
        name: as its parameters are called.
        cell: ``"lstm"``, ``"gru"``, ``"rnn_tanh"`` or ``"rnn_relu"``.
        parts: ``"hidden"``, [T, B, P]; of an LSTM ``"cell"``, [T, B, H]; and each gate, such as
            ``"gate-f"``, activated, [T, B, H].
    """

    name: str
    cell: str
    parts: Mapping[str, Array]

    @property
    def memory(self) -> Mapping[str, Array]:
        """The parts that are carried on: hidden, and cell if there is one."""
        return {name: self.parts[name] for name in ("hidden", "cell") if name in self.parts}


@dataclass(frozen=True)
class Unit:
    """One unit of one part of a layer."""

    layer: str
    part: str
    index: int

    def __str__(self) -> str:
        return f"{self.part} {self.index} of {self.layer}"


@dataclass(frozen=True)
class Score:
    """The unit that follows a feature best.

    Attributes:
        feature: its name.
        unit: whose values have the largest absolute correlation with it.
        r: that correlation, Pearson's; of a yes-or-no feature the point-biserial one.
        chance: the largest that any unit reaches with shuffled copies of the feature.
    """

    feature: str
    unit: Unit
    r: float
    chance: float

    @property
    def tells(self) -> bool:
        """Whether the correlation is beyond chance."""
        return abs(self.r) > self.chance


@dataclass(frozen=True)
class Typical:
    """What the units of a part do as a rule: mean, standard deviation, best correlation, [H]."""

    mean: Array
    spread: Array
    best: Array


@dataclass(frozen=True)
class Telling:
    """Which units follow what.

    Attributes:
        source: the data they were measured on.
        steps: how much of it.
        scores: one for each feature, the strongest first.
        typical: by layer and part.
    """

    source: str
    steps: int
    scores: tuple[Score, ...]
    typical: Mapping[tuple[str, str], Typical]


@dataclass(frozen=True)
class Attribution:
    """How much of one prediction is due to each input.

    Attributes:
        at: the step after which it is made.
        first: the first step whose input is weighed; earlier ones are part of the state.
        what: the predicted number, such as ``"the log-probability of 'e'"``.
        value: what it was.
        integrated: [at - first + 1], integrated gradients from the mean input (Sundararajan et al.
            2017); they sum to the change that all of these inputs make.
        occlusion: likewise, what is lost when one input is replaced by the mean input.
        likely: the likeliest answers with their probabilities, if it is one among several.
        place: where the prediction is, if that is not after a step.
    """

    at: int
    first: int
    what: str
    value: float
    integrated: Array
    occlusion: Array
    likely: tuple[tuple[str, float], ...] = ()
    place: str = ""

    @property
    def where(self) -> str:
        """Where the prediction is, in words."""
        return self.place or f"after step {self.at}"

    def strongest(self, count: int = 5) -> list[tuple[int, float]]:
        """The steps whose input matters most by occlusion, with what it gives."""
        order = np.argsort(-np.abs(self.occlusion), kind="stable")[:count]
        return [(self.first + int(k), float(self.occlusion[k])) for k in order if self.occlusion[k]]


@dataclass(frozen=True)
class Mixture:
    """What a forecast of each step is a mixture of.

    Attributes:
        names: of past values and others, N of them.
        shares: of each, [h, N]; those of a step sum to 1.
    """

    names: tuple[str, ...]
    shares: Array

    def largest(self, count: int = 5) -> list[tuple[str, float]]:
        """The largest shares in the mean of all steps."""
        mean = self.shares.mean(0)
        order = np.argsort(-mean, kind="stable")[:count]
        return [(self.names[k], float(mean[k])) for k in order]


@dataclass(frozen=True)
class Attention:
    """Where each token of a translation looked.

    Attributes:
        target: the translation's tokens, as they are shown, T of them.
        weights: [T, S], over the steps of the sequence that was read; rows sum to 1.
        words: for each word of the translation: it, the word that it looked at most, and the share
            of its attention that this one had.
        alignment: the places of these words, ``source-target`` from 0, as Pharaoh had it.
        text: the whole translation.
        given: whether somebody gave it, instead of the model.
    """

    target: tuple[str, ...]
    weights: Array
    words: tuple[tuple[str, str, float], ...]
    alignment: str
    text: str
    given: bool


@dataclass(frozen=True)
class Inspection:
    """One sequence, seen from inside. Needs no torch.

    Attributes:
        kind: whether steps read text, other symbols or numbers.
        tokens: [T], as they are shown.
        layers: from the input upwards; B is 1.
        features: of this sequence, each [T].
        telling: None where nothing is known to measure it on.
        attribution: of one prediction.
        notes: what a reader should know.
        mixture: of a forecaster, what it looks at.
        attention: of a translator, where the words of a translation looked.
    """

    kind: Literal["text", "symbols", "numbers"]
    tokens: tuple[str, ...]
    layers: tuple[LayerStates, ...]
    features: Mapping[str, Array]
    telling: Telling | None
    attribution: Attribution
    notes: tuple[str, ...] = ()
    mixture: Mixture | None = None
    attention: Attention | None = None

    def __getitem__(self, name: str) -> LayerStates:
        """The layer called `name`; raises ConfigError if there is none."""
        known = {layer.name: layer for layer in self.layers}
        return known[require(name, list(known), "layer")]

    def values(self, unit: Unit) -> Array:
        """[T], what a unit did."""
        return self[unit.layer].parts[unit.part][:, 0, unit.index]

    def centred(self, layer: str, part: str) -> Array:
        """[T, H], values less the unit's mean, in twice its standard deviation."""
        values = self[layer].parts[part][:, 0].astype(np.float64)
        known = None if self.telling is None else self.telling.typical.get((layer, part))
        mean, spread = (
            (values.mean(0), values.std(0)) if known is None else (known.mean, known.spread)
        )
        return (values - mean) / np.maximum(2 * spread, 1e-9)

    def units(self, layer: str, part: str, count: int) -> list[int]:
        """The best unit of each feature first, then the most telling, else those that move most."""
        known = None if self.telling is None else self.telling.typical.get((layer, part))
        values = self[layer].parts[part][:, 0]
        weight = values.std(0) if known is None else known.best
        marked = self.marks(layer, part)
        order = [int(k) for k in np.argsort(-weight, kind="stable")]
        return [*marked, *(k for k in order if k not in marked)][:count]

    def marks(self, layer: str, part: str) -> dict[int, str]:
        """What units of a part tell, by their index."""
        scores = () if self.telling is None else self.telling.scores
        found: dict[int, str] = {}
        for score in scores:
            if score.tells and (score.unit.layer, score.unit.part) == (layer, part):
                found.setdefault(score.unit.index, score.feature)
        return found


def require(name: str, allowed: list[str], what: str) -> str:
    """`name`; raises ConfigError, which names the nearest, if it is not among the `allowed`."""
    if name not in allowed:
        hint = nearest(name, allowed)
        raise ConfigError(f"{what} {name!r} is unknown; there are {', '.join(allowed)}{hint}")
    return name
