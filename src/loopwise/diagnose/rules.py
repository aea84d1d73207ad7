"""The rules that turn measurements into findings: one table, read from top to bottom.

The thresholds of what foretells an ill end were calibrated on short trainings whose end is known,
by ``benchmarks/diagnosis.py``; `docs/diagnosis.md` has the figures.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

from loopwise.diagnose.report import Finding, LayerReport, Report

MODEL = "model"


@dataclass(frozen=True)
class Evidence:
    """What a rule saw in one place.

    Attributes:
        where: layer or parameter.
        value: to be compared with the rule's threshold.
        sentence: what a person is told.
        remedies: settings that may help, the most promising first.
    """

    where: str
    value: float
    sentence: str
    remedies: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rule:
    """A judgement on everything beyond a threshold.

    Attributes:
        name: what it is called.
        look: what to compare with the threshold.
        threshold: beyond it the rule is met.
        reason: why it is there.
        below: whether "beyond" is below.
    """

    name: str
    look: Callable[[Report], Iterator[Evidence]]
    threshold: float
    reason: str
    below: bool = False

    def met(self, report: Report) -> Iterator[Finding]:
        """The findings of this rule."""
        for seen in self.look(report):
            beyond = seen.value < self.threshold if self.below else seen.value > self.threshold
            if beyond:
                yield Finding(
                    self.name,
                    seen.where,
                    seen.sentence,
                    seen.value,
                    self.threshold,
                    self.reason,
                    seen.remedies,
                )


def judge(report: Report) -> list[Finding]:
    """What the rules find, in their order; ``healthy`` if none of them does."""
    found = [finding for rule in RULES for finding in rule.met(report)]
    return found or [
        Finding(
            "healthy",
            MODEL,
            f"Nothing is wrong with the {_count(len(report.layers), 'recurrent layer')} that "
            "could be looked at.",
            0.0,
            0.0,
            "no rule's threshold was passed",
        )
    ]


def _not_finite(report: Report) -> Iterator[Evidence]:
    first = report.not_finite
    if first is not None:
        step = "" if first.step is None else f" at step {first.step}"
        yield Evidence(
            first.tensor,
            1.0,
            f"{first.tensor} is not finite{step}, the first in the order of the computation; it "
            f"came from {first.operation}.",
            (*_slower(report), "train.clip=1.0"),
        )


def _exploding(report: Report) -> Iterator[Evidence]:
    for layer in report.layers:
        curve = [value for value in layer.influence.memory if not math.isnan(value)]
        growth = max(curve, default=0.0)
        yield Evidence(
            layer.name,
            growth,
            f"{layer.name} makes a change in its state {growth:.3g} times as large on the way to "
            f"the end of {layer.steps} steps: gradients explode.",
            (*_clipped(report), "model.init=orthogonal", *_gated(layer), *_slower(report)),
        )


def _short_memory(report: Report) -> Iterator[Evidence]:
    data = report.dependence
    for layer in report.layers:
        memory = layer.influence
        if data is None or not data.reach or len(memory.memory) < 2:
            continue
        lag = min(data.reach, len(memory.memory) - 1)
        left = memory.memory[lag]
        yield Evidence(
            layer.name,
            left,
            f"{layer.name} keeps {left:.2g} of what it saw {lag} steps ago, and the data depends "
            f"on its past over {data.reach} steps: its memory is too short for this data.",
            (*_lengthened(layer, data.reach), *_wider(report, data.reach)),
        )


def _vanishing(report: Report) -> Iterator[Evidence]:
    if report.dependence is not None and report.dependence.reach:
        return  # the rule before knows better what is needed
    for layer in report.layers:
        horizon = layer.influence.horizon_1_percent
        if horizon is not None and layer.steps >= 20:
            yield Evidence(
                layer.name,
                horizon / layer.steps,
                f"{layer.name} has lost 99 % of what it saw {horizon} steps ago, of {layer.steps}: "
                "gradients vanish.",
                _lengthened(layer, layer.steps),
            )


def _saturated(report: Report) -> Iterator[Evidence]:
    for layer in report.layers:
        for gate in layer.activity.histogram:
            low, high = layer.activity.low[gate], layer.activity.high[gate]
            # a gate that keeps the state is at its best when it is open
            share = low if _keeps(layer, gate) else low + high
            side = "closed" if low > high else "open"
            state = f"at its ends ({low:.0%} low, {high:.0%} high)"
            yield Evidence(
                f"{layer.name}, gate {gate}",
                share,
                f"Gate {gate} of {layer.name} is {state if low and high else side} for "
                f"{share:.0%} of its values: it hardly learns there.",
                ("model.layer_norm=true", *_slower(report)),
            )


def _dead(report: Report) -> Iterator[Evidence]:
    for layer in report.layers:
        count = len(layer.activity.dead)
        yield Evidence(
            layer.name,
            count / layer.units,
            f"{_count(count, 'unit')} of {layer.units} in {layer.name} always put out 0: dead.",
            (*_slower(report), *_tanh(layer), "model.layer_norm=true"),
        )


def _constant(report: Report) -> Iterator[Evidence]:
    for layer in report.layers:
        count = len(layer.activity.constant)
        yield Evidence(
            layer.name,
            count / layer.units,
            f"{_count(count, 'unit')} of {layer.units} in {layer.name} never change: they tell "
            "nothing of the input.",
            ("model.layer_norm=true", *_slower(report)),
        )


def _clipping(report: Report) -> Iterator[Evidence]:
    training = report.training
    if training is not None and training.clipped is not None:
        higher = (f"train.clip={training.clip * 4:g}",) if training.clip else ()
        yield Evidence(
            MODEL,
            training.clipped,
            f"{training.clipped:.0%} of the steps have their gradient clipped: the threshold, not "
            "the learning rate, decides how far they go.",
            (*higher, *_slower(report)),
        )


def _large_updates(report: Report) -> Iterator[Evidence]:
    ratios = _update_ratios(report)
    if ratios:
        value = median(ratios)
        yield Evidence(
            MODEL,
            value,
            f"A step changes the typical parameter by {value:.2g} of its size: the learning rate "
            "is too high.",
            _slower(report),
        )


def _small_updates(report: Report) -> Iterator[Evidence]:
    ratios = _update_ratios(report)
    training = report.training
    if ratios and (training is None or training.lr):
        value = median(ratios)
        faster = () if training is None or not training.lr else (f"train.lr={training.lr * 10:g}",)
        yield Evidence(
            MODEL,
            value,
            f"A step changes the typical parameter by {value:.2g} of its size: it hardly learns.",
            faster,
        )


RULES = (
    Rule(
        "not finite",
        _not_finite,
        0.0,
        "one number that is not finite spoils every weight that the next update touches",
    ),
    Rule(
        "exploding",
        _exploding,
        10.0,
        "a tenfold change within one window makes the gradient a matter of the last digits, and "
        "a step along it leaves the region where it holds (Pascanu et al. 2013)",
    ),
    Rule(
        "short memory for this data",
        _short_memory,
        1e-3,
        "a step with less than a thousandth of the influence of the last ones trains next to "
        "nothing beside them (Bengio et al. 1994)",
        below=True,
    ),
    Rule(
        "vanishing",
        _vanishing,
        0.25,
        "what lies in the first three quarters of a window is then not learned, and its steps are "
        "computed for nothing (Bengio et al. 1994)",
        below=True,
    ),
    Rule(
        "saturated gates",
        _saturated,
        0.9,
        "the slope of a sigmoid at 0.05 and 0.95 is a fifth of its largest, and falls from there",
    ),
    Rule("dead units", _dead, 0.01, "a unit that is 0 for every input has no gradient"),
    Rule(
        "constant units",
        _constant,
        0.1,
        "what does not change carries no information; single units of that kind are mere biases",
    ),
    Rule(
        "clipping too often",
        _clipping,
        0.5,
        "clipping is for the rare step that goes astray; on most steps it is a second learning "
        "rate that nobody chose",
    ),
    Rule(
        "large updates",
        _large_updates,
        0.1,
        "about 1e-3 is usual where training goes well (Karpathy, cs231n); far above, steps undo "
        "each other",
    ),
    Rule(
        "small updates",
        _small_updates,
        1e-6,
        "about 1e-3 is usual where training goes well (Karpathy, cs231n); a million such steps "
        "would be needed to renew a weight",
        below=True,
    ),
)
"""The gravest first."""


def _update_ratios(report: Report) -> list[float]:
    ratios = [each.update_ratio for each in report.tensors if each.weight]
    return [ratio for ratio in ratios if ratio is not None and math.isfinite(ratio)]


def _keeps(layer: LayerReport, gate: str) -> bool:
    return (layer.cell, gate) in (("lstm", "f"), ("gru", "z"))


def _lengthened(layer: LayerReport, lag: int) -> tuple[str, ...]:
    if layer.cell in ("lstm", "gru"):
        return f"model.chrono={max(lag, 2)}", "model.layer_norm=true"
    memory = f"model.chrono={max(lag, 2)}"
    return *(f"{cell} {memory}" for cell in _gated(layer)), "model.init=orthogonal"


def _gated(layer: LayerReport) -> tuple[str, ...]:
    return () if layer.cell in ("lstm", "gru") else ("model.cell=gru", "model.cell=lstm")


def _tanh(layer: LayerReport) -> tuple[str, ...]:
    return ("model.nonlinearity=tanh",) if layer.cell == "rnn_relu" else ()


def _wider(report: Report, reach: int) -> tuple[str, ...]:
    training = report.training
    short = training is not None and training.window is not None and training.window < reach
    return (f"train.window={2 * reach}",) if short else ()


def _clipped(report: Report) -> tuple[str, ...]:
    training = report.training
    return () if training is not None and training.clip else ("train.clip=1.0",)


def _slower(report: Report) -> tuple[str, ...]:
    training = report.training
    return () if training is None or not training.lr else (f"train.lr={training.lr / 3:.3g}",)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
