"""``loopwise doctor``: what this installation has, and what runs fast on it."""

import json
import os
import platform
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

import typer

from loopwise.cli.options import Json
from loopwise.errors import EXTRAS, LoopwiseError

VARIABLES = ("LOOPWISE_BACKEND", "LOOPWISE_ISA", "LOOPWISE_DATA")
"""The environment variables that loopwise reads."""

NO_ENGINE = (
    "install a C++ compiler, then loopwise again, with pip's --force-reinstall --no-cache-dir"
)


def doctor(as_json: Json = False) -> None:
    """Say what is installed: engine, torch and extras.

    The exit status is 1 where the environment asks for what this machine or installation lacks.
    """
    mistakes: list[str] = []

    def attempt(function: Callable[[], Any]) -> Any:
        try:
            return function()
        except LoopwiseError as error:
            mistakes.append(str(error))
            return None

    facts = _facts(attempt)
    if as_json:
        print(json.dumps({**facts, "mistakes": mistakes}, indent=2, ensure_ascii=False))
    else:
        _print(facts, mistakes)
    if mistakes:
        raise typer.Exit(1)


def _facts(attempt: Callable[[Callable[[], Any]], Any]) -> dict[str, Any]:
    import loopwise
    from loopwise import engine
    from loopwise.datasets import VARIABLE, root
    from loopwise.nn.backend import current_backend

    if os.environ.get(VARIABLE):
        attempt(root)
    wanted = engine.available() or os.environ.get("LOOPWISE_ISA")
    return {
        "loopwise": loopwise.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "threads": engine.threads(),
        "engine": {
            "isa": attempt(engine.isa) if wanted else None,
            "isas": engine.isas(),
            "missing": engine.MISSING or None,
        },
        "backend": attempt(current_backend),
        "torch": _torch(),
        "packages": {name: _version(name) for name in EXTRAS if name != "torch"},
        "environment": {
            name: value for name, value in os.environ.items() if name.startswith("LOOPWISE_")
        },
    }


def _torch() -> dict[str, Any] | None:
    """Torch, imported only where it is installed; None where it is not."""
    if find_spec("torch") is None:
        return None
    try:
        torch = import_module("torch")
    except Exception as error:  # a broken installation may raise anything
        return {"version": _version("torch"), "error": f"{type(error).__name__}: {error}"}
    cuda = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {"version": torch.__version__, "threads": torch.get_num_threads(), "cuda": cuda}


def _version(module: str) -> str | None:
    if find_spec(module) is None:
        return None
    try:
        return version(module)
    except PackageNotFoundError:  # a folder that pip knows nothing of
        return "of unknown version"


def _print(facts: Mapping[str, Any], mistakes: list[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in {
        **{name: facts[name] for name in ("loopwise", "python", "platform", "threads")},
        "engine": _engine_line(facts["engine"]),
        "backend": facts["backend"] or "none: see below",
        "torch": _torch_line(facts["torch"]),
        **{name: found or _missing(name) for name, found in facts["packages"].items()},
        **{name: _variable_line(name, value) for name, value in facts["environment"].items()},
    }.items():
        table.add_row(name, Text(str(value)))  # no markup in it
    Console().print(table)
    for mistake in mistakes:
        print(f"error: {mistake}")


def _engine_line(engine: Mapping[str, Any]) -> str:
    if engine["missing"]:
        return f"missing ({engine['missing']}): {NO_ENGINE}"
    offered = f"this machine offers {', '.join(engine['isas'])}"
    return f"{engine['isa'] or 'none: see below'} ({offered})"


def _torch_line(torch: Mapping[str, Any] | None) -> str:
    if torch is None:
        return _missing("torch")
    if "error" in torch:
        return f"{torch['version']}, cannot be imported: {torch['error']}"
    devices = f", {', '.join(torch['cuda'])}" if torch["cuda"] else ", no CUDA device"
    return f"{torch['version']}, {torch['threads']} threads{devices}"


def _missing(module: str) -> str:
    return f"missing: pip install 'loopwise[{EXTRAS[module]}]'"


def _variable_line(name: str, value: str) -> str:
    return value if name in VARIABLES else f"{value} (not read; known are {', '.join(VARIABLES)})"
