"""What all loaded models share: the bundle, and streams on the engine or in NumPy."""

import os
from typing import Any, Protocol

from numpy.typing import NDArray

from loopwise import engine
from loopwise.errors import ConfigError
from loopwise.runtime.bundle import Bundle, write_bundle
from loopwise.runtime.cells import Array
from loopwise.runtime.description import SteppedDescription
from loopwise.runtime.modules import Model, ends_of
from loopwise.runtime.native import PackedModel, engine_takes, pack_model
from loopwise.runtime.precision import require_precision
from loopwise.runtime.steps import NumpySteps, Steps
from loopwise.runtime.stream import Inputs, Stream, require_streams


class Reader(Protocol):
    """A model that reads sequences side by side."""

    def initial_state(self, batch: int = 1) -> Any:
        """The state before the first step of ``batch`` sequences."""
        ...

    def read(self, x: NDArray[Any], state: Any) -> tuple[Array, Any]:
        """The outputs [T, B, O] after each step of ids [T, B] or numbers [T, B, I], and the state.

        The state given is not to be used again.
        """
        ...


class LoadedModel:
    """A trained model. It holds no state: every call and every stream has its own.

    The engine computes in the bundle's precision. Where it does not run, NumPy computes in float32
    with weights that are rounded to it.

    Args:
        bundle: the model.
        description: of it, from the bundle.
        inputs: what a step reads.
    """

    def __init__(self, bundle: Bundle, description: SteppedDescription, inputs: Inputs):
        self.bundle = bundle
        self._inputs, self._layers = inputs, description.layers
        self._model = Model(description, bundle.tensors)
        self._packed: dict[str, Any] = {}  # by type of the weights, made when first asked for

    @property
    def info(self) -> dict[str, Any]:
        """What the training left in the bundle about itself."""
        return self.bundle.info

    @property
    def network(self) -> Model:
        """The network itself, in float32: states go in and come out."""
        return self._model

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the bundle to a file; raises BundleError if that cannot be done."""
        write_bundle(path, self.bundle)

    def stream(self, streams: int = 1, *, dtype: str | None = None) -> Stream:
        """New streams at the beginning of a sequence, before its first step.

        Args:
            streams: how many; they share the weights.
            dtype: of the weights: ``"float32"``; or ``"bfloat16"`` or ``"int8"``, which are less
                accurate, and half and a quarter as large; None for that of the bundle.

        Raises:
            ConfigError: no number of streams, or a type that is not there.
        """
        steps = self._steps(require_streams(streams), dtype)
        return Stream(steps, self._inputs, self._layers, self._model.dtype, self.bundle.fingerprint)

    def _steps(self, streams: int, dtype: str | None) -> Steps:
        model, wanted = self._model, self.bundle.dtype if dtype is None else dtype
        require_precision(wanted)
        if self._engine_takes_it():
            return engine.streams(self._pack(wanted), streams)
        if dtype not in (None, "float32"):
            raise ConfigError(f"dtype={dtype!r}: needs the native engine (see loopwise doctor)")
        return NumpySteps(self._layers, model.initial_state(), model.read, streams)

    def _reader(self) -> Reader:
        dtype = self.bundle.dtype
        if dtype == "float32" or not self._engine_takes_it():
            return self._model
        return PackedModel(self._pack(dtype))

    def _pack(self, dtype: str) -> Any:
        if dtype not in self._packed:
            tensors = self.bundle.tensors
            self._packed[dtype] = pack_model(self._layers, tensors, ends_of(tensors), dtype)
        return self._packed[dtype]

    def _engine_takes_it(self) -> bool:
        return engine_takes(self._layers, self.bundle.tensors)
