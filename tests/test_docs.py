"""README and docs cannot rot: what they show is run here.

In each page the ``python`` and ``sh`` blocks run in order, in one folder that holds a ``text.txt``;
Python blocks share their names. ``toml`` blocks are options of a task, of a language model unless
they say another, and become the file ``small.toml``. Other blocks (``console``, ``text``) are shown
only.
"""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from loopwise.diagnose.rules import RULES
from loopwise.tasks.registry import config_class

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://)([^)#]*)(?:#[^)]*)?\)")


def blocks(page):
    return BLOCK.findall(page.read_text(encoding="utf-8"))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where a page's examples run: with some text, and without the environment's data sets."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOOPWISE_DATA", raising=False)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def run_python(code, page, names):
    exec(compile(code, page.name, "exec"), names)


def run_shell(code):
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{code}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page_run(page, folder):
    names = {"__name__": "__main__"}
    for language, code in blocks(page):
        if language == "python":
            run_python(code, page, names)
        elif language == "sh":
            run_shell(code)
        elif language == "toml":
            options = tomllib.loads(code)
            config_class(options.get("task", "lm")).parse(options, where=page.name)
            (folder / "small.toml").write_text(code, encoding="utf-8")


def test_pages_have_examples():
    languages = [language for page in PAGES for language, _ in blocks(page)]
    assert {"python", "sh", "toml"} <= set(languages)
    assert set(languages) <= {"python", "sh", "toml", "console", "text"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_to_files(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in LINK.findall(text):
        assert not target or (page.parent / target).exists(), target


def test_the_rules_of_a_diagnosis_are_those_of_the_page():
    table = re.findall(
        r"^\| `([^`]+)` \| [^|]+ \| (above|below) ([^ |]+) \| ([^|]+) \|$",
        (ROOT / "docs" / "diagnosis.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    there = [(name, side == "below", float(value), reason) for name, side, value, reason in table]
    assert there == [(rule.name, rule.below, rule.threshold, rule.reason) for rule in RULES]


@pytest.mark.parametrize("code", ["1 / 0", "import loopwise\nloopwise.LSTM(1, -1)"])
def test_a_broken_python_example_would_be_found(code, folder):
    with pytest.raises((ZeroDivisionError, ValueError)):
        run_python(code, ROOT / "README.md", {})


def test_a_broken_shell_example_would_be_found(folder):
    with pytest.raises(AssertionError, match="no such"):
        run_shell("loopwise generate no-such-run")


@pytest.mark.parametrize("file", sorted(ROOT.glob("examples/*.toml")), ids=lambda file: file.stem)
def test_example_configurations_are_valid(file):
    config_class(tomllib.loads(file.read_text())["task"]).load(file)


@pytest.mark.parametrize("file", sorted(ROOT.glob("examples/*_*.py")), ids=lambda file: file.stem)
def test_an_example_runs_from_its_first_cell_to_its_last(file, folder):
    environment = {**os.environ, "STEPS": "10", "OUT": str(folder / "out")}
    done = subprocess.run(
        [sys.executable, file], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert list((folder / "out").glob("*.safetensors"))
