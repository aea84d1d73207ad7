"""Deployment must not need torch: checked in a fresh interpreter that has used the runtime."""

import shutil
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from loopwise.runs import Run
from loopwise.tasks.forecast.config import ForecastConfig
from runtime.forecasters import SMALL, forecaster, waves
from runtime.tiny import loaded
from runtime.translators import translator

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
FORECAST = """
import sys, warnings
from pathlib import Path
import polars as pl
import loopwise
from loopwise.cli import main

warnings.simplefilter("error")
folder = Path(sys.argv[1])
file, bundle = str(folder / "table.csv"), str(folder / "f.safetensors")
table = pl.read_csv(file)

deployed, again = loopwise.load(bundle), loopwise.Forecaster.load(bundle)
for model in (deployed, again):
    given = {"frame" if model is deployed else "df": table}
    model.predict(h=9, level=80, **given)
    model.simulate(n_paths=2, h=8, **given)
for stream in (deployed.stream(table), again.stream(table), again.stream("s0")):
    stream.update([3.0] * len(stream))
again.evaluate(table, per_series=True)
again.historical_forecasts(df=table)
again.plot(df=table, n_paths=2)
again.recalibrate(table).predict()
run, out, each = (str(folder / name) for name in ("run", "o.csv", "s.csv"))
for command in (
    ["forecast", bundle, file, "--horizon", "8", "--out", out, "--plot", str(folder / "p.png")],
    ["evaluate", bundle, file, "--per-series", each, "--plot", str(folder / "q.svg")],
    ["forecast", run, file],
    ["evaluate", run, file, "--windows", "3"],
):
    sys.argv = ["loopwise", *command]
    try:
        main()
    except SystemExit as end:
        assert end.code == 0, command
"""
TRANSLATE = """
import sys
import loopwise
from loopwise.cli import main

folder = sys.argv[1]
model, forwards = (loopwise.load(f"{folder}/{name}.safetensors") for name in ("t", "w"))
model.translations(["der hund", ""], n_best=2)
model.score("der hund", "the dog")
str(model.align("der hund", "the dog"))
stream = forwards.stream()
stream.push("der kleine hund") + stream.finish()
for command in (["translate", "--input"], ["evaluate"], ["score"]):
    sys.argv = ["loopwise", command[0], f"{folder}/t.safetensors", *command[1:], f"{folder}/p.tsv"]
    try:
        main()
    except SystemExit as end:
        assert end.code == 0, command
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


def test_a_forecaster_imports_no_torch(tmp_path):
    panel = waves()
    forecaster(tmp_path, panel)
    ids = np.repeat(panel.ids, panel.lengths)
    table = {"unique_id": ids, "ds": panel.all_stamps(), "y": panel.values[:, 0]}
    pl.DataFrame(table).write_csv(tmp_path / "table.csv")
    kept = Run.create(tmp_path / "run")
    given = [*SMALL, f"data.train={tmp_path}/table.csv"]
    kept.write_config(ForecastConfig.load(None, given).to_toml())
    shutil.copy(tmp_path / "f.safetensors", kept.bundle_path)
    done = run(tmp_path, FORECAST + CHECK)
    assert done.returncode == 0, done.stderr
    assert "windows lie in what the model has learned from" in done.stdout
    assert {"o.csv", "p.png", "q.svg", "s.csv"} < {file.name for file in tmp_path.iterdir()}


def test_a_translator_imports_no_torch(tmp_path):
    translator("words").save(tmp_path / "t.safetensors")
    translator("words", forwards=True).save(tmp_path / "w.safetensors")
    (tmp_path / "p.tsv").write_text("der hund\tthe dog\n", encoding="utf-8")
    done = run(tmp_path, TRANSLATE + CHECK)
    assert done.returncode == 0, done.stderr
    assert "BLEU" in done.stdout


def test_the_check_can_fail(path):
    done = run(path, USE + "import torch" + CHECK)
    assert done.returncode == 1
    assert "imported: ['torch']" in done.stderr
