"""The networks of a recognizer, which answer together: whole utterances, and streams of frames.

Each step's log-probabilities are the mean of the networks' own, normalised anew: their geometric
mean. What they see stands side by side, so that nobody else need know how many they are.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loopwise.codec.search.transducer.predictor import TransducerPredictor
from loopwise.runtime.acoustic_network import (
    AcousticNetwork,
    Lengths,
    NetworkStream,
    log_softmax,
)
from loopwise.runtime.cells import Array
from loopwise.runtime.description import RecognizerDescription
from loopwise.runtime.modules import below


class AcousticModel:
    """The networks of a bundle. It holds no state.

    Args:
        description: of the networks.
        tensors: exactly those of ``description.tensor_shapes()``; see `AcousticNetwork`.
        precision: as of `AcousticNetwork`.

    Attributes:
        description: of the networks.
        members: the networks.
    """

    def __init__(
        self,
        description: RecognizerDescription,
        tensors: Mapping[str, NDArray[Any]],
        precision: str = "float32",
    ):
        self.description = description
        self.members = [
            AcousticNetwork(description, below(tensors, f"members.{n}."), precision)
            for n in range(description.members)
        ]

    def see(self, frames: Sequence[Array]) -> tuple[Array, Lengths]:
        """Read whole utterances, each frames [T, F].

        Returns:
            what is seen of each step, [K, B, M H], and the steps of each utterance, [B].
        """
        seen, lengths = zip(*(member.see(frames) for member in self.members), strict=True)
        return _beside(seen), lengths[0]

    def log_probs(self, seen: Array) -> Array:
        """CTC's log-probabilities [..., V] of what was seen [..., M H]."""
        return _mean(self._each(lambda member, own: member.log_probs(own), seen))

    def stream(self) -> "AcousticStream":
        """A new stream of frames; the layers must read forwards alone."""
        return AcousticStream([member.stream() for member in self.members])

    def joint_frames(self, seen: Array) -> Array:
        """What the transducers' joiners make of what was seen [..., M H], [..., M J]."""
        return _beside(self._each(lambda member, own: member.joint_frames(own), seen))

    def predictor(self) -> TransducerPredictor:
        """The rest of the transducers."""
        own = [member.predictor() for member in self.members]
        return own[0] if len(own) == 1 else Predictors(own)

    def _each(self, of: Callable[[AcousticNetwork, Array], Array], seen: Array) -> list[Array]:
        parts = np.split(seen, len(self.members), -1)
        return [of(member, own) for member, own in zip(self.members, parts, strict=True)]


class AcousticStream:
    """What is seen of frames that come bit by bit; however they are cut, the same.

    Args:
        members: of each network.
    """

    def __init__(self, members: Sequence[NetworkStream]):
        self._members = members

    def reset(self) -> None:
        """Return to the state before the first frame."""
        for member in self._members:
            member.reset()

    def push(self, frames: Array) -> Array:
        """Take frames [n, F]; what became certain, [k, M H]."""
        return _beside([member.push(frames) for member in self._members])

    def finish(self) -> Array:
        """End the utterance: the rest, [k, M H]; the stream is then as new."""
        return _beside([member.finish() for member in self._members])


class Predictors:
    """Transducers without their encoders, a `codec.search.transducer.predictor`.

    Args:
        members: of each network.

    Attributes:
        size: V, units with the blank.
    """

    def __init__(self, members: Sequence[TransducerPredictor]):
        self.size, self._members = members[0].size, members

    def start(self) -> tuple[Any, ...]:
        """Before the first unit."""
        return tuple(member.start() for member in self._members)

    def advance(self, states: Sequence[Any], units: Sequence[int]) -> list[tuple[Any, ...]]:
        """After one unit more; of N states, which may repeat, with a unit for each."""
        own = zip(self._members, zip(*states, strict=True), strict=True)
        return list(zip(*(member.advance(each, units) for member, each in own), strict=True))

    def join(self, frame: NDArray[Any], states: Sequence[Any]) -> NDArray[Any]:
        """Log-probabilities [N, V] after N texts, at a frame [M J] as `joint_frames` has it."""
        frames = np.split(frame, len(self._members), -1)
        own = zip(self._members, frames, zip(*states, strict=True), strict=True)
        return _mean([member.join(part, each) for member, part, each in own])


def _beside(parts: Sequence[Array]) -> Array:
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)


def _mean(parts: Sequence[Array]) -> Array:
    return parts[0] if len(parts) == 1 else log_softmax(np.mean(parts, axis=0))
