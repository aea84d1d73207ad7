"""What becomes of data that cannot be used, and how much of it was left out."""

from dataclasses import Field, dataclass, fields
from typing import Any, ClassVar, Literal, TypeAlias

from loopwise.errors import ConfigError

Invalid: TypeAlias = Literal["error", "skip"]
"""``"error"`` raises DataError with the place of what cannot be used, ``"skip"`` leaves it out and
counts it."""


def check_invalid(invalid: object) -> None:
    """Raise ConfigError if this is no `Invalid`."""
    if invalid not in ("error", "skip"):
        raise ConfigError(f"invalid={invalid!r}: must be 'error' or 'skip'")


@dataclass(frozen=True)
class DroppedCounts:
    """How much was left out, by reason; ``str()`` tells it in one line.

    The fields of a subclass are its reasons: numbers, each with a ``"text"`` in its metadata that
    follows the number in a message. Its `noun` is what one of the things is called.
    """

    noun: ClassVar[str]

    @property
    def total(self) -> int:
        """The sum over all reasons."""
        return sum(count for count, _ in self._counted())

    def __str__(self) -> str:
        parts = [f"{count:,} {reason.metadata['text']}" for count, reason in self._counted()]
        if not parts:
            return f"no {self.noun} dropped"
        plural = "" if self.total == 1 else "s"
        return f"{self.total:,} {self.noun}{plural} dropped: {', '.join(parts)}"

    def _counted(self) -> list[tuple[int, Field[Any]]]:
        """The counts above zero, with their reasons."""
        counts = [(getattr(self, reason.name), reason) for reason in fields(self)]
        return [(count, reason) for count, reason in counts if count]
