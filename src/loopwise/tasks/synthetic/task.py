"""The synthetic tasks as the training loop sees them."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from loopwise.diagnose.dependence import known
from loopwise.diagnose.report import Dependence
from loopwise.export.bundle import to_bundle
from loopwise.nn.state import State
from loopwise.runtime.bundle import write_bundle
from loopwise.runtime.description import SequenceModelDescription
from loopwise.tasks.layers.description import describe_layers
from loopwise.tasks.layers.modules import penalty, summarise
from loopwise.tasks.layers.sequence_model import Answers, SequenceModel
from loopwise.tasks.synthetic.config import ModelConfig, SyntheticConfig
from loopwise.tasks.synthetic.data import SequenceBatch, SequenceStream
from loopwise.tasks.synthetic.measure import ROWS, figures
from loopwise.tasks.synthetic.problems import Problem, held_out
from loopwise.train.processes import World
from loopwise.train.task import StepLoss


class SyntheticTask:
    """Whole sequences, each from its beginning; a `loopwise.train.task.Task`.

    Args:
        config: all options.
        world: this process and how many there are.

    Raises:
        DataError: an epoch has not one batch.
    """

    monitor = "loss"
    unit = "targets"

    def __init__(self, config: SyntheticConfig, world: World | None = None):
        world = world or World.current()
        data = config.data
        self.config, self.problem = config, config.problem
        self.judge = f"{data.valid_sequences} of {self.problem}, seed {data.valid_seed}"
        self.batches = SequenceStream(
            self.problem,
            config.train.batch_size,
            data.epoch_sequences,
            seed=config.train.seed,
            rank=world.rank,
            world=world.size,
        )
        torch.manual_seed(config.train.seed)
        self.model = SequenceModel(
            describe(config.model, self.problem),
            config.model,
            one_hot=not config.model.embedding_size,
        )
        self._figures: dict[str, float] = {}

    @property
    def summary(self) -> str:
        """Task and model in a line each."""
        problem = self.problem
        return (
            f"{self.config.task}: length {self.config.data.length}, loss by chance "
            f"{problem.chance:.4g}, optimal {problem.optimal:g}\n"
            f"{summarise(self.config.model, self.model)}"
        )

    def loss(self, model: nn.Module, batch: SequenceBatch, state: State | None) -> StepLoss:
        """Mean loss of the answers: squared error, or cross-entropy in nats."""
        targets = batch.targets
        answers: Answers = model(batch.inputs, len(targets))
        if self.problem.outputs == "numbers":
            loss = functional.mse_loss(answers.outputs, targets)
        else:
            loss = functional.cross_entropy(answers.outputs.flatten(0, 1), targets.flatten())
        extra = penalty(self.config.model, answers.dropped, answers.output)
        return StepLoss(loss, targets.numel(), penalty=extra)

    @property
    def window(self) -> int | None:
        """None: sequences are read as a whole."""
        return None

    def dependence(self) -> Dependence:
        """Known: the problem's reach."""
        return known(self.problem.reach)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """The figures of the held-out sequences; see `loopwise.tasks.synthetic.measure.figures`."""
        data, device = self.config.data, self.model.head.weight.device
        inputs, targets = held_out(self.problem, data.valid_sequences, data.valid_seed)
        outputs: list[np.ndarray[Any, Any]] = []
        for begin in range(0, data.valid_sequences, ROWS):
            x = torch.from_numpy(inputs[:, begin : begin + ROWS]).to(device)
            answers: Answers = model(x, len(targets))
            outputs.append(answers.outputs.cpu().numpy())
        self._figures = figures(self.problem, np.concatenate(outputs, axis=1), targets)
        return self._figures

    def export(self, path: Path) -> None:
        """Write the bundle of the model as it is now."""
        info: dict[str, Any] = {
            "task": self.config.task,
            "length": self.config.data.length,
            "validation": self._figures,
        }
        write_bundle(path, to_bundle("sequence-model", self.model, None, info))


def describe(config: ModelConfig, problem: Problem) -> SequenceModelDescription:
    """The description that a bundle will carry."""
    symbols = problem.inputs == "symbols"
    embedding_size = config.embedding_size or problem.input_size if symbols else 0
    return SequenceModelDescription(
        kind="sequence-model",
        inputs=problem.inputs,
        input_size=problem.input_size,
        embedding_size=embedding_size,
        layers=describe_layers(config, embedding_size or problem.input_size),
        outputs=problem.outputs,
        output_size=problem.output_size,
    )
