"""Small configurations and trainings."""

from pathlib import Path

from rich.console import Console

from loopwise.tasks.registry import config_class, make_task
from loopwise.tasks.synthetic.config import SyntheticConfig
from loopwise.train.launch import launch

NAMES = ("adding", "copy", "parity", "delayed-recall")
SMALL = (
    "data.length=6",
    "data.epoch_sequences=32",
    "data.valid_sequences=20",
    "model.hidden_size=8",
    "train.batch_size=8",
    "train.epochs=2",
    "train.log_every=1",
    "train.threads=1",
    "train.device=cpu",
)


def config(name: str, *settings: str) -> SyntheticConfig:
    return config_class(name).load(None, [*SMALL, *settings])


def train(options: SyntheticConfig, out: Path, **how):
    quiet = Console(quiet=True)
    return launch(options, lambda world: make_task(options, world), out, console=quiet, **how)
