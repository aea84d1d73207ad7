"""Does the diagnosis foretell how a training ends?

    python benchmarks/diagnosis.py --out diagnosis.json [--steps 600] [--only adding]
    python benchmarks/diagnosis.py --read diagnosis.json

Short trainings on the synthetic tasks, over cells, lengths, initialisations and learning rates,
each diagnosed after the first tenth of its steps. A training ends well if it has come at least half of
the way from the loss of chance to the optimum. The rules that look at the future (`FORETELLING`)
are compared with that, at their own thresholds and, to see how much these matter, at others. The
thresholds were chosen on the tasks adding and parity; the others show how they carry over.
"""

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from loopwise.diagnose.rules import RULES
from loopwise.errors import TrainingError
from loopwise.runs import Run
from loopwise.tasks.diagnosis import diagnose_run
from loopwise.tasks.registry import config_class, make_task
from loopwise.train.launch import launch

LENGTHS = {
    "adding": (20, 60, 150),
    "parity": (8, 25, 60),
    "delayed-recall": (15, 50, 120),
    "copy": (10, 40),
}
KINDS = {
    "rnn": ("model.cell=rnn",),
    "rnn, orthogonal": ("model.cell=rnn", "model.init=orthogonal"),
    "rnn, large weights": ("model.cell=rnn", "model.init_scale=0.5"),
    "relu rnn, orthogonal": ("model.cell=rnn", "model.nonlinearity=relu", "model.init=orthogonal"),
    "lstm": ("model.cell=lstm", "model.chrono=0"),
    "lstm, chrono": ("model.cell=lstm",),  # for the length, as the tasks have it by default
    "gru": ("model.cell=gru", "model.chrono=0"),
    "gru, chrono": ("model.cell=gru",),
    "lstm, lr 0.5": ("model.cell=lstm", "train.lr=0.5", "train.clip=0"),
}
CHOSEN_ON = ("adding", "parity")
FORETELLING = ("not finite", "exploding", "short memory for this data", "large updates")
WELL = 0.5


@dataclass(frozen=True)
class Case:
    task: str
    length: int
    kind: str

    def settings(self, steps: int) -> list[str]:
        tenth = max(steps // 10, 1)
        chrono = f"model.chrono={self.length}" if "chrono" in self.kind else ""
        settings = [
            f"data.length={self.length}",
            "data.valid_sequences=500",
            "model.hidden_size=64",
            "train.lr=0.005",
            "train.epochs=1000",
            f"train.max_steps={steps}",
            f"train.validate_every={steps}",
            f"train.checkpoint_every={tenth}",
            "train.keep=1000",
            "train.threads=1",
            *KINDS[self.kind],
            chrono,
        ]
        return [setting for setting in settings if setting]


def cases() -> list[Case]:
    return [Case(t, n, kind) for t, lengths in LENGTHS.items() for n in lengths for kind in KINDS]


def run(case: Case, steps: int) -> dict:
    config = config_class(case.task).load(None, case.settings(steps))
    tenth = max(steps // 10, 1)
    solved, failed = 0.0, False
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        try:
            launch(
                config, lambda world: make_task(config, world), folder, console=Console(quiet=True)
            )
        except TrainingError:
            failed = True
        records = list(Run(folder).records())
        ends = [r["solved"] for r in records if r["kind"] == "validation"]
        solved = ends[-1] if ends and not failed and ends[-1] is not None else -1.0
        try:
            report = diagnose_run(folder, checkpoint=str(tenth), thorough=False)
        except Exception as error:  # died before its first checkpoint: nothing to diagnose
            return {**vars(case), "solved": solved, "error": repr(error)}
    evidence: dict[str, float] = {}
    for rule in RULES:
        seen = [e.value for e in rule.look(report)]
        if seen:
            evidence[rule.name] = (min if rule.below else max)(seen)
    return {
        **vars(case),
        "solved": solved,
        "evidence": evidence,
        "findings": report.findings.names(),
    }


def foretold(result: dict) -> bool:
    """Whether the diagnosis said that it would end ill."""
    return "error" in result or any(name in FORETELLING for name in result["findings"])


def summary(results: list[dict], name: str) -> str:
    ill = [r for r in results if r["solved"] < WELL]
    right = [r for r in results if foretold(r) == (r["solved"] < WELL)]
    caught = sum(foretold(r) for r in ill)
    alarms = sum(foretold(r) for r in results if r["solved"] >= WELL)
    return (
        f"{name}: {len(results)} trainings, {len(ill)} ended ill; foretold right "
        f"{len(right)} ({len(right) / len(results):.0%}): {caught} of {len(ill)} ill ones, "
        f"{alarms} false alarms among {len(results) - len(ill)}"
    )


def show(results: list[dict]) -> None:
    for r in results:
        e = r.get("evidence", {})
        numbers = "  ".join(f"{name} {value:.3g}" for name, value in e.items())
        right = "right" if foretold(r) == (r["solved"] < WELL) else "WRONG"
        print(
            f"{r['task']:>15} {r['length']:>4} {r['kind']:<22} solved {r['solved']:5.2f} {right}  {numbers}"
        )
    print(summary(results, "all"))
    print(summary([r for r in results if r["task"] in CHOSEN_ON], "thresholds chosen on"))
    others = [r for r in results if r["task"] not in CHOSEN_ON]
    if others:
        print(summary(others, "others"))


def main() -> None:
    style = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=style)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--read", type=Path)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--only")
    options = parser.parse_args()
    if options.read:
        show(json.loads(options.read.read_text()))
        return
    results = []
    for case in cases():
        if options.only in (None, case.task):
            results.append(run(case, options.steps))
            print(results[-1], flush=True)
            if options.out:
                options.out.write_text(json.dumps(results, indent=1))
    show(results)


if __name__ == "__main__":
    main()
