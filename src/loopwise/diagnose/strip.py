"""An inspection for the terminal: what units follow, and what a prediction is due to."""

import sys
from collections.abc import Sequence

import numpy as np

from loopwise.diagnose.states import Inspection, LayerStates
from loopwise.diagnose.words import number, short

_ASCII = str.maketrans({"⏎": "\\n", "·": " ", "⇥": "\\t", "−": "-", "×": "x"})
AROUND = 160
"""Tokens of the text before a prediction that are shown."""
MARKED = 8


def lines(found: Inspection, encoding: str | None = None, *, colour: bool = False) -> list[str]:
    """What was seen, in lines of text.

    Args:
        found: what was seen.
        encoding: of the terminal; where it lacks the signs for line ends and spaces, escapes stand
            for them.
        colour: paint the tokens that a prediction is due to with ANSI codes, instead of brackets.
    """
    code = encoding or getattr(sys.stdout, "encoding", None) or "ascii"
    rows = [*_layers(found), *_telling(found), "", *_due(found, colour), *_mixture(found)]
    rows += _attention(found)
    rows += [f"note: {note}" for note in found.notes]
    return [_said(row, code) for row in rows]


def _layers(found: Inspection) -> list[str]:
    names = [f"{each.name} ({each.cell}, {_units(each)} units)" for each in found.layers]
    return [f"{len(found.tokens)} steps through {', '.join(names)}"]


def _units(layer: LayerStates) -> int:
    return layer.parts.get("cell", layer.parts["hidden"]).shape[-1]


def _telling(found: Inspection) -> list[str]:
    known = found.telling
    if known is None:
        return []
    rows = ["", f"telling units, on {known.steps:,} steps of {short(known.source, 70, '...')}"]
    good = [score for score in known.scores if score.tells]
    wide = max((len(score.feature) for score in good), default=0)
    rows += [
        f"  {score.feature:{wide}}  r {score.r:+.2f}  (chance {score.chance:.2f})  {score.unit}"
        for score in good
    ]
    if not good:
        rows.append("  none: no unit follows a feature more closely than chance does")
    lost = [score.feature for score in known.scores if not score.tells]
    return rows + ([f"  nothing beyond chance: {', '.join(lost)}"] if good and lost else [])


def _due(found: Inspection, colour: bool) -> list[str]:
    due = found.attribution
    rows = [f"{due.what} {due.where}: {number(due.value)}"]
    if due.likely:
        rows[0] += f" (probability {np.exp(due.value):.2g})"
        rows.append("  likeliest: " + "  ".join(f"{token} {p:.2f}" for token, p in due.likely))
    if found.kind == "text":
        how = "" if colour else "; [raised it], {lowered it}"
        rows += [f"  due to, by occlusion{how}:", *_text(found, colour)]
    else:
        rows.append("  due to, by occlusion:")
    unit = " nats" if "log-probability" in due.what else ""
    for step, value in due.strongest(MARKED if found.kind != "text" else 5):
        back = due.at - step
        where = "the last step" if back == 0 else f"{back} step{'s' if back > 1 else ''} before"
        rows.append(f"  {value:+.3g}{unit}  {found.tokens[step]!r}, step {step}, {where}")
    return rows


def _mixture(found: Inspection) -> list[str]:
    if found.mixture is None:
        return []
    parts = [f"{name} {100 * share:.0f} %" for name, share in found.mixture.largest()]
    return ["", f"looks at, in the mean of {len(found.mixture.shares)} steps: {', '.join(parts)}"]


def _attention(found: Inspection) -> list[str]:
    seen = found.attention
    if seen is None:
        return []
    wide = max((len(target) for target, *_ in seen.words), default=0)
    named = "given translation" if seen.given else "translation"
    return [
        "",
        f"{named}: {_clean(seen.text)}",
        f"alignment: {seen.alignment}",
        *(
            f"  {_clean(target):{wide}}  {share:.2f}  {_clean(source)}"
            for target, source, share in seen.words
        ),
    ]


def _text(found: Inspection, colour: bool) -> list[str]:
    due = found.attribution
    first = max(due.first, due.at + 1 - AROUND)
    peak = float(np.abs(due.occlusion).max(initial=0)) or 1.0
    marked = dict(due.strongest(MARKED))
    marked = {step: value for step, value in marked.items() if abs(value) > 0.05 * peak}
    parts: list[str] = []
    for step in range(first, due.at + 1):
        value, token = float(due.occlusion[step - due.first]) / peak, _clean(found.tokens[step])
        if colour:
            token = _painted(token, value)
        elif step in marked:
            token = f"[{token}]" if value > 0 else f"{{{token}}}"
        parts.append(token + ("\n" if found.tokens[step].endswith("⏎") else ""))
    return [f"    {row}" for row in "".join(parts).split("\n") if row]


def _clean(token: str) -> str:
    return short(token, max(len(token), 1))


def _painted(token: str, value: float) -> str:
    grounds: Sequence[int] = (215, 208, 202) if value > 0 else (153, 75, 33)
    level = int(abs(value) > 0.2) + int(abs(value) > 0.6)
    if abs(value) < 0.05:
        return token
    return f"\x1b[30;48;5;{grounds[level]}m{token}\x1b[0m"


def _said(row: str, code: str) -> str:
    try:
        row.encode(code)
    except (UnicodeEncodeError, LookupError):
        row = row.translate(_ASCII)
        return row.encode(code, "replace").decode(code)
    return row
