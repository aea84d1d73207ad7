"""The run directory: made, opened, replaced, never taken from somebody else."""

import json
import math
import os
import subprocess
import sys

import pytest

from loopwise.errors import RunError
from loopwise.runs import Run

CONFIG = 'task = "lm"\n'


def filled(path):
    run = Run.create(path)
    run.write_config(CONFIG)
    run.log({"step": 1})
    run.bundle_path.write_bytes(b"bundle")
    (run.checkpoints / "step-00000001.json").write_text("{}")
    run.tensorboard.mkdir()
    (run.tensorboard / "events").write_bytes(b"events")
    return run


def contents(path):
    return sorted(str(p.relative_to(path)) for p in path.rglob("*") if p.is_file())


def test_a_run_is_made_with_its_parents_and_opened(tmp_path):
    run = Run.create(tmp_path / "a/b")
    assert run.checkpoints.is_dir()
    run.write_config(CONFIG)
    assert Run.open(str(tmp_path / "a/b")) == run
    assert contents(run.path) == ["config.toml"]


def test_an_empty_directory_will_do_and_so_will_what_a_death_at_once_left(tmp_path):
    Run.create(tmp_path)
    with Run.create(tmp_path).locked():
        pass
    Run.create(tmp_path)


def test_a_run_is_not_replaced_unasked(tmp_path):
    before = contents(filled(tmp_path / "run").path)
    with pytest.raises(RunError, match=r"holds a run already; .*--resume.*--overwrite"):
        Run.create(tmp_path / "run")
    assert contents(tmp_path / "run") == before


def test_overwrite_removes_what_a_training_wrote_and_nothing_else(tmp_path):
    run = filled(tmp_path / "run")
    (run.path / "notes.md").write_text("mine")
    Run.create(run.path, overwrite=True)
    assert contents(run.path) == [".lock", "notes.md"]
    assert run.checkpoints.is_dir()


HOLDING = """
import sys, time
from pathlib import Path
from loopwise.runs import Run

with Run(Path(sys.argv[1])).locked():
    print("held", flush=True)
    time.sleep(1000)
"""


def test_a_lock_names_its_holder_and_dies_with_it(tmp_path):
    run = filled(tmp_path / "run")
    words = [sys.executable, "-c", HOLDING, str(run.path)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    before = contents(run.path)
    for attempt in (lambda: Run.create(run.path, overwrite=True), lambda: held(run)):
        with pytest.raises(RunError, match=f"run: is being trained by process {process.pid}$"):
            attempt()
    assert contents(run.path) == before
    process.kill()
    process.communicate()
    held(run)


def held(run):
    with run.locked():
        assert (run.path / ".lock").read_text() == str(os.getpid())


@pytest.mark.parametrize(
    "config", [None, 'title = "another program"\n', "task = 3\n", "not TOML", b"\xff"]
)
def test_what_is_no_run_is_never_cleared(config, tmp_path):
    run = filled(tmp_path / "folder")
    if config is None:
        run.config_path.unlink()
    else:
        run.config_path.write_bytes(config if isinstance(config, bytes) else config.encode())
    before = contents(run.path)
    for overwrite in (False, True):
        with pytest.raises(RunError, match="not empty and not a run"):
            Run.create(run.path, overwrite=overwrite)
    assert contents(run.path) == before


def test_a_checkpoint_without_configuration_is_not_nothing(tmp_path):
    run = Run.create(tmp_path)
    (run.checkpoints / "step-00000001.json").write_text("{}")
    with pytest.raises(RunError, match="not empty and not a run"):
        Run.create(tmp_path, overwrite=True)


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="file: is a file"):
        Run.create(tmp_path / "file", overwrite=True)
    with pytest.raises(RunError, match="cannot be made: Not a directory"):
        Run.create(tmp_path / "file/run")
    with pytest.raises(RunError, match="not a run: is a file"):
        Run.open(tmp_path / "file")


def test_opening_says_what_is_missing(tmp_path):
    with pytest.raises(RunError, match="none: not a run: no such directory"):
        Run.open(tmp_path / "none")
    with pytest.raises(RunError, match=r"not a run: has no config\.toml"):
        Run.open(tmp_path)


def test_the_log_holds_json_lines_with_null_for_what_is_not_finite(tmp_path):
    run = Run.create(tmp_path)
    assert list(run.records()) == []
    run.log({"step": 1, "loss": math.inf, "text": "é"})
    run.log({"step": 2, "loss": 0.5})
    assert [json.loads(line) for line in run.metrics_path.read_text().splitlines()] == [
        {"step": 1, "loss": None, "text": "é"},
        {"step": 2, "loss": 0.5},
    ]
    with run.metrics_path.open("a") as file:
        file.write('{"step": 3, "lo')  # a kill
    assert [record["step"] for record in run.records()] == [1, 2]


def test_a_full_disk_is_told(tmp_path):
    run = Run.create(tmp_path)
    run.metrics_path.symlink_to("/dev/full")
    with pytest.raises(RunError, match=r"metrics\.jsonl: cannot be written: No space left"):
        run.log({"step": 1})
    (run.path / f"config.toml.{os.getpid()}.tmp").symlink_to("/dev/full")
    with pytest.raises(RunError, match=r"config\.toml: cannot be written: No space left"):
        run.write_config(CONFIG)
