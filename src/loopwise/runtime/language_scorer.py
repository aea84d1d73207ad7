"""A language model of loopwise as a search for speech asks it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.search.scorer import Scored
from loopwise.errors import ConfigError, DataError
from loopwise.runtime.language_model import LoadedLanguageModel
from loopwise.runtime.modules import State


class LanguageScorer:
    """See `loopwise.codec.search.scorer.Scorer`.

    A text begins where the model's do, and ends where it expects the end of a line.

    Args:
        model: of words, or of characters where characters are sought.
        names: of the units that the search counts in, by their numbers.
        unit: what these are, ``"words"`` or ``"chars"``.
        skipped: a name that is never asked for, such as the blank's.

    Raises:
        ConfigError: a model of other units.
    """

    def __init__(
        self, model: LoadedLanguageModel, names: Sequence[str], unit: str, skipped: str = ""
    ):
        codec = model.codec
        if codec.unit != unit:
            raise ConfigError(
                f"language: a model of {codec.unit}, where {unit} are sought: it must be of {unit}"
            )
        self._model, self._end = model.network, codec.start
        ids = [codec.start if name == skipped else _id(model, name) for name in names]
        self._ids = np.array(ids, np.int64)

    def start(self) -> Scored:
        """See `Scorer.start`."""
        return self._read(self._model.initial_state(1), np.array([self._end]))[0]

    def advance(self, states: "Sequence[_Read]", units: Sequence[int]) -> list[Scored]:
        """See `Scorer.advance`."""
        together = tuple(
            tuple(np.stack(parts) for parts in zip(*layer, strict=True))
            for layer in zip(*(state.layers for state in states), strict=True)
        )
        return self._read(together, self._ids[list(units)])

    def _read(self, state: State, ids: NDArray[np.int64]) -> list[Scored]:
        logits, after = self._model.read(ids[np.newaxis], state)
        rows = logits[0].astype(np.float64)
        rows -= rows.max(axis=1, keepdims=True)
        rows -= np.log(np.exp(rows).sum(axis=1, keepdims=True))
        wanted = np.append(self._ids, self._end)
        return [
            Scored(_Read(tuple(tuple(part[n] for part in layer) for layer in after)), row[wanted])
            for n, row in enumerate(rows)
        ]


class _Read(NamedTuple):
    """The model's state after a text, each array [size]."""

    layers: Any


def _id(model: LoadedLanguageModel, name: str) -> int:
    """A name's token, the unknown one if there is none."""
    codec = model.codec
    try:
        ids = codec.encode_text(name)
    except DataError:
        ids = np.zeros(0, np.int32)
    found = ids[ids != codec.start]  # a codec of words ends each line
    if len(found) == 1:
        return int(found[0])
    if codec.unknown is None:
        raise ConfigError(f"language: the model has no token for {name!r}")
    return codec.unknown
