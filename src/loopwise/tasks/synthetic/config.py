"""The options of the synthetic tasks. No torch here: the command line prints them without it."""

from collections.abc import Mapping
from typing import Any, Self, cast

from pydantic import Field, model_validator

from loopwise.config import Section
from loopwise.tasks.layers.config import LayersConfig
from loopwise.tasks.synthetic.problems import Name, Problem, make_problem
from loopwise.train.config import TaskConfig, TrainConfig


class DataConfig(Section):
    """Sequences, drawn as they are needed."""

    length: int = Field(default=100, ge=1, description="steps that have to be remembered")
    epoch_sequences: int = Field(
        default=6400, ge=1, description="sequences of an epoch, in all processes; none comes twice"
    )
    valid_sequences: int = Field(default=1000, ge=1, description="sequences to validate on")
    valid_seed: int = Field(default=0, ge=0, description="draws those, which stay the same")


class ModelConfig(LayersConfig):
    """Recurrent layers and a linear head."""

    embedding_size: int = Field(
        default=0, ge=0, description="features of a symbol; 0 = one for each symbol (one-hot)"
    )


class SyntheticConfig(TaskConfig):
    """A synthetic task: its sequences, its layers and its training."""

    task: Name = Field(default="adding", description="what this configuration is for")
    data: DataConfig = DataConfig.load()
    model: ModelConfig = ModelConfig.load()
    train: TrainConfig = TrainConfig.load()

    @property
    def problem(self) -> Problem:
        """What is to be learned."""
        return make_problem(self.task, self.data.length)

    @classmethod
    def default_table(cls, name: str, given: Mapping[str, Any]) -> Section | None:
        """As `Section.default_table`; where gates remember by default, then for the length."""
        default = super().default_table(name, given)
        data = given.get("data")
        length = cast(Mapping[str, Any], data).get("length") if isinstance(data, Mapping) else None
        if isinstance(default, ModelConfig) and default.chrono and isinstance(length, int):
            return default.model_copy(update={"chrono": max(length, 2)})
        return default

    @model_validator(mode="after")
    def _long_enough(self) -> Self:
        _ = self.problem
        return self


class AddingConfig(SyntheticConfig):
    """Adding: its sequences, its layers and its training."""

    data: DataConfig = DataConfig(length=200)
    model: ModelConfig = ModelConfig(cell="gru", hidden_size=128, chrono=200)
    train: TrainConfig = TrainConfig(epochs=20, lr=5e-3)


class CopyConfig(SyntheticConfig):
    """Copy memory: its sequences, its layers and its training."""

    task: Name = Field(default="copy", description="what this configuration is for")
    model: ModelConfig = ModelConfig(cell="gru", hidden_size=128, chrono=100)
    train: TrainConfig = TrainConfig(epochs=50, lr=5e-3)


class ParityConfig(SyntheticConfig):
    """Parity: its sequences, its layers and its training."""

    task: Name = Field(default="parity", description="what this configuration is for")
    model: ModelConfig = ModelConfig(cell="lstm", hidden_size=64)
    train: TrainConfig = TrainConfig(epochs=10, lr=3e-3)


class DelayedRecallConfig(SyntheticConfig):
    """Delayed recall: its sequences, its layers and its training."""

    task: Name = Field(default="delayed-recall", description="what this configuration is for")
    model: ModelConfig = ModelConfig(cell="lstm", hidden_size=64, chrono=100)
    train: TrainConfig = TrainConfig(epochs=30, lr=5e-3)


CONFIGS: dict[Name, type[SyntheticConfig]] = {
    "adding": AddingConfig,
    "copy": CopyConfig,
    "parity": ParityConfig,
    "delayed-recall": DelayedRecallConfig,
}
