"""What every task's configuration has, above all the options of the training loop.

No torch here: the command line prints them without it.
"""

from collections.abc import Collection
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator

from loopwise.config import ActsWith, Section, nearest
from loopwise.errors import ConfigError


class TaskConfig(Section):
    """A whole configuration: the task's name stands in `task`, and its tables follow."""

    @classmethod
    def from_settings(cls, where: str, unsaid: Collection[str] = (), **settings: Any) -> Self:
        """A configuration from the keys of all tables in one row, such as ``hidden_size=256``.

        Args:
            where: names their origin in messages.
            unsaid: keys that are no option here.
            settings: values by key.

        Raises:
            ConfigError: a key that no table has, or a value that is not allowed.
        """
        tables = {name: field.default for name, field in cls.model_fields.items()}
        homes = {
            key: name
            for name, table in tables.items()
            if isinstance(table, Section)
            for key in type(table).model_fields
            if key not in unsaid
        }
        values: dict[str, dict[str, Any]] = {}
        for key, value in settings.items():
            if key not in homes:
                hint = nearest(key, list(homes))
                raise ConfigError(f"{where}: unknown option {key!r}{hint}")
            values.setdefault(homes[key], {})[key] = value
        return cls.parse(values, where=where)

    @field_validator("task", mode="before", check_fields=False)
    @classmethod
    def _right_task(cls, value: Any) -> Any:
        expected = cls.model_fields["task"].default
        if value != expected:
            raise ValueError(f"this configuration is for the task {value!r}; expected {expected!r}")
        return value


class TrainConfig(Section):
    """Training: length, optimiser, learning rate, clipping, checkpoints, machine."""

    epochs: int = Field(default=10, ge=1, description="passes over the training data")
    max_steps: int = Field(
        default=0, ge=0, description="stop after so many optimiser steps; 0 = no limit"
    )
    max_minutes: float = Field(
        default=0.0,
        ge=0,
        description="stop after so many minutes, with a last validation; 0 = no limit; "
        "schedules do not see it",
    )
    batch_size: int = Field(default=32, ge=1, description="sequences per process and micro-batch")
    accumulate: int = Field(default=1, ge=1, description="micro-batches per optimiser step")

    optimizer: Literal["adamw", "sgd", "nt-asgd"] = Field(
        default="adamw",
        description="adamw, sgd, or nt-asgd (sgd that averages its weights at the end)",
    )
    lr: float = Field(default=1e-3, gt=0, description="highest learning rate")
    weight_decay: float = Field(
        default=0.0,
        ge=0,
        description="adamw: decoupled, on matrices only; sgd and nt-asgd: L2, on all",
    )
    average: Annotated[float, ActsWith("optimizer", ("adamw",))] = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="validate and keep a running mean of the weights that forgets at this rate a "
        "step (0.99: over about 100); 0 = the weights themselves",
    )
    momentum: Annotated[float, ActsWith("optimizer", ("sgd",))] = Field(
        default=0.0, ge=0, lt=1, description="share of a step that the next one repeats"
    )

    schedule: Literal["constant", "cosine", "one-cycle", "plateau", "exponential"] = Field(
        default="cosine", description="constant, cosine, one-cycle, plateau or exponential"
    )
    warmup: float = Field(
        default=0.0, ge=0, le=1, description="fraction of the training with a rising learning rate"
    )
    final_lr: Annotated[float, ActsWith("schedule", ("cosine", "one-cycle"))] = Field(
        default=0.0, ge=0, le=1, description="where lr ends, as a fraction of lr"
    )
    hold_epochs: Annotated[int, ActsWith("schedule", ("exponential",))] = Field(
        default=1, ge=0, description="epochs before lr starts to fall"
    )
    decay: Annotated[float, ActsWith("schedule", ("exponential", "plateau"))] = Field(
        default=0.5, gt=0, le=1, description="lr factor per epoch, or per fall of a plateau"
    )
    plateau: Annotated[int, ActsWith("schedule", ("plateau",))] = Field(
        default=1, ge=1, description="validations without improvement before lr falls"
    )

    clip: float = Field(default=1.0, ge=0, description="gradient clipping threshold; 0 = off")
    clip_mode: Literal["norm", "value", "adaptive"] = Field(
        default="norm",
        description="norm (of all gradients), value (each entry) or adaptive (per unit)",
    )

    patience: int = Field(
        default=0, ge=0, description="stop after so many validations without improvement; 0 = never"
    )
    validate_every: int = Field(
        default=0, ge=0, description="steps between validations; 0 = each epoch"
    )
    checkpoint_every: int = Field(
        default=0, ge=0, description="steps between checkpoints; 0 = at each validation"
    )
    keep: int = Field(
        default=2, ge=1, description="latest checkpoints to keep; the best is kept besides"
    )
    log_every: int = Field(
        default=20, ge=1, description="steps per training record in metrics.jsonl"
    )
    watch: int = Field(
        default=0,
        ge=0,
        description="steps between two looks inside: gradients over time, memory, gates; 0 = never",
    )
    tensorboard: bool = Field(
        default=False, description="write TensorBoard files besides metrics.jsonl"
    )

    seed: int = Field(default=1, ge=0, lt=2**63, description="fixes every random choice of the run")
    threads: int = Field(default=0, ge=0, description="CPU threads per process; 0 = torch's choice")
    precision: Literal["32", "bf16"] = Field(
        default="32",
        description="of the training computation; weights and validation stay in 32 bits",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="auto, cpu or cuda")

    @field_validator("precision", mode="before")
    @classmethod
    def _unquoted(cls, value: Any) -> Any:
        # `--set train.precision=32` reads as a number
        return str(value) if isinstance(value, int) else value
