"""A tiny language model over a synthetic text, as a task; as a script, one training of it."""

import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from loopwise.errors import LoopwiseError
from loopwise.runs import Run
from loopwise.train.config import TrainConfig
from loopwise.train.lanes import Lanes, Window
from loopwise.train.processes import World
from loopwise.train.task import StepLoss

VOCABULARY = 11


def text(length: int = 2001) -> np.ndarray:
    """Tokens with something to learn: a walk of small steps over the vocabulary."""
    steps = np.random.default_rng(7).choice([0, 1, 2], size=length, p=[0.1, 0.6, 0.3])
    return (np.cumsum(steps) % VOCABULARY).astype(np.int32)


class ToyModel(nn.Module):
    def __init__(self, hidden: int = 8, dropout: float = 0.0):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 6)
        self.rnn = nn.LSTM(6, hidden)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, VOCABULARY)

    def forward(self, ids: Tensor, state: tuple[Tensor, Tensor] | None = None):
        outputs, state = self.rnn(self.embedding(ids), state)
        return self.head(self.dropout(outputs)), state


class ToyTask:
    monitor, judge, unit = "loss", "text", "tokens"

    def __init__(self, config: TrainConfig, *, window: int = 12, dropout: float = 0.0, **lanes):
        world = World.current()
        torch.manual_seed(config.seed)
        self.model = ToyModel(dropout=dropout)
        self.batches = Lanes(
            text(),
            config.batch_size,
            window,
            seed=config.seed,
            rank=world.rank,
            world=world.size,
            **lanes,
        )
        self.on_loss: Callable[[Tensor], Tensor] = lambda loss: loss
        self.on_validate: Callable[[float], float] = lambda loss: loss
        self.exports = 0

    def loss(self, model: nn.Module, batch: Window, state) -> StepLoss:
        logits, state = model(batch.inputs, state)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten())
        return StepLoss(self.on_loss(loss), batch.targets.numel(), state, batch.scale)

    def validate(self, model: nn.Module) -> dict[str, float]:
        ids = torch.from_numpy(text(301)[None].astype(np.int64)).T
        logits, _ = model(ids[:-1])
        loss = float(nn.functional.cross_entropy(logits.flatten(0, 1), ids[1:].flatten()))
        return {"loss": self.on_validate(loss), "perplexity": math.exp(loss)}

    def export(self, path: Path) -> None:
        self.exports += 1
        save_file({k: v.clone() for k, v in self.model.state_dict().items()}, path)


def at_loss(task: ToyTask, number: int, action: Callable[[], object]) -> None:
    """Let this process do something in the middle of a step, counted from this start."""
    calls = 0

    def on_loss(loss: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        if calls == number:
            action()
        return loss

    task.on_loss = on_loss


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hang() -> None:
    print("hangs", flush=True)
    time.sleep(1000)


def main(arguments: dict) -> None:
    from loopwise.train.loop import fit

    config = TrainConfig.parse(arguments["config"])
    path = Path(arguments["run"])
    task = ToyTask(config, **arguments.get("task", {}))
    if World.current().rank == arguments.get("rank", 0):  # which the following is about
        for action in (die, hang):
            if action.__name__ in arguments:
                at_loss(task, arguments[action.__name__], action)
        for _ in range(arguments.get("ahead", 0)):
            task.batches.next()
    print("ready", flush=True)
    options = {name: arguments[name] for name in ("resume", "from_checkpoint") if name in arguments}
    try:
        result = fit(task, config, Run(path), **options)
    except LoopwiseError:
        time.sleep(arguments.get("silent", 0))  # as on a machine that has much else to do
        raise
    if World.current().rank == 0:
        weights = {k: v.clone() for k, v in task.model.state_dict().items()}
        save_file(weights, path / "final.safetensors")
        (path / "result.json").write_text(json.dumps(vars(result)))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
