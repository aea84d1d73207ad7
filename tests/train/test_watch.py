"""Looking inside while a model trains."""

import io
import json

import pytest
import torch
from rich.console import Console

from loopwise.runs import Run
from loopwise.tasks.registry import open_task
from tasks.synthetic.runs import config, train

SETTINGS = ("train.max_steps=8", "model.cell=rnn", "data.length=40")


def watch_records(run):
    return [record for record in Run(run).records() if record["kind"] == "watch"]


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    out = tmp_path_factory.mktemp("watched") / "run"
    text = io.StringIO()
    options = config("adding", *SETTINGS, "train.watch=2")
    from loopwise.tasks.registry import make_task
    from loopwise.train.launch import launch

    launch(options, lambda world: make_task(options, world), out, console=Console(file=text))
    return out, text.getvalue()


def test_every_so_many_steps_a_record_says_what_was_seen(watched):
    records = watch_records(watched[0])
    assert [record["step"] for record in records] == [2, 4, 6, 8]
    for record in records:
        (layer,) = record["layers"].values()
        assert len(layer["gradient"]) == 32
        assert all(value > 0 for value in layer["gradient"])
        assert layer["slope"] < 0
        assert 0 < layer["horizon"] < 40
        assert layer["saturated"].keys() == {"h"}


def test_a_finding_is_printed_once_when_it_appears(watched):
    text = " ".join(watched[1].split())
    assert text.count("its memory is too short for this data") == 1
    assert "step 2: layers.0.l0 keeps" in text


def test_the_line_of_progress_shows_clipping_and_memory(watched):
    assert "memory" in watched[1]
    assert "clipped" in watched[1]
    line = json.loads((watched[0] / "metrics.jsonl").read_text().splitlines()[3])
    assert {"grad_norm", "clipped", "memory"} <= line.keys()


def test_watching_changes_nothing(watched, tmp_path):
    train(config("adding", *SETTINGS), tmp_path / "run")
    ours, theirs = (open_task(run).model.state_dict() for run in (watched[0], tmp_path / "run"))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    assert not watch_records(tmp_path / "run")


def test_accumulated_steps_and_noise_are_watched_too(tmp_path):
    noisy = ("model.zoneout=0.1", "model.recurrent_dropout=0.2", "model.cell=lstm")
    options = config("copy", *noisy, "train.accumulate=2", "train.watch=1", "train.max_steps=2")
    train(options, tmp_path / "run")
    assert len(watch_records(tmp_path / "run")) == 2


def test_numbers_that_are_not_finite_stay_json(tmp_path):
    run = Run.create(tmp_path / "run")
    run.log({"kind": "watch", "layers": {"l0": {"gradient": [1.0, float("nan"), float("inf")]}}})
    (record,) = run.records()
    assert record["layers"]["l0"]["gradient"] == [1.0, None, None]
