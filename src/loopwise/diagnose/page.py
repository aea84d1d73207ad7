"""A report as one page of HTML that needs nothing but itself."""

import os
import re
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from matplotlib.figure import Figure

from loopwise.diagnose import plots
from loopwise.diagnose.axes import Record
from loopwise.diagnose.report import Finding, LayerReport, Report, TensorReport
from loopwise.diagnose.style import COLOURS
from loopwise.diagnose.terminal import scale, sparkline
from loopwise.diagnose.words import number, pace, percent, reach, short
from loopwise.errors import RunError
from loopwise.files import write_atomically

_COPY = """
document.addEventListener("click", event => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  const done = () => {
    button.classList.add("copied");
    setTimeout(() => button.classList.remove("copied"), 1500);
  };
  const select = () => getSelection().selectAllChildren(button);
  if (navigator.clipboard) navigator.clipboard.writeText(button.dataset.copy).then(done, select);
  else select();
});
"""


def page(report: Report, records: Iterable[Record] = (), title: str = "Diagnosis") -> str:
    """The report as HTML: findings, figures, tables.

    Args:
        report: what `loopwise.diagnose` measured.
        records: lines of a run's log; those of the kind ``"watch"`` show the training.
        title: heading of the page, such as the run's name.

    Returns:
        The whole page. It loads nothing from elsewhere, follows the reader's choice of light or
        dark, and can be printed.
    """
    body = [
        f"<h1>{_text(title)}</h1>",
        f'<p class="muted">{_text(_summary(report))}</p>',
        *_alarms(report),
        "<h2>Findings</h2>",
        *(map(_finding, report.findings) if report.findings else ["<p>Nothing stands out.</p>"]),
        *_figures(report, plots.figures(report, records)),
        *_layers(report),
        *_tensors(report.tensors),
    ]
    css = files("loopwise.diagnose").joinpath("page.css").read_text(encoding="utf-8")
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{_text(title)}</title>",
            f"<style>\n{_variables()}\n{css}</style>\n</head>\n<body>",
            *body,
            f"<script>{_COPY}</script>\n</body>\n</html>\n",
        ]
    )


def write_page(
    report: Report,
    path: str | os.PathLike[str],
    records: Iterable[Record] = (),
    title: str = "Diagnosis",
) -> None:
    """Write `page` to a file.

    Raises:
        RunError: it cannot be written.
    """
    content = page(report, records, title).encode("utf-8", "replace")
    try:
        write_atomically(Path(path), content)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}") from None


def _summary(report: Report) -> str:
    count = len(report.layers)
    layers = "1 recurrent layer" if count == 1 else f"{count} recurrent layers"
    parts = [f"loss {number(report.loss)}", layers]
    if training := report.training:
        parts.append(f"training step {training.step:,}")
        if training.clipped is not None:
            parts.append(f"gradient clipped in {percent(training.clipped)} of steps")
        if training.window is not None:
            parts.append(f"backpropagation over {training.window} steps")
    return " · ".join(parts)


def _alarms(report: Report) -> list[str]:
    found: list[str] = []
    if bad := report.not_finite:
        when = "" if bad.step is None else f" at time step {bad.step}"
        sentence = f"The first number that is not finite: {bad.tensor}{when}, from {bad.operation}."
        found.append(f'<p class="alarm" role="alert">{_text(sentence)}</p>')
    found += [
        f'<p class="muted">Not looked into: {_text(name)}: {_text(reason)}</p>'
        for name, reason in report.skipped.items()
    ]
    return found


def _finding(finding: Finding) -> str:
    settings = finding.options
    buttons = "".join(
        f'<button type="button" data-copy="{_text(each)}">{_text(each)}</button>'
        for each in settings
    )
    kind = "finding healthy" if finding.rule == "healthy" else "finding"
    return (
        f'<div class="{kind}"><p>{_text(finding.sentence)}</p>'
        f'<p class="evidence"><span class="tag">{_text(short(finding.where, 60))}</span>'
        f"{_text(finding.rule)}: {number(finding.evidence)}, threshold "
        f"{number(finding.threshold)}</p>"
        + (f"<p>{_text(finding.reason)}</p>" if finding.reason else "")
        + (f'<div class="remedies">{buttons}</div>' if buttons else "")
        + "</div>"
    )


