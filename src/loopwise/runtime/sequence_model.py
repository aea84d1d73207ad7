"""A trained sequence model as its users hold it: numbers or symbols in, numbers or classes out."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from loopwise.errors import DataError
from loopwise.runtime.bundle import Bundle
from loopwise.runtime.cells import Array
from loopwise.runtime.description import SequenceModelDescription, parse_as
from loopwise.runtime.loaded import LoadedModel
from loopwise.runtime.modules import CHUNK
from loopwise.runtime.stream import Inputs, Numbers, TokenIds


class LoadedSequenceModel(LoadedModel):
    """A model whose streams read numbers [I], or a symbol's id, and put out [O] at each step.

    The outputs are numbers, or the logits of classes: `description` says which.

    Args:
        bundle: of the task ``"sequence-model"``.

    Raises:
        BundleError: a model of another kind.
    """

    def __init__(self, bundle: Bundle):
        self.description = parse_as(SequenceModelDescription, bundle.model)
        super().__init__(bundle, self.description, _inputs(self.description, bundle))

    def run(self, x: ArrayLike, last: int | None = None) -> Array:
        """Read whole sequences side by side, each from its beginning.

        Args:
            x: numbers [T, B, I], or symbols [T, B].
            last: K, after how many of the last steps the outputs are wanted; None for all.

        Returns:
            [K, B, O].

        Raises:
            DataError: it is nothing that the model reads.
        """
        given = np.asarray(x)
        expected = 3 if self.description.inputs == "numbers" else 2
        if given.ndim != expected or not given.size:
            shape = "[T, B, I]" if expected == 3 else "[T, B]"
            raise DataError(f"x: expected {shape}, none of them 0, given {list(given.shape)}")
        steps, _ = self._inputs.array(given.reshape(-1, *given.shape[2:]), "x")
        steps = steps.reshape(given.shape)
        reader = self._reader()
        state: Any = reader.initial_state(given.shape[1])
        length = max(1, CHUNK // given.shape[1])
        wanted = len(given) - (len(given) if last is None else last)
        outputs: list[Array] = []
        for begin in range(0, len(given), length):
            y, state = reader.read(steps[begin : begin + length], state)
            outputs.append(y[max(wanted - begin, 0) :])
        return np.concatenate(outputs)


def _inputs(description: SequenceModelDescription, bundle: Bundle) -> Inputs:
    if description.inputs == "symbols":
        return TokenIds(description.input_size)
    dtype = np.result_type(np.float32, *bundle.tensors.values())
    return Numbers(description.input_size, dtype)
