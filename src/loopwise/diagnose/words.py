"""Numbers, slopes and names as people read them, the same in terminals, figures and pages."""

import math

from loopwise.diagnose.report import LayerReport


def number(value: float | None) -> str:
    """A number in three digits; ``"-"`` for none."""
    if value is None:
        return "-"
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "infinite" if value > 0 else "-infinite"
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    digits, exponent = f"{value:.1e}".split("e")
    return f"{digits}e{int(exponent)}"


def percent(share: float) -> str:
    """A share of 1 in percent."""
    if not math.isfinite(share):
        return number(share)
    return "<1 %" if 0 < share < 0.005 else f"{100 * share:.0f} %"


def pace(slope: float | None) -> str:
    """What a slope of the logarithm multiplies by, ``"×0.83 a step back"``."""
    if slope is None or not math.isfinite(slope):
        return "no slope"
    factor = math.exp(max(min(slope, 700), -700))
    if 0.995 < factor < 1.005:
        return f"×{factor:.4f} a step back" if f"{factor:.4f}" != "1.0000" else "level"
    return f"×{factor:.2f} a step back" if 0.1 <= factor < 10 else f"×{number(factor)} a step back"


def reach(layer: LayerReport) -> str:
    """How far a layer remembers, ``"12 steps"``."""
    horizon = layer.influence.horizon
    if horizon is None:
        return f"over {steps(max(len(layer.influence.h) - 1, 0))}"
    return steps(horizon)


def steps(count: int) -> str:
    """A number of steps."""
    return "1 step" if count == 1 else f"{count} steps"


def short(name: str, most: int, dots: str = "…") -> str:
    """A name without control characters, with its middle left out if it is long."""
    clean = "".join(letter if letter.isprintable() else "?" for letter in name)
    if len(clean) <= most:
        return clean
    end = (most - len(dots)) * 2 // 3  # names differ in their ends
    return clean[: most - len(dots) - end] + dots + clean[len(clean) - end :]
