"""The benchmarks run, and write what they measured. Their figures are no business of a test."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.parametrize(
    "name",
    [
        "layers",
        "streaming",
        "forecasting",
        "checkpoint",
        "looking",
        "transducer",
        "translation",
        "speech",
    ],
)
def test_a_quick_run_prints_a_table_and_writes_json(name, tmp_path):
    command = [sys.executable, str(BENCHMARKS / f"{name}.py"), "--quick", "--results", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert name in done.stdout
    (file,) = tmp_path.glob("*.json")
    rows = json.loads(file.read_text())["results"]
    figures = [value for row in rows for value in row.values() if not isinstance(value, str)]
    assert figures
    assert all(map(math.isfinite, figures))  # a difference of two times may be below 0
