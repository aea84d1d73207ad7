"""Copy memory over a long pause, by way of shorter ones: each length starts from the one before.

    python examples/curriculum.py --lengths 100 300 1000 --minutes 4 2 4.5 --out runs/curriculum

A network that has learned to repeat ten symbols after 100 steps holds them for 300 with little more
training, and then for 1000, which it does not learn from the beginning in any such time.
"""

import argparse
from pathlib import Path

from loopwise.tasks.registry import config_class, make_task, open_task
from loopwise.train.launch import launch
from loopwise.train.processes import World
from loopwise.train.task import Task

RATES = (0.004, 0.003, 0.002)  # the longer, the more carefully; the last one for all that follow


def train(length: int, minutes: float, rate: float, before: Path | None, out: Path) -> None:
    """Train on one length, from the best weights of the run `before`."""
    settings = [
        f"data.length={length}",
        "data.valid_sequences=200",
        "model.chrono=300",
        "train.schedule=constant",
        f"train.lr={rate}",
        "train.epochs=1000",
        f"train.max_minutes={minutes}",
        "train.validate_every=250",
        "train.threads=1",
    ]
    config = config_class("copy").load(None, settings)

    def task_of(world: World) -> Task:
        task = make_task(config, world)
        if before is not None:
            task.model.load_state_dict(open_task(before, "best").model.state_dict())
        return task

    launch(config, task_of, out, overwrite=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lengths", type=int, nargs="+", default=[100, 300, 1000])
    parser.add_argument("--minutes", type=float, nargs="+", default=[4.0, 2.0, 4.5])
    parser.add_argument("--out", type=Path, default=Path("runs/curriculum"))
    options = parser.parse_args()
    before = None
    for stage, (length, minutes) in enumerate(zip(options.lengths, options.minutes, strict=True)):
        out = options.out / str(length)
        train(length, minutes, RATES[min(stage, len(RATES) - 1)], before, out)
        before = out


if __name__ == "__main__":
    main()
