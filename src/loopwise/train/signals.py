"""Ctrl-C and SIGTERM, turned into a clean end."""

import os
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self


class Interrupted(BaseException):
    """Raised by the handler inside `Interrupts.at_once`; no task may take it for an error."""


class Interrupts:
    """While entered, the first SIGINT or SIGTERM only sets `requested`; a second SIGINT raises.

    Handlers belong to the main thread; in another one nothing is installed. The handlers found are
    put back on leaving.

    Args:
        announce: say on standard error that the signal was understood.
    """

    def __init__(self, announce: bool = True):
        self.requested = False
        self._announce = announce
        self._raise = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def at_once(self) -> Generator[None]:
        """Within, a signal raises `Interrupted`: for long work that can be done again."""
        if self.requested:
            raise Interrupted
        self._raise = True
        try:
            yield
        finally:
            self._raise = False

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not self.requested and self._announce:
            # os.write: print is not safe in a handler that may have cut into another print
            os.write(2, b"\nstopping after this step; once more stops at once\n")
        self.requested = True
        if self._raise:
            raise Interrupted
