"""The demo of the Makefile, with few steps."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout


def test_forecasting(tmp_path):
    (tmp_path / ".installed").touch()
    given = (f"VENV={tmp_path}", f"BIN={Path(sys.executable).parent}", f"FORECAST={tmp_path}/demo")
    # within `make test` it would say which folder it enters
    commands = run("make", "--no-print-directory", "--dry-run", "demo-forecast", *given)
    training = "train forecast --config"
    assert commands.count(training) == 1
    few = "train forecast --set train.max_steps=2 --set train.threads=1 --config"
    told = run("bash", "-euo", "pipefail", "-c", commands.replace(training, few))
    assert "before-2005.csv on " in told  # the six years are a test of their own
    assert "6 windows of 12 steps" in told
    made = {path.name for path in (tmp_path / "demo").iterdir()}
    assert {"run", "test.png", "forecast.png", "forecast.csv"} < made
    assert len((tmp_path / "demo/forecast.csv").read_text().splitlines()) == 13
