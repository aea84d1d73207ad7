"""``loopwise diagnose``: what happens inside a run's model, and what to change."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loopwise.cli.options import Json
from loopwise.errors import ConfigError
from loopwise.runs import Run

if TYPE_CHECKING:
    from loopwise.diagnose.report import Report


def diagnose(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's directory.")],
    data: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="DATA...",
            help="Text, or a forecaster's table, to look at instead of the run's.",
        ),
    ] = None,
    checkpoint: Annotated[
        str, typer.Option(metavar="NAME", help="Which one: latest, best, a name or a step.")
    ] = "latest",
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Where to put report.html and report.json; RUN."),
    ] = None,
    plots: Annotated[
        Path | None,
        typer.Option("--plots", metavar="DIR", help="Put every picture there as PNG and SVG."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="As closely as from Python by default.")
    ] = False,
    fix: Annotated[
        bool,
        typer.Option("--fix", help="Write the changed configuration, RUN/fixed.toml, and say how."),
    ] = False,
    as_json: Json = False,
) -> None:
    """What happens inside a run's model, and what to change.

    One batch is read as in training: gradients through time, memory, spectra, gates. The report is
    written as a page and as JSON.
    """
    from loopwise.diagnose.page import write_page
    from loopwise.diagnose.terminal import lines
    from loopwise.tasks.diagnosis import diagnose_run

    folder = run if out is None else out
    report = diagnose_run(run, tuple(data or ()), checkpoint=checkpoint, thorough=not quick)
    records = [r for r in Run.open(run).records() if r["kind"] == "watch"]
    folder.mkdir(parents=True, exist_ok=True)
    report.save(folder / "report.json")
    write_page(report, folder / "report.html", records, title=str(run))
    if plots is not None:
        from loopwise.diagnose.plots import save

        save(report, plots, records)
    if as_json:
        print(report.to_json())
        return
    print("\n".join(lines(report)))
    print(f"report: {folder / 'report.html'}")
    if fix:
        _fix(run, report)
    elif any(finding.remedies for finding in report.findings):
        print(f"try: loopwise diagnose {shlex.quote(str(run))} --fix")


def _fix(path: Path, report: "Report") -> None:
    from loopwise.tasks.diagnosis import fix
    from loopwise.tasks.registry import read_config

    run = Run.open(path)
    config = read_config(run)
    fixed = fix(config, report)
    if fixed is None:
        raise ConfigError(f"{path}: no finding has a remedy that would change its options")
    file = path / "fixed.toml"
    run.write_beside("fixed.toml", fixed.config.to_toml())
    again = shlex.quote(f"{path}-fixed")
    print("changed: " + "  ".join(fixed.settings))
    print(f"train: loopwise train {config.task} --config {shlex.quote(str(file))} --out {again}")