def _figures(report: Report, drawn: dict[str, Figure]) -> list[str]:
    """A section for every kind; those of a single layer stand beside each other."""
    sections: list[str] = []
    for name, kind in plots.KINDS.items():
        panels = [
            _panel(each, figure) for each, figure in drawn.items() if each.startswith(f"{name}.")
        ]
        if panels:
            sections.append(_section(kind.title, kind.caption, panels))
    shown, single = plots.layers_shown(report), len(report.layers) == 1
    found = [f'<div class="{"single" if single else "several"}">', *sections, "</div>"]
    if len(shown) < len(report.layers):
        note = (
            f"Figures show {len(shown)} of {len(report.layers)} layers, first those with findings."
        )
        found.insert(0, f'<p class="muted">{note} The table below has all.</p>')
    if "tensors" in drawn:
        caption = (
            "How large gradient and update are beside their weight: in a training that goes well, "
            "updates lie near the green line, and what is far to the right overshoots."
        )
        panel = [_panel("tensors", drawn["tensors"], "panel wide")]
        found.append(_section("Parameters", caption, panel))
    return found


def _section(title: str, caption: str, panels: Sequence[str]) -> str:
    inside = "\n".join(panels)
    return (
        f'<section><h2>{title}</h2><p class="muted">{caption}</p>'
        f'<div class="panels">{inside}</div></section>'
    )


def _panel(name: str, figure: Figure, kind: str = "panel") -> str:
    return f'<div class="{kind}">{_inline(plots.svg(figure, name), name)}</div>'


def _inline(svg: str, name: str) -> str:
    """An SVG as a part of the page: with ids of its own, and colours that follow the page's."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"| version="1.1"', "", svg)
    svg = svg.replace("xlink:href", "href")
    mark = re.sub(r"\W", lambda found: f"_{ord(found[0]):x}_", name)
    svg = re.sub(r'( id="| href="#|url\(#)', rf"\g<1>{mark}-", svg)
    for variable, (light, _) in COLOURS.items():
        svg = re.sub(f"(?<=: ){light}", f"var(--{variable})", svg)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{_text(name)}" ', 1)


def _layers(report: Report) -> list[str]:
    if not report.layers:
        return []
    low, high = scale(report)
    low = min(low, high / 1e3)
    head = (
        "layer", "cell", "units", "steps", "gradient over time", "gradient", "memory horizon",
        "to 1 %", "radius", "saturated", "dead", "constant", "rank",
    )  # fmt: skip
    rows = [_layer(layer, sparkline(layer.gradients.h, low, high)) for layer in report.layers]
    return ["<h2>Layers</h2>", _table(head, rows)]


def _layer(layer: LayerReport, spark: str) -> list[str]:
    activity = layer.activity
    full = [activity.low[gate] + activity.high.get(gate, 0) for gate in activity.low]
    one_percent = layer.influence.horizon_1_percent
    return [
        short(layer.name, 40),
        layer.cell,
        str(layer.units),
        str(layer.steps),
        spark,
        pace(layer.gradients.slope_h),
        reach(layer),
        "-" if one_percent is None else str(one_percent),
        number(max(layer.spectrum.radius.values(), default=None)),
        percent(max(full)) if full else "-",
        str(len(activity.dead)),
        str(len(activity.constant)),
        f"{number(activity.effective_rank)} of {layer.units}",
    ]


def _tensors(tensors: Sequence[TensorReport]) -> list[str]:
    if not tensors:
        return []
    head = ("parameter", "weight", "gradient", "update", "gradient / weight", "update / weight")
    rows = [
        [
            short(each.name, 60),
            *map(
                number,
                (each.weight, each.gradient, each.update, each.gradient_ratio, each.update_ratio),
            ),
        ]
        for each in tensors
    ]
    return ["<h2>Parameters in numbers</h2>", _table(head, rows)]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    spark = head.index("gradient over time") if "gradient over time" in head else -1
    titles = "".join(f'<th scope="col">{_text(each)}</th>' for each in head)
    body = "\n".join(
        "<tr>"
        + "".join(
            f'<td class="spark">{_text(cell)}</td>' if place == spark else f"<td>{_text(cell)}</td>"
            for place, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll"><table><thead><tr>{titles}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _variables() -> str:
    light = " ".join(f"--{name}: {colour};" for name, (colour, _) in COLOURS.items())
    dark = " ".join(f"--{name}: {colour};" for name, (_, colour) in COLOURS.items())
    return (
        f":root {{ {light} --back: #f6f7f9; }}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark} --back: #0d1014; }} }}"
    )


def _text(text: str) -> str:
    """Text that is nothing but text, without control characters."""
    return escape(short(text, len(text)))
