"""``pytest -p sanitized``: run on the engine of ``make sanitize`` in place of the installed one."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

NAME = "loopwise._native"

assert NAME not in sys.modules, "too late: loopwise has its engine already"
(path,) = (Path(__file__).parents[1] / "build" / "sanitize").glob("_native.*.so")
spec = spec_from_file_location(NAME, path)
assert spec is not None
assert spec.loader is not None
sys.modules[NAME] = module_from_spec(spec)
spec.loader.exec_module(sys.modules[NAME])


def pytest_report_header():
    return f"engine: {path}"
