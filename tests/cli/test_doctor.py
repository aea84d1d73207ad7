"""`loopwise doctor`: what is installed, what is missing, what the environment asks for."""

import json
import os
import subprocess
import sys

import pytest
import torch

import loopwise
from cli.calling import call, run
from loopwise import engine
from loopwise.errors import EXTRAS


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name in os.environ:
        if name.startswith("LOOPWISE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")


def doctor(code: str = "", **environment) -> subprocess.CompletedProcess[str]:
    """In another process, after some code."""
    code += (
        "\nimport sys\nfrom loopwise.cli import main\nsys.argv[1:] = ['doctor', '--json']\nmain()"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_it_prints_a_line_for_everything():
    called = call("doctor")
    assert (called.status, called.err) == (0, "")
    lines = dict(line.strip().split(maxsplit=1) for line in called.out.splitlines())
    assert lines["loopwise"] == loopwise.__version__
    assert lines["torch"].startswith(f"{torch.__version__}, {torch.get_num_threads()} threads")
    assert set(EXTRAS) < set(lines)
    if engine.available():
        assert lines["engine"].startswith(f"{engine.isa()} (this machine offers ")
        assert lines["backend"] == "native"


def test_json_has_the_same_facts():
    facts = json.loads(call("doctor", "--json").out)
    assert facts["engine"]["isas"] == engine.isas()
    assert facts["torch"]["version"] == torch.__version__
    assert set(facts["packages"]) == set(EXTRAS) - {"torch"}
    assert facts["threads"] == engine.threads()
    assert facts["environment"] == {}
    assert facts["mistakes"] == []


@pytest.mark.parametrize("absent", ["torch", "tokenizers"])
def test_a_missing_package_is_no_mistake(absent):
    done = doctor(f"import sys\nsys.modules[{absent!r}] = None")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert {"torch": facts["torch"], **facts["packages"]}[absent] is None


def test_what_is_missing_is_told_with_the_way_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    monkeypatch.setitem(sys.modules, "soxr", None)
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(engine, "_native", None)
    monkeypatch.setattr(engine, "MISSING", "no such module")
    called = call("doctor")
    assert called.status == 0
    out = " ".join(called.out.split())
    assert "torch missing: pip install 'loopwise[train]'" in out
    assert "tokenizers missing: pip install 'loopwise[text]'" in out
    assert "soxr missing: pip install 'loopwise[speech]'" in out
    assert "engine missing (no such module): install a C++ compiler, then loopwise again" in out


def test_a_torch_that_cannot_be_imported(tmp_path):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise OSError('libtorch.so: not found')")
    done = doctor(PYTHONPATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["torch"]["error"] == "OSError: libtorch.so: not found"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("LOOPWISE_BACKEND", "naitve", "LOOPWISE_BACKEND='naitve': expected one of"),
        ("LOOPWISE_DATA", __file__, "is a file, not a folder"),
    ],
)
def test_what_the_environment_asks_for_in_vain(monkeypatch, name, value, message):
    monkeypatch.setenv(name, value)
    called = call("doctor")
    assert called.status == 1
    assert f"error: {name}" in called.out
    assert message in called.out
    assert message in json.loads(call("doctor", "--json").out)["mistakes"][0]


@pytest.mark.skipif(not engine.available(), reason="no native engine here")
def test_an_instruction_set_that_is_not_there():
    done = run("doctor", env={**os.environ, "LOOPWISE_ISA": "avx3"})
    assert done.returncode == 1
    assert "error: LOOPWISE_ISA='avx3': expected one of" in done.stdout
    assert "none: see below (this machine offers" in done.stdout


def test_an_instruction_set_of_no_engine(monkeypatch):
    monkeypatch.setattr(engine, "_native", None)
    monkeypatch.setattr(engine, "MISSING", "it was not built")
    engine._engine.cache_clear()
    monkeypatch.setenv("LOOPWISE_ISA", "avx2")
    called = call("doctor")
    assert called.status == 1
    assert "error: this installation has no native engine: it was not built" in called.out


def test_variables_are_shown_and_those_nothing_reads_are_marked(monkeypatch):
    monkeypatch.setenv("LOOPWISE_BACKEND", "reference")
    monkeypatch.setenv("LOOPWISE_ISO", "[bold]avx2")
    called = call("doctor")
    out = " ".join(called.out.split())
    assert called.status == 0
    assert "backend reference" in out
    assert "LOOPWISE_BACKEND reference" in out
    assert "LOOPWISE_ISO [bold]avx2 (not read; known are LOOPWISE_BACKEND," in out
