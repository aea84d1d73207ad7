"""The diagnosis at the command line."""

import json
import tomllib

import pytest

from cli.calling import call, mistake
from loopwise.diagnose.report import Report
from tasks.synthetic.runs import SMALL


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory):
    """A run of a plain network on a task that is too long for it."""
    out = tmp_path_factory.mktemp("runs") / "adding"
    settings = [s for s in SMALL if not s.startswith("data.length")]
    small = [word for s in settings for word in ("--set", s)]
    ill = ["--length", 60, "--set", "model.cell=rnn", "--watch", 2]
    called = call("train", "adding", "--out", out, *small, *ill)
    assert called.status == 0, called.err
    return out


def test_a_run_is_diagnosed_and_shown(forgetful, tmp_path):
    called = call("diagnose", forgetful, "--plots", tmp_path / "plots")
    assert called.status == 0, called.err
    assert "memory is too short for this data" in called.out
    assert f"try: loopwise diagnose {forgetful} --fix" in called.out
    report = Report.from_json((forgetful / "report.json").read_bytes())
    assert report.findings.names()[0] == "short memory for this data"
    assert report.training.step == 8
    assert "too short for this data" in (forgetful / "report.html").read_text()
    kinds = {path.suffix for path in (tmp_path / "plots").iterdir()}
    assert kinds == {".png", ".svg"}


def test_the_cure_is_written_and_trains(forgetful, tmp_path):
    called = call("diagnose", forgetful, "--fix", "--quick", "--out", tmp_path / "there")
    assert "changed: model.cell=gru  model.chrono=60" in called.out
    fixed = tomllib.loads((forgetful / "fixed.toml").read_text())
    assert (fixed["model"]["cell"], fixed["model"]["chrono"]) == ("gru", 60)
    assert (tmp_path / "there" / "report.html").exists()
    words = called.out.splitlines()[-1].removeprefix("train: loopwise ").split()
    assert words[:4] == ["train", "adding", "--config", str(forgetful / "fixed.toml")]
    again = call(*words[:-1], tmp_path / "again")
    assert again.status == 0, again.err
    well = call("diagnose", tmp_path / "again", "--json")
    assert Report.from_json(well.out).layers[0].cell == "gru"


def test_text_other_than_the_runs(trained, text):
    called = call("diagnose", trained, text / "a.txt", "--json", "--checkpoint", "best", "--quick")
    assert called.status == 0, called.err
    assert json.loads(called.out)["dependence"]["kind"] == "mutual information"


@pytest.mark.parametrize("kind", ["translator", "waiting"])
def test_a_translator(kind, request, tmp_path):
    run = request.getfixturevalue(kind)
    called = call("diagnose", run, "--json", "--out", tmp_path)
    assert called.status == 0, called.err
    layers = [layer.name for layer in Report.from_json(called.out).layers]
    both = ["encoder.0.l0"] if kind == "waiting" else ["encoder.0.l0", "encoder.0.l0_reverse"]
    assert layers == [*both, "decoder.0.l0"]


def test_mistakes(forgetful, trained, translator, tmp_path):
    assert "the run's own pairs: give no files" in mistake("diagnose", translator, "p.tsv")
    assert "not a run" in mistake("diagnose", tmp_path)
    assert "makes up its data" in mistake("diagnose", forgetful, "some.txt")
    assert "no checkpoint '999'" in mistake("diagnose", forgetful, "--checkpoint", "999")
    assert "does not exist" in mistake("diagnose", trained, tmp_path / "missing.txt")
