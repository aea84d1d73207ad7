"""The command line in this process and in others."""

import io
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest.mock import patch

from loopwise.cli import main

SMALL = {
    "model.hidden_size": 16,
    "model.embedding_size": 6,
    "train.batch_size": 4,
    "train.window": 8,
    "train.valid_batch": 1,
    "train.lr": 0.01,
    "train.log_every": 1,
    "train.threads": 1,
    "train.device": "cpu",
}


@dataclass(frozen=True)
class Called:
    """What a call of the command came to."""

    status: int
    out: str
    err: str


def call(*arguments: object, stdin: bytes = b"") -> Called:
    """Run ``loopwise`` with these arguments in this process."""
    out, err = io.StringIO(), io.StringIO()
    with (
        patch.object(sys, "argv", ["loopwise", *map(str, arguments)]),
        patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin))),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 0
    return Called(status, out.getvalue(), err.getvalue())


def sets(**changes: object) -> list[str]:
    """The options of a small training; a double underscore stands for the dot of a key."""
    settings = {**SMALL, **{name.replace("__", "."): value for name, value in changes.items()}}
    return [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]


def mistake(*arguments: object, status: int = 1, stdin: bytes = b"") -> str:
    """The one message of a call that must fail: no output, no traceback."""
    called = call(*arguments, stdin=stdin)
    assert called.status == status, called
    assert "Traceback" not in called.err
    first, _, rest = called.err.partition("error: " if status == 1 else "Error: ")
    assert status == 2 or not first, called.err
    return rest.strip()


def command(*arguments: object) -> list[str]:
    """The same as a command for another process."""
    return [sys.executable, "-m", "loopwise", *map(str, arguments)]


def run(*arguments: object, **options) -> subprocess.CompletedProcess[str]:
    """Run ``loopwise`` in another process."""
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=120, check=False, **options
    )
