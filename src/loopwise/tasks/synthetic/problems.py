"""The problems: how sequences are drawn, what their answers are, what chance and skill lose.

Time first: ``T`` steps, ``B`` sequences, ``I`` numbers of a step. Targets belong to the last ``K``
steps. No torch here: deployed models are evaluated on them, too.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from loopwise.errors import ConfigError

Array: TypeAlias = NDArray[Any]
Name = Literal["adding", "copy", "parity", "delayed-recall"]


class Sequences(NamedTuple):
    """Some sequences with their answers."""

    inputs: Array
    """numbers, float32 [T, B, I]; or symbols, int64 [T, B]"""
    targets: Array
    """of the last K steps: numbers, float32 [K, B, O]; or classes, int64 [K, B]"""


@dataclass(frozen=True)
class Problem(ABC):
    """What there is to learn; its `repr` names it.

    Attributes:
        length: steps that have to be remembered.
        inputs: what a step reads: ``"numbers"``, or the id of one of some ``"symbols"``.
        input_size: I, the numbers of a step; or how many symbols there are.
        outputs: what answers are: ``"numbers"``, judged by the mean squared error, or ids of
            ``"classes"``, judged by cross-entropy in nats.
        output_size: O, the numbers of an answer; or how many classes there are.
        optimal: loss of one who remembers all.
    """

    length: int
    inputs: ClassVar[Literal["numbers", "symbols"]] = "symbols"
    input_size: ClassVar[int]
    outputs: ClassVar[Literal["numbers", "classes"]] = "classes"
    output_size: ClassVar[int]
    optimal: ClassVar[float] = 0.0

    @property
    @abstractmethod
    def chance(self) -> float:
        """Loss of the best answer of one who remembers nothing."""

    @property
    def asked(self) -> int:
        """How many of the last answers need memory."""
        return 1

    @property
    def reach(self) -> int:
        """Over how many steps an answer depends on the past."""
        return self.length

    @abstractmethod
    def draw(self, rng: np.random.Generator, count: int) -> Sequences:
        """Draw `count` sequences."""


@dataclass(frozen=True)
class Adding(Problem):
    """Add the two marked of many numbers (Hochreiter & Schmidhuber 1997, section 5.4).

    As Bai et al. 2018 (arXiv:1803.01271, section 4) have it: a step shows a value, uniform in
    [0, 1), and a marker, which is 1 at one step of either half and else 0. The answer, after the
    last step, is the sum of the two values marked. Who always says 1 loses the variance of that
    sum, 2/12.

    Args:
        length: T, at least 2.

    Raises:
        ConfigError: it is less.
    """

    inputs: ClassVar[Literal["numbers", "symbols"]] = "numbers"
    outputs: ClassVar[Literal["numbers", "classes"]] = "numbers"
    input_size: ClassVar[int] = 2
    output_size: ClassVar[int] = 1

    @property
    def chance(self) -> float:
        """See `Problem.chance`."""
        return 1 / 6

    def __post_init__(self) -> None:
        if self.length < 2:
            raise ConfigError(f"length {self.length}: adding needs a step in each half, at least 2")

    def draw(self, rng: np.random.Generator, count: int) -> Sequences:
        """See `Problem.draw`."""
        values = rng.random((self.length, count), np.float32)
        half, rows = self.length // 2, np.arange(count)
        places = np.stack([rng.integers(half, size=count), rng.integers(half, self.length, count)])
        markers = np.zeros_like(values)
        markers[places, rows] = 1
        sums = values[places, rows].sum(0)
        return Sequences(np.stack([values, markers], -1), sums[np.newaxis, :, np.newaxis])


@dataclass(frozen=True)
class Copy(Problem):
    """Repeat ten symbols after a long pause (Arjovsky et al. 2016, arXiv:1511.06464, section 5.1).

    A sequence has ten of the symbols 0 to 7, then blanks (8), the last but ten of which is a signal
    (9). The answer to each step is a blank, and to each of the last ten a symbol, in their order.
    Who remembers nothing guesses those ten: ``10 ln 8 / T`` nats, with T the length and 20.

    Args:
        length: steps between the last symbol to be read and the first to be repeated, at least 1.
    """

    memory: ClassVar[int] = 10
    symbols: ClassVar[int] = 8
    input_size: ClassVar[int] = symbols + 2
    output_size: ClassVar[int] = symbols + 1

    @property
    def chance(self) -> float:
        """See `Problem.chance`."""
        return self.memory * math.log(self.symbols) / (self.length + 2 * self.memory)

    @property
    def asked(self) -> int:
        """See `Problem.asked`."""
        return self.memory

    def draw(self, rng: np.random.Generator, count: int) -> Sequences:
        """See `Problem.draw`."""
        blank, signal = self.symbols, self.symbols + 1
        shown = rng.integers(self.symbols, size=(self.memory, count))
        inputs = np.full((self.length + 2 * self.memory, count), blank)
        targets = np.full_like(inputs, blank)
        inputs[: self.memory] = shown
        inputs[-self.memory - 1] = signal
        targets[-self.memory :] = shown
        return Sequences(inputs, targets)


@dataclass(frozen=True)
class Parity(Problem):
    """Say after each bit whether the ones so far are odd.

    At every step, not at the last alone: that single answer depends on all bits at once, so that
    no gradient leads to it and longer strings are not learned. Here the short strings at the
    beginning teach the rule, which then must hold for `length` steps. Who remembers nothing says
    that both are as likely and loses ln 2.

    Args:
        length: T, at least 1.
    """

    input_size: ClassVar[int] = 2
    output_size: ClassVar[int] = 2

    @property
    def chance(self) -> float:
        """See `Problem.chance`."""
        return math.log(2)

    @property
    def asked(self) -> int:
        """See `Problem.asked`."""
        return self.length

    @property
    def reach(self) -> int:
        """One: an answer is the one before it and a bit."""
        return 1

    def draw(self, rng: np.random.Generator, count: int) -> Sequences:
        """See `Problem.draw`."""
        bits = rng.integers(2, size=(self.length, count))
        return Sequences(bits, bits.cumsum(0) % 2)


@dataclass(frozen=True)
class DelayedRecall(Problem):
    """Name the first symbol after `length` more, the distractors.

    The distractors are of the same eight symbols: nothing but its place tells the first one from
    them. Who remembers nothing guesses and loses ln 8.

    Args:
        length: steps from the symbol to its naming, at least 1: T is one more.
    """

    symbols: ClassVar[int] = 8
    input_size: ClassVar[int] = symbols
    output_size: ClassVar[int] = symbols

    @property
    def chance(self) -> float:
        """See `Problem.chance`."""
        return math.log(self.symbols)

    def draw(self, rng: np.random.Generator, count: int) -> Sequences:
        """See `Problem.draw`."""
        inputs = rng.integers(self.symbols, size=(self.length + 1, count))
        return Sequences(inputs, inputs[:1])


def make_problem(name: Name, length: int) -> Problem:
    """The problem of this name; raises ConfigError where it cannot be so short."""
    kinds = {"adding": Adding, "copy": Copy, "parity": Parity, "delayed-recall": DelayedRecall}
    return kinds[name](length)


def held_out(problem: Problem, count: int, seed: int) -> Sequences:
    """`count` sequences that no training sees; the same for the same seed, at least 0."""
    return problem.draw(_generator(_HELD_OUT, seed), count)


def training_generator(seed: int, rank: int, batch: int) -> np.random.Generator:
    """What draws a process's batch of this number in a training with this seed."""
    return _generator(_TRAINING, seed, rank, batch)


# Seeds begin with what they are for, so that nothing that is learned from is measured on.
_TRAINING, _HELD_OUT = 0, 1


def _generator(*seeds: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seeds)))
