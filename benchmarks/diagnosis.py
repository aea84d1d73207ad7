"""Does the diagnosis foretell how a training ends?

    python benchmarks/diagnosis.py --out diagnosis.json [--steps 1500] [--kind lstm]
    python benchmarks/diagnosis.py --read diagnosis.json

Short trainings on the synthetic tasks, over cells, lengths, initialisations and learning rates,
each diagnosed after the first tenth of its steps. A training ends well if it has come at least half
of the way from the loss of chance to the optimum; else it ends ill. The diagnosis foretells an ill
end if one of the rules `FORETELLING` is met. Their thresholds were chosen with the trainings
"chosen on" in sight; the "fresh" ones have other lengths and another seed.
"""

import argparse
import json
import tempfile
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

from rich.console import Console

from loopwise.diagnose.rules import RULES
from loopwise.errors import LoopwiseError, TrainingError
from loopwise.runs import Run
from loopwise.tasks.diagnosis import diagnose_run
from loopwise.tasks.registry import config_class, make_task
from loopwise.train.launch import launch

CHOSEN_ON, FRESH = "chosen on", "fresh"
LENGTHS = {
    CHOSEN_ON: {"adding": (20, 60, 150), "parity": (8, 25, 60), "delayed-recall": (15, 50, 120)},
    FRESH: {"adding": (30, 100), "parity": (15, 40), "delayed-recall": (10, 35, 80)},
}
SEEDS = {CHOSEN_ON: 1, FRESH: 2}
KINDS = {
    "rnn": ("model.cell=rnn",),
    "rnn, orthogonal": ("model.cell=rnn", "model.init=orthogonal"),
    "rnn, large weights": ("model.cell=rnn", "model.init_scale=0.5"),
    "relu rnn, orthogonal": ("model.cell=rnn", "model.nonlinearity=relu", "model.init=orthogonal"),
    "lstm": ("model.cell=lstm", "model.chrono=0"),
    "lstm, chrono": ("model.cell=lstm", "model.chrono={length}"),
    "gru": ("model.cell=gru", "model.chrono=0"),
    "gru, chrono": ("model.cell=gru", "model.chrono={length}"),
    "lstm, lr 0.5": ("model.cell=lstm", "model.chrono=0", "train.lr=0.5", "train.clip=0"),
    "gru, lr 0.5": ("model.cell=gru", "model.chrono=0", "train.lr=0.5", "train.clip=0"),
    "relu rnn, large weights": (
        "model.cell=rnn",
        "model.nonlinearity=relu",
        "model.init_scale=0.5",
        "train.clip=0",
    ),
}
FORETELLING = (
    "not finite",
    "exploding",
    "short memory for this data",
    "saturated gates",
    "large updates",
)
WELL = 0.5


@dataclass(frozen=True)
class Case:
    part: str
    task: str
    length: int
    kind: str

    def settings(self, steps: int) -> list[str]:
        return [
            f"data.length={self.length}",
            "data.valid_sequences=500",
            "model.hidden_size=64",
            "train.lr=0.005",
            "train.epochs=1000",
            f"train.max_steps={steps}",
            f"train.validate_every={steps}",
            f"train.checkpoint_every={steps // 10}",
            "train.keep=1000",
            "train.threads=1",
            f"train.seed={SEEDS[self.part]}",
            *(setting.format(length=self.length) for setting in KINDS[self.kind]),
        ]


def cases() -> list[Case]:
    return [
        Case(part, task, length, kind)
        for part, tasks in LENGTHS.items()
        for task, lengths in tasks.items()
        for length, kind in product(lengths, KINDS)
    ]


def run(case: Case, steps: int) -> dict:
    config = config_class(case.task).load(None, case.settings(steps))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        solved = None
        try:
            quiet = Console(quiet=True)
            launch(config, lambda world: make_task(config, world), folder, console=quiet)
            solved = [r["solved"] for r in Run(folder).records() if r["kind"] == "validation"][-1]
        except TrainingError:
            pass
        solved = -1.0 if solved is None else solved  # NaN or given up
        try:
            report = diagnose_run(folder, checkpoint=str(steps // 10), thorough=False)
        except LoopwiseError as error:  # gave up before its first checkpoint
            return {**asdict(case), "solved": solved, "evidence": {}, "findings": [str(error)]}
    evidence: dict[str, float] = {}
    for rule in RULES:
        seen = [each.value for each in rule.look(report)]
        if seen:
            evidence[rule.name] = (min if rule.below else max)(seen)
    found = report.findings.names()
    return {**asdict(case), "solved": solved, "evidence": evidence, "findings": found}


def foretold(result: dict) -> bool:
    """Whether the diagnosis said that it would end ill, by the thresholds as they are now."""
    for rule in RULES:
        value = result["evidence"].get(rule.name)
        if rule.name in FORETELLING and value is not None:
            beyond = value < rule.threshold if rule.below else value > rule.threshold
            if beyond:
                return True
    return not result["evidence"]


def summary(results: list[dict], name: str) -> str:
    ill = [r for r in results if r["solved"] < WELL]
    right = sum(foretold(r) == (r["solved"] < WELL) for r in results)
    caught = sum(map(foretold, ill))
    alarms = sum(foretold(r) for r in results if r["solved"] >= WELL)
    return (
        f"{name}: {len(results)} trainings, {len(ill)} ended ill; foretold right {right} "
        f"({right / len(results):.0%}): {caught} of the {len(ill)} ill ones, with {alarms} false "
        f"alarms among the {len(results) - len(ill)} others"
    )


def show(results: list[dict]) -> None:
    for r in results:
        numbers = "  ".join(f"{n} {v:.2g}" for n, v in r["evidence"].items() if n in FORETELLING)
        verdict = "right" if foretold(r) == (r["solved"] < WELL) else "WRONG"
        name = f"{r['task']} {r['length']}, {r['kind']}"
        print(f"{name:<40} solved {r['solved']:5.2f}  {verdict}  {numbers}")
    for part in (CHOSEN_ON, FRESH):
        some = [r for r in results if r["part"] == part]
        if some:
            print(summary(some, part))


def main() -> None:
    style = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=style)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--read", type=Path)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--kind", choices=KINDS)
    options = parser.parse_args()
    results = json.loads(options.read.read_text()) if options.read else []
    for case in [] if options.read else cases():
        if options.kind in (None, case.kind):
            results.append(run(case, options.steps))
            if options.out:
                options.out.write_text(json.dumps(results, indent=1))
    show(results)


if __name__ == "__main__":
    main()
