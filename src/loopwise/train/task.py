"""What a task hands to the loop: a model, a stream of batches, a loss and a validation."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from torch import Tensor, nn

from loopwise.diagnose.report import Dependence
from loopwise.nn.state import State

Batch = TypeVar("Batch")
Batch_co = TypeVar("Batch_co", covariant=True)


@dataclass(frozen=True)
class StepLoss:
    """The loss of one batch.

    Attributes:
        loss: scalar, the mean over the batch's targets; differentiable.
        count: number of those targets. Batches are weighed by it, so that accumulated and
            distributed steps have the gradient of the mean over all their targets.
        state: recurrent state to carry into the next batch, or None where nothing is carried.
        penalty: scalar that is differentiated besides and not reported; None for none.
        lr_scale: factor on this step's learning rate (windows of varying length, `Lanes`).
    """

    loss: Tensor
    count: int
    state: State | None = None
    lr_scale: float = 1.0
    penalty: Tensor | None = None


class BatchStream(Protocol[Batch_co]):
    """An endless stream of training batches that knows its place and can return to it."""

    @property
    def epoch(self) -> int:
        """Index of the epoch that the next batch belongs to."""
        ...

    @property
    def progress(self) -> float:
        """Epochs given out so far, with the fraction of the running one."""
        ...

    @property
    def starts_epoch(self) -> bool:
        """Whether the next batch is the first of an epoch; no state is carried into it."""
        ...

    def next(self) -> Batch_co:
        """The next batch: a tensor, a tuple or dict of tensors, or an object with ``to``."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """The place in the stream as JSON values."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Return to a place that `state_dict` gave."""
        ...


class Task(Protocol[Batch]):
    """One kind of sequence work, as `fit` sees it."""

    @property
    def model(self) -> nn.Module:
        """The model to train, initialised."""
        ...

    @property
    def monitor(self) -> str:
        """Name of the validation metric that decides what is best; lower is better."""
        ...

    @property
    def unit(self) -> str:
        """What `StepLoss.count` counts, in the plural, as ``"tokens"``; speed is told in it."""
        ...

    @property
    def batches(self) -> BatchStream[Batch]:
        """This process's share of the training data."""
        ...

    @property
    def judge(self) -> str:
        """Names what `validate` measures on; metrics under different names are not compared."""
        ...

    @property
    def summary(self) -> str:
        """A line or two for people: what is learned from, and by which model."""
        ...

    @property
    def window(self) -> int | None:
        """Steps of truncated backpropagation; None where sequences are whole."""
        ...

    def dependence(self) -> Dependence | None:
        """Over which lags the training data depends on its past; None if that is not known."""
        ...

    def loss(self, model: nn.Module, batch: Batch, state: State | None) -> StepLoss:
        """The loss of `batch`.

        Args:
            model: to be called in place of `self.model`; it may be wrapped (precision, processes).
            batch: from `batches`, on the model's device.
            state: what the batch before returned, detached; None at an epoch's start.
        """
        ...

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Metrics on held-out data; `model` is in evaluation mode, without gradients.

        With several processes only the first is asked.
        """
        ...

    def export(self, path: Path) -> None:
        """Write the bundle of `self.model` to `path`; called at each new best validation."""
        ...
