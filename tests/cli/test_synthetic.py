"""The synthetic tasks at the command line: train, evaluate, export, config."""

import json
import tomllib

import numpy as np
import pytest

from cli.calling import call, mistake
from loopwise.runs import Run
from loopwise.runtime.load import load
from loopwise.tasks.synthetic.measure import evaluate
from loopwise.tasks.synthetic.problems import make_problem
from tasks.synthetic.runs import NAMES, SMALL

SETS = [word for setting in SMALL for word in ("--set", setting)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of each task."""
    folder = tmp_path_factory.mktemp("runs")
    for name in NAMES:
        called = call("train", name, "--out", folder / name, *SETS)
        assert called.status == 0, called.err
        assert f"{name}: length 6, loss by chance" in called.out
        assert "chance " in called.out
        assert "solved " in called.out
        assert called.out.endswith(f"try: loopwise evaluate {folder / name}\n")
    return folder


def test_the_help_lists_all_tasks():
    out = call("train", "--help").out
    for name in ("lm", *NAMES):
        assert f"\n  {name} " in out
        assert f"`loopwise config {name}`" in " ".join(call("train", name, "--help").out.split())
    assert "..." not in out.replace("ARGS]...", "")


@pytest.mark.parametrize("name", NAMES)
def test_config_prints_all_options_of_a_task(name):
    printed = tomllib.loads(call("config", name, "--set", "data.length=9").out)
    assert printed["task"] == name
    assert printed["data"]["length"] == 9


@pytest.mark.parametrize("name", NAMES)
def test_evaluate_draws_fresh_sequences(name, runs):
    out = call("evaluate", runs / name, "--sequences", 30, "--seed", 7, "--json").out
    found = json.loads(out)
    given = {"task": name, "length": 6, "sequences": 30, "seed": 7}
    problem = make_problem(name, 6)
    assert found == {**given, **evaluate(load(runs / name), problem, 30, 7)}
    other = json.loads(call("evaluate", runs / name, "--json").out)
    assert (other["sequences"], other["seed"]) == (1000, 1)
    assert other["loss"] != found["loss"]
    head, *rows = call("evaluate", runs / name).out.splitlines()
    assert head == f"{name}, length 6, 1,000 sequences"
    names = [row.split()[0] for row in rows]
    assert names[:4] == ["loss", "chance", "optimal", "solved"]
    assert float(rows[0].split()[1]) == pytest.approx(other["loss"], rel=1e-3)


def test_length_is_an_option_that_a_run_keeps(tmp_path):
    out = tmp_path / "run"
    one = ("--set", "train.max_steps=1")
    assert call("train", "parity", "--length", 4, "--out", out, *SETS[2:], *one).status == 0
    assert tomllib.loads(Run(out).config_path.read_text())["data"]["length"] == 4
    again = ("train", "parity", "--out", out, "--resume")
    assert call(*again, "--set", "train.max_steps=2").status == 0
    assert "Parity(length=4), not Parity(length=5)" in mistake(*again, "--length", 5)
    assert "holds a run already" in mistake("train", "parity", "--out", out, *SETS)
    assert call("train", "adding", "--out", out, "--overwrite", *SETS, *one).status == 0


def test_a_configuration_file_begins_and_continues_a_run(tmp_path):
    file, out = tmp_path / "c.toml", tmp_path / "run"
    file.write_text(call("config", "copy", *SETS, "--set", "train.max_steps=1").out)
    given = ("train", "copy", "--config", file, "--out", out)
    assert call(*given).status == 0
    assert Run(out).config_path.read_text() == file.read_text()
    assert call(*given, "--resume", "--set", "train.max_steps=2").status == 0
    file.write_text(file.read_text().replace("length = 6", "length = 7"))
    assert f"data.length: the run has 6, {file} says 7" in mistake(*given, "--resume")


@pytest.mark.parametrize("name", ["adding", "parity"])
def test_export_in_a_lower_precision_is_measured_on_the_task(name, runs, tmp_path):
    path = tmp_path / "b.safetensors"
    called = call("export", runs / name, path, "--dtype", "bfloat16", "--limit", 1)
    assert called.status == 0, called.err
    assert f"measured on 20 sequences of {name}, held out" in called.out
    low = load(path)
    assert low.info["precision"]["metric"] == "loss"
    assert 0 < low.info["precision"]["largest_difference"] < 0.5
    x = np.zeros((6, 1, 2), np.float32) if name == "adding" else np.zeros((6, 1), int)
    assert np.abs(low.run(x) - load(runs / name).run(x)).max() < 0.5
    said = mistake("export", runs / name, path, "--overwrite", "--dtype", "int8", "--measure-on", 1)
    assert "leave it out" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "adding", "--out", "NEW", "--length", 1], "length 1: adding needs a step in"),
        (["train", "copy", "--out", "NEW", "--length", 0], "data.length: must be greater than"),
        (["train", "copy", "--out", "NEW", "--set", "data.lenght=3"], "did you mean 'data.length'"),
        (
            ["train", "copy", "--out", "NEW", "--set", "data.epoch_sequences=3"],
            "an epoch has 3 sequences",
        ),
        (
            ["train", "copy", "--out", "RUN", "--resume"],
            "for the task 'parity'; expected 'copy'",
        ),
        (["train", "copy", "--out", "NEW", "--resume"], "NEW: not a run: no such directory"),
        (["train", "copy", "--out", "RUN", "--resume", "--overwrite"], "exclude each other"),
        (["evaluate", "RUN", "text.txt"], "RUN: a model of a synthetic task: it takes no FILE"),
        (["evaluate", "RUN", "--cache", 9], "RUN: a model of a synthetic task: leave out --cache"),
        (["evaluate", "BUNDLE"], "BUNDLE: not the run of a synthetic task"),
        (["generate", "RUN"], "RUN: a model of a synthetic task, no language model"),
        (["score", "RUN"], "RUN: a model of a synthetic task, no language model"),
        (["evaluate", "TEXTS"], "TEXTS: a language model: give FILE..."),
        (["evaluate", "TEXTS", "f", "--seed", 3], "a language model: leave out --seed"),
    ],
    ids=str,
)
def test_mistakes(arguments, message, runs, trained, tmp_path):
    names = {
        "NEW": tmp_path / "new",
        "RUN": runs / "parity",
        "BUNDLE": runs / "parity/bundle.safetensors",
        "TEXTS": trained,
    }
    for name, path in names.items():
        arguments = [str(path) if argument == name else argument for argument in arguments]
        message = message.replace(f"{name}:", f"{path}:")
    said = mistake(*arguments)
    assert message in said
    assert "\n" not in said
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "ading"], "No such command 'ading'. Did you mean 'adding'"),
        (["train", "copy"], "Missing option '--out'"),
        (
            ["config", "dance"],
            "'dance' is not one of 'lm', 'forecast', 'translation', 'speech', 'adding'",
        ),
        (["evaluate", "x", "--sequences", 0], "'--sequences': Input should be greater than"),
    ],
)
def test_a_misspelt_command_line(arguments, message):
    assert message in mistake(*arguments, status=2)
