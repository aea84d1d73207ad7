"""One network of a recognizer, in NumPy and on the engine: whole utterances, and streams."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from loopwise import engine
from loopwise.runtime import native
from loopwise.runtime.acoustics import (
    convolve,
    joint_frames,
    joint_logits,
    joint_units,
    logits,
    look_ahead,
    read_frames,
    steps_of,
)
from loopwise.runtime.cells import Array
from loopwise.runtime.description import RecognizerDescription
from loopwise.runtime.encoder import Encoder
from loopwise.runtime.modules import Embedding, Stack, State, below
from loopwise.runtime.steps import NumpySteps, Steps

Lengths = NDArray[np.int64]


class AcousticNetwork:
    """A network of a bundle. It holds no state.

    Args:
        description: of the network.
        tensors: exactly those of ``description.member_shapes()``. It computes in float32, or in
            float64 where any tensor is float64.
        precision: of the layers' weights on the engine, where steps are taken one by one.
    """

    def __init__(
        self,
        description: RecognizerDescription,
        tensors: Mapping[str, NDArray[Any]],
        precision: str = "float32",
    ):
        dtype = np.result_type(np.float32, *tensors.values())
        self.description, self.dtype, self._precision = description, dtype, precision
        self.tensors = {name: np.asarray(tensor, dtype) for name, tensor in tensors.items()}
        self._encoder = Encoder(description.layers, below(self.tensors, "layers."))
        self._packed: Any = None  # made when first asked for

    def see(self, frames: Sequence[Array]) -> tuple[Array, Lengths]:
        """Read whole utterances, each frames [T, F].

        Returns:
            what is seen of each step, [K, B, H], and the steps of each utterance, [B].
        """
        d = self.description
        count = np.array([len(each) for each in frames], np.int64)
        table = np.zeros((int(count.max(initial=1)), len(frames), d.input_size), self.dtype)
        for row, each in enumerate(frames):
            table[: len(each), row] = each
        lengths: Lengths = steps_of(d, count)
        hidden = self._encoder(read_frames(d, self.tensors, table), lengths)
        return look_ahead(d, self.tensors, hidden), lengths

    def log_probs(self, seen: Array) -> Array:
        """CTC's log-probabilities [..., V] of what was seen [..., H]."""
        return log_softmax(logits(self.tensors, seen))

    def stream(self) -> "NetworkStream":
        """A new stream of frames; the layers must read forwards alone."""
        return NetworkStream(self, self._steps())

    def joint_frames(self, seen: Array) -> Array:
        """What a transducer's joiner makes of what was seen [..., H], [..., J]."""
        return joint_frames(self.tensors, seen)

    def predictor(self) -> "Predictor":
        """The rest of a transducer."""
        return Predictor(self)

    def _steps(self) -> Steps:
        layers, own = self.description.layers, below(self.tensors, "layers.")
        if native.engine_takes(layers, own):
            if self._packed is None:
                self._packed = native.pack(layers, own, {}, self._precision)
            return engine.streams(self._packed, 1)
        stack = Stack(layers, own)
        return NumpySteps(layers, stack.initial_state(1), stack.forward, 1)


class NetworkStream:
    """What is seen of frames that come bit by bit; however they are cut, the same.

    Args:
        model: whose weights it shares.
        steps: of its layers.
    """

    def __init__(self, model: AcousticNetwork, steps: Steps):
        self._model, self._layers = model, steps
        self.reset()

    def reset(self) -> None:
        """Return to the state before the first frame."""
        d, dtype = self._model.description, self._model.dtype
        self._layers.reset()
        self._frames = np.zeros((d.width - d.stride, d.input_size), dtype)
        self._hidden = np.zeros((0, d.hidden_size), dtype)

    def push(self, frames: Array) -> Array:
        """Take frames [n, F]; what became certain, [k, H]."""
        self._frames = np.concatenate([self._frames, frames.astype(self._model.dtype)])
        return self._take((len(self._frames) - self._overlap) // self._model.description.stride)

    def finish(self) -> Array:
        """End the utterance: the rest, [k, H]; the stream is then as new."""
        d = self._model.description
        left = len(self._frames) - self._overlap
        missing = -left % d.stride
        zeros = np.zeros((missing, d.input_size), self._model.dtype)
        self._frames = np.concatenate([self._frames, zeros])
        seen = self._take((left + missing) // d.stride)
        tail = look_ahead(d, self._model.tensors, self._hidden[:, None])[:, 0]
        self.reset()
        return np.concatenate([seen, tail])

    @property
    def _overlap(self) -> int:
        return self._model.description.width - self._model.description.stride

    def _take(self, steps: int) -> Array:
        d, tensors = self._model.description, self._model.tensors
        if steps:
            windows = np.lib.stride_tricks.sliding_window_view(self._frames, d.width, axis=0)
            patches = windows[: steps * d.stride : d.stride].transpose(0, 2, 1)
            flat = np.ascontiguousarray(patches.reshape(steps, d.patch_size))
            hidden = self._layers.push(convolve(d, tensors, flat))
            self._frames = self._frames[steps * d.stride :]
            self._hidden = np.concatenate([self._hidden, hidden])
        certain = max(len(self._hidden) - d.lookahead, 0)
        seen = look_ahead(d, tensors, self._hidden[:, None])[:certain, 0]
        self._hidden = self._hidden[certain:]
        return seen


class Said(NamedTuple):
    """What a transducer knows of a text: its own, never altered."""

    layers: State
    """of the prediction network, each array [size]"""
    joint: Array
    """[J], what the joiner makes of its output"""


class Predictor:
    """A transducer without its encoder; see `codec.search.transducer.predictor`.

    Args:
        model: of a transducer.

    Attributes:
        size: V, units with the blank.
    """

    def __init__(self, model: AcousticNetwork):
        assert model.description.transducer is not None
        self.size = model.description.units
        self._tensors = model.tensors
        self._embedding = Embedding(model.tensors["embedding.weight"])
        layers = below(model.tensors, "predictor.")
        self._stack = Stack(model.description.transducer.layers, layers)

    def start(self) -> Said:
        """Before the first unit, where the blank is read."""
        return self._read(self._stack.initial_state(1), [0])[0]

    def advance(self, states: Sequence[Said], units: Sequence[int]) -> list[Said]:
        """After one unit more; of N states, which may repeat, with a unit for each."""
        together = tuple(
            tuple(np.stack(parts) for parts in zip(*layer, strict=True))
            for layer in zip(*(state.layers for state in states), strict=True)
        )
        return self._read(together, units)

    def join(self, frame: Array, states: Sequence[Said]) -> Array:
        """Log-probabilities [N, V] after N texts, at a frame [J] as `joint_frames` has it."""
        said = np.stack([state.joint for state in states])
        return log_softmax(joint_logits(self._tensors, frame, said))

    def _read(self, state: State, units: Sequence[int]) -> list[Said]:
        embedded = self._embedding(np.asarray(units, np.int64))[np.newaxis]
        hidden, after = self._stack.forward(np.ascontiguousarray(embedded), state)
        joint = joint_units(self._tensors, hidden[0])
        return [
            Said(tuple(tuple(part[n] for part in layer) for layer in after), joint[n])
            for n in range(len(units))
        ]


def log_softmax(x: Array) -> Array:
    """Along the last axis."""
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))
