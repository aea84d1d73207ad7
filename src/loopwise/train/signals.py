"""Ctrl-C and SIGTERM, turned into a clean end."""

import os
import signal
import socket
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any, Self

SAME_REQUEST = 1.0
"""Seconds within which a second signal to several processes is no second request: a scheduler may
signal both the processes and torchrun, which passes it on."""

_REQUESTS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """Raised by the handler inside `Interrupts.at_once`; no task may take it for an error."""


class Interrupts:
    """While entered, the first SIGINT or SIGTERM only sets `requested`; a second one ends at once.

    Alone, a process raises KeyboardInterrupt at a second SIGINT. One of several may wait in torch
    for another that hangs, where no handler runs: it is ended by the second signal, of either kind
    since torchrun passes on a second Ctrl-C as SIGTERM.

    Handlers belong to the main thread; in another one nothing is installed. The handlers found are
    put back on leaving, but for SIGTERM's after `let_speak`.

    Args:
        announce: say on standard error that the signal was understood.
        alone: whether this is the only process.
    """

    def __init__(self, announce: bool = True, alone: bool = True):
        self.requested = False
        self._announce, self._alone = announce, alone
        self._raise = self._speaks = False
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _REQUESTS:
                before = signal.signal(number, self._handle)
                self._stack.callback(self._put_back, number, before)
            if not self._alone:
                self._stack.enter_context(_ended_by_a_second(self._announce))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def let_speak(self) -> None:
        """Ignore SIGTERM after leaving, too: this process is about to end, and to say why.

        Once a process has died torchrun sends it to the others, which may still be looking for
        their words; half a minute later it kills them.
        """
        self._speaks = True

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

    def _put_back(self, number: int, before: Any) -> None:
        ignored = self._speaks and number == signal.SIGTERM
        signal.signal(number, signal.SIG_IGN if ignored else before)

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self.requested and number == signal.SIGINT and self._alone:
            raise KeyboardInterrupt
        if not self.requested and self._announce:
            _say("stopping after this step; once more stops at once")
        self.requested = True
        if self._raise:
            raise Interrupted


@contextmanager
def _ended_by_a_second(announce: bool) -> Generator[None]:
    """Let a thread end the process at a second signal, whatever the main thread waits for."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def watch() -> None:
        first = None
        while number := reader.recv(1):
            if number[0] not in _REQUESTS:
                continue
            now = time.monotonic()
            first = now if first is None else first
            if now - first >= SAME_REQUEST:
                if announce:
                    _say("stopped at once; the last checkpoint remains")
                os._exit(128 + number[0])

    before = signal.set_wakeup_fd(writer.fileno())  # gets the number of each signal
    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        writer.close()
        thread.join()
        reader.close()


def _say(text: str) -> None:
    # os.write: print is not safe in a handler that may have cut into another print
    os.write(2, f"\n{text}\n".encode())
