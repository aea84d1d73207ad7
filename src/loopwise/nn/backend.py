"""Which implementation runs the recurrences: one setting, from the environment or from code.

``native``
    the compiled engine, where this installation has it;
``torch``
    torch's own kernels where they can do what is asked, the reference elsewhere;
``reference``
    always the definition in `loopwise.nn.reference`: slow, and right by definition.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from loopwise import engine
from loopwise.config import nearest
from loopwise.errors import ConfigError

BACKENDS = ("native", "torch", "reference")
AVAILABLE = BACKENDS if engine.available() else BACKENDS[1:]

_chosen: ContextVar[str | None] = ContextVar("loopwise_backend", default=None)


def current_backend() -> str:
    """The backend in force: the innermost `backend` block, else ``LOOPWISE_BACKEND``, else native,
    or torch where there is no engine.

    Raises:
        ConfigError: the environment names a backend that does not exist or is not installed.
    """
    chosen = _chosen.get()
    if chosen is not None:
        return chosen
    return _check(os.environ.get("LOOPWISE_BACKEND") or AVAILABLE[0], "LOOPWISE_BACKEND")


@contextmanager
def backend(name: str) -> Generator[None]:
    """Run what is inside the ``with`` block on one backend.

    Args:
        name: ``"native"``, ``"torch"`` or ``"reference"``.

    Raises:
        ConfigError: no such backend, or it is not part of this installation.
    """
    token = _chosen.set(_check(name, "backend"))
    try:
        yield
    finally:
        _chosen.reset(token)


def _check(name: str, where: str) -> str:
    if name not in BACKENDS:
        raise ConfigError(
            f"{where}={name!r}: expected one of {', '.join(BACKENDS)}{nearest(name, BACKENDS)}"
        )
    if name not in AVAILABLE:
        raise ConfigError(
            f"{where}={name!r}: this installation has no native engine; "
            f"it offers {', '.join(AVAILABLE)}"
        )
    return name
