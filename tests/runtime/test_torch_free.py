"""Deployment must not need torch: checked in a fresh interpreter that has used the runtime."""

import subprocess
import sys

import pytest

from runtime.tiny import loaded

USE = """
import sys
from loopwise.codec.corpus import Source
from loopwise.runtime.cache import NeuralCache
from loopwise.export.precision import lower
from loopwise.runtime.language_model import LoadedLanguageModel
from loopwise.runtime.load import load

model = load(sys.argv[1])
model.generate("a", 3, seed=0)
model.score(["a text"])
model.score_source(Source("a file", b"a text"), cache=NeuralCache())
session = model.stream()
session.restore(session.snapshot())
LoadedLanguageModel(lower(model.bundle, "int8", None, float("inf"))).score(["a text"])
"""
CHECK = """
heavy = {"torch", "lightning", "lightning_fabric", "tokenizers"} & sys.modules.keys()
sys.exit(f"imported: {sorted(heavy)}" if heavy else 0)
"""


def run(path, code):
    return subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )


@pytest.fixture
def path(tmp_path):
    loaded().save(tmp_path / "bundle.safetensors")
    return tmp_path


def test_the_runtime_imports_no_torch(path):
    done = run(path, USE + CHECK)
    assert done.returncode == 0, done.stderr


def test_the_check_can_fail(path):
    done = run(path, USE + "import torch" + CHECK)
    assert done.returncode == 1
    assert "imported: ['torch']" in done.stderr
