"""A report for the terminal: what was found, and one line for every layer."""

import math
import sys
from collections.abc import Sequence
from itertools import pairwise

from loopwise.diagnose.report import Curve, Report
from loopwise.diagnose.words import number, pace, reach, short

_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII = "_.-~=+*#"
_WIDTH = 40
_LAYERS = 24
_DECADES = 3
"""at least, so that a level gradient looks level"""


def lines(report: Report, encoding: str | None = None) -> list[str]:
    """What a report says, in lines of text.

    First the findings, the gravest first, each with settings that may cure it. Then every layer's
    gradient norm over time on a log scale common to all, how it changes, and the memory horizon.

    Args:
        report: what `loopwise.diagnose` measured.
        encoding: of the terminal, by default that of the standard output; where it lacks the
            blocks, plain letters stand for them.
    """
    code = encoding or getattr(sys.stdout, "encoding", None) or "ascii"
    blocks = _BLOCKS if _can_say(_BLOCKS, code) else _ASCII
    found: list[str] = []
    for finding in report.findings:
        found.append(f"- {_clean(finding.sentence)}")
        if finding.remedies:
            found.append("  try " + "  or  ".join(finding.options))
    found += _layers(report, blocks)
    plain = [line.replace("×", "x") for line in found]
    return [line.encode(code, "replace").decode(code) for line in plain]


def sparkline(curve: Curve, low: float, high: float, blocks: str = _BLOCKS) -> str:
    """A curve as blocks, in log scale from `low` to `high`.

    Neighbours share a block, as their geometric mean, where there are many; ``0`` stands for zero
    and ``!`` for what is not finite.
    """
    width = min(_WIDTH, len(curve))
    bounds = [len(curve) * k // width for k in range(width + 1)] if width else [0]
    parts = [curve[a:b] for a, b in pairwise(bounds)]
    return "".join(_block(part, low, high, blocks) for part in parts)


def scale(report: Report) -> tuple[float, float]:
    """The least and the largest gradient norm of all layers, with some decades between them."""
    values = [
        value for layer in report.layers for value in layer.gradients.h if 0 < value < math.inf
    ]
    high = max(values, default=1.0)
    return max(min(values, default=high), 1e-290, high * 1e-30), high


def _layers(report: Report, blocks: str) -> list[str]:
    if not report.layers:
        return []
    low, high = scale(report)
    low = min(low, high / 10**_DECADES)
    shown = report.layers[:_LAYERS]
    names = [short(layer.name, 24, "...") for layer in shown]
    wide = max(map(len, names))
    across = min(_WIDTH, max(len(layer.gradients.h) for layer in shown))
    rows = [
        "",
        f"gradient norm over time, oldest left, {number(low)} to {number(high)} (log scale)",
    ]
    for name, layer in zip(names, shown, strict=True):
        line = sparkline(layer.gradients.h, low, high, blocks).ljust(across)
        slope = pace(layer.gradients.slope_h)
        rows.append(f"{name:{wide}}  {line}  {slope}, memory horizon {reach(layer)}")
    if len(shown) < len(report.layers):
        rows.append(f"... and {len(report.layers) - len(shown)} more layers")
    return rows


def _block(values: Sequence[float], low: float, high: float, blocks: str) -> str:
    if not all(map(math.isfinite, values)):
        return "!"
    if not (positive := [value for value in values if value > 0]):
        return "0"
    mean = sum(map(math.log, positive)) / len(positive)
    span = math.log(high) - math.log(low) or 1.0
    place = round((mean - math.log(low)) / span * (len(blocks) - 1))
    return blocks[max(0, min(place, len(blocks) - 1))]


def _can_say(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _clean(text: str) -> str:
    """Without control characters, which a name may smuggle into the terminal."""
    return short(text, len(text))
