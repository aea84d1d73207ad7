"""An inspection as one page of HTML that needs nothing but itself."""

import os
from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from loopwise.diagnose.page import clean, document, inline
from loopwise.diagnose.plots import svg
from loopwise.diagnose.states import Inspection, Telling
from loopwise.errors import RunError
from loopwise.files import write_atomically


def page(found: Inspection, drawn: Mapping[str, Figure], title: str = "Inspection") -> str:
    """The whole page.

    Args:
        found: what was seen.
        drawn: its pictures, as `loopwise.diagnose.heatmaps.figures` gives them.
        title: heading of the page, such as the run's name.
    """
    due = found.attribution
    names = ", ".join(f"{each.name} ({each.cell})" for each in found.layers)
    body = [
        f"<h1>{clean(title)}</h1>",
        f'<p class="muted">{len(found.tokens):,} steps through {clean(names)}</p>',
        *(f'<p class="alarm">{clean(note)}</p>' for note in found.notes),
        f"<h2>Why {clean(due.where)}</h2>",
        *([] if not due.likely else [f'<p class="muted">{_likely(found)}</p>']),
        _panel("attribution", drawn["attribution"]),
        _strongest(found),
    ]
    if "attention" in drawn:
        body += [
            "<h2>Where each word looks</h2>",
            *_alignment(found),
            _panel("attention", drawn["attention"]),
        ]
    if "mixture" in drawn:
        body += ["<h2>What the forecast looks at</h2>", _panel("mixture", drawn["mixture"])]
    told = {name: figure for name, figure in drawn.items() if name.startswith("telling.")}
    if found.telling is not None:
        body += ["<h2>What units follow</h2>", _scores(found.telling)]
        body += [_panel(name, figure) for name, figure in told.items()]
    body.append("<h2>States and gates</h2>")
    rest = {
        k: v
        for k, v in drawn.items()
        if k not in told and k not in ("attribution", "attention", "mixture")
    }
    body += [_panel(name, figure) for name, figure in rest.items()]
    return document(title, body)


def write_page(
    found: Inspection,
    drawn: Mapping[str, Figure],
    path: str | os.PathLike[str],
    title: str = "Inspection",
) -> None:
    """Write `page` to a file.

    Raises:
        RunError: it cannot be written.
    """
    content = page(found, drawn, title).encode("utf-8", "replace")
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(Path(path), content)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}") from None


def _panel(name: str, figure: Figure) -> str:
    return f'<div class="panel full">{inline(svg(figure, name), name)}</div>'


def _likely(found: Inspection) -> str:
    parts = [f"{token!r} {p:.2f}" for token, p in found.attribution.likely]
    return clean("Likeliest next: " + ", ".join(parts))


def _alignment(found: Inspection) -> list[str]:
    seen = found.attention
    if seen is None:
        return []
    return [f"<p>{clean(seen.text)}</p>", f'<p class="muted">{clean(seen.alignment)}</p>']


def _strongest(found: Inspection) -> str:
    due = found.attribution
    rows = [
        f"<tr><td>{clean(found.tokens[step])}</td><td>{step}</td><td>{due.at - step}</td>"
        f"<td>{value:+.3g}</td><td>{due.integrated[step - due.first]:+.3g}</td></tr>"
        for step, value in due.strongest()
    ]
    heads = ("input", "step", "steps back", "occlusion", "integrated gradients")
    return _table(heads, rows)


def _scores(known: Telling) -> str:
    rows = [
        f"<tr><td>{clean(each.feature)}</td><td>{clean(str(each.unit))}</td><td>{each.r:+.2f}</td>"
        f"<td>{each.chance:.2f}</td><td>{'yes' if each.tells else 'no'}</td></tr>"
        for each in known.scores
    ]
    note = clean(
        f"Correlations over {known.steps:,} steps of {known.source}. Chance is the most that "
        "any unit reaches with shuffled copies of the feature."
    )
    heads = ("feature", "best unit", "correlation", "chance", "beyond chance")
    return f'<p class="muted">{note}</p>{_table(heads, rows)}'


def _table(heads: tuple[str, ...], rows: list[str]) -> str:
    head = "".join(f'<th scope="col">{each}</th>' for each in heads)
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )
