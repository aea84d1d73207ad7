"""Checkpoints: what is saved comes back, and nothing damaged is ever loaded."""

import json
import os
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from loopwise.errors import CheckpointError
from loopwise.train.checkpoints import (
    Checkpoint,
    best,
    find,
    list_checkpoints,
    load,
    prune,
    remove,
    save,
)


def make(step: int, metric: float | None = None) -> Checkpoint:
    generator = torch.Generator().manual_seed(step)
    tensors = {"a.weight": torch.randn(4, 3, generator=generator), "step": torch.tensor(1.5)}
    state = {"best": None, "loss": 0.1 + 0.2, "rng": {"state": 2**127 + 1}, "shape": [0, [0, 0]]}
    return Checkpoint(step, metric, tensors, state)


def file_of(folder: Path, step: int, suffix: str) -> Path:
    (file,) = folder.glob(f"step-{step:08d}*{suffix}")
    return file


@pytest.fixture
def folder(tmp_path) -> Path:
    for step in (100, 200, 300):
        save(tmp_path, make(step, metric=step / 7))
    return tmp_path


def test_a_checkpoint_comes_back_exactly(tmp_path):
    given = make(12, metric=0.1)
    loaded = load(save(tmp_path, given))
    assert (loaded.step, loaded.metric, loaded.state) == (12, 0.1, given.state)
    assert loaded.tensors.keys() == given.tensors.keys()
    assert all(torch.equal(loaded.tensors[name], given.tensors[name]) for name in given.tensors)


def test_tensors_may_share_memory_and_be_views(tmp_path):
    base = torch.arange(12.0).reshape(3, 4)
    shared = Checkpoint(1, None, {"a": base, "tied": base, "view": base.T[1:]}, {})
    loaded = load(save(tmp_path, shared))
    assert torch.equal(loaded.tensors["tied"], base)
    assert torch.equal(loaded.tensors["view"], base.T[1:])


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
@pytest.mark.parametrize("place", [0.0, 0.1, 0.35, 0.5, 0.77, 0.999])
def test_an_altered_byte_is_refused_by_name_and_the_one_before_offered(folder, suffix, place):
    file = file_of(folder, 300, suffix)
    data = bytearray(file.read_bytes())
    data[int(place * len(data))] ^= 1
    file.write_bytes(data)
    with pytest.raises(CheckpointError) as caught:
        load(folder / "step-00000300.json")
    assert "step-00000300" in str(caught.value)
    assert "--from-checkpoint step-00000200" in str(caught.value)


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
@pytest.mark.parametrize("kept", [0, 1, 50, -1])
def test_a_truncated_file_is_refused_by_name(folder, suffix, kept):
    file = file_of(folder, 300, suffix)
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=rf"{file.name}.*step-00000200"):
        load(folder / "step-00000300.json")


def test_only_a_sound_one_is_offered(folder):
    for step in (200, 300):
        file_of(folder, step, ".safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="--from-checkpoint step-00000100"):
        load(folder / "step-00000300.json")
    (folder / "step-00000100.json").write_bytes(b"{}")
    with pytest.raises(CheckpointError, match="no sound checkpoint before it"):
        load(folder / "step-00000300.json")


def test_a_newer_format_is_named(folder):
    file = folder / "step-00000300.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": 3}))
    with pytest.raises(CheckpointError, match="format 3; this loopwise reads format 2"):
        load(file)


@contextmanager
def dying(monkeypatch, dies_at: int):
    """A kill at the given of the syncs and renames: nothing works from there on."""
    calls, unlink = 0, Path.unlink

    def unlink_while_alive(path, **options):
        if calls <= dies_at:
            unlink(path, **options)

    def count(original):
        def wrapped(*args):
            nonlocal calls
            calls += 1
            if calls > dies_at:
                raise KeyboardInterrupt
            return original(*args)

        return wrapped

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", count(os.fsync))
        patch.setattr(Path, "replace", count(Path.replace))
        patch.setattr(Path, "unlink", unlink_while_alive)
        try:
            yield
        except KeyboardInterrupt:
            assert calls == dies_at + 1


@pytest.mark.parametrize("dies_at", range(7))
def test_a_kill_while_saving_leaves_the_older_one(tmp_path, monkeypatch, dies_at):
    save(tmp_path, make(100))
    with dying(monkeypatch, dies_at):
        save(tmp_path, make(200))
    latest = load(list_checkpoints(tmp_path)[-1])
    assert latest.step == (200 if dies_at >= 5 else 100)
    prune(tmp_path, 1)
    assert sorted(file.suffix for file in tmp_path.iterdir()) == [".json", ".safetensors"]


@pytest.mark.parametrize("dies_at", range(7))
@pytest.mark.parametrize("value", [0.0, 1.0], ids=["new tensors", "the same tensors"])
def test_a_kill_while_a_step_is_saved_again_leaves_one_of_both(
    tmp_path, monkeypatch, dies_at, value
):
    """It may be the only checkpoint there is."""
    old = Checkpoint(100, None, {"a": torch.ones(1)}, {"which": "old"})
    new = Checkpoint(100, 0.5, {"a": torch.full((1,), value)}, {"which": "new"})
    save(tmp_path, old)
    with dying(monkeypatch, dies_at):
        save(tmp_path, new)
    for _ in range(2):
        (path,) = list_checkpoints(tmp_path)
        found, expected = load(path), new if dies_at >= 5 else old
        assert (found.state, found.metric) == (expected.state, expected.metric)
        assert torch.equal(found.tensors["a"], expected.tensors["a"])
        prune(tmp_path, 1)
    assert sorted(file.suffix for file in tmp_path.iterdir()) == [".json", ".safetensors"]


def test_pruning_leaves_a_damaged_checkpoint_to_be_mended(folder):
    (folder / "step-00000300.json").write_bytes(b"")
    prune(folder, 2)
    assert file_of(folder, 300, ".safetensors").is_file()


def test_removing_a_checkpoint_leaves_nothing_of_it(folder):
    remove([folder / "step-00000200.json"])
    assert not list(folder.glob("step-00000200*"))
    assert len(list(folder.iterdir())) == 4


def test_best_and_last_are_kept(tmp_path):
    metrics = {10: 3.0, 20: 1.0, 30: None, 40: 1.0, 50: 2.0, 60: None}
    for step, metric in metrics.items():
        save(tmp_path, make(step, metric))
    assert best(tmp_path) == tmp_path / "step-00000020.json"
    prune(tmp_path, 2)
    assert [load(path).step for path in list_checkpoints(tmp_path)] == [20, 50, 60]
    assert len(list(tmp_path.iterdir())) == 6


def test_metrics_of_another_validation_are_not_compared(tmp_path):
    for step, metric, judge in ((10, 1.0, "old"), (20, 3.0, "new"), (30, 4.0, "new")):
        save(tmp_path, replace(make(step, metric), judge=judge))
    assert best(tmp_path) == tmp_path / "step-00000020.json"
    prune(tmp_path, 1)
    assert [load(path).step for path in list_checkpoints(tmp_path)] == [20, 30]


def test_find_takes_name_number_and_path(folder):
    expected = folder / "step-00000200.json"
    tensors = file_of(folder, 200, ".safetensors")
    for name in ("200", "step-00000200", tensors.name, str(tensors), str(expected)):
        assert find(folder, name) == expected
    with pytest.raises(CheckpointError, match="step-00000100, step-00000200, step-00000300"):
        find(folder, "150")


def test_a_full_disk_is_reported_with_the_file(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match=r"step-00000001\.json.*No space left"):
        save(tmp_path, make(1))


def test_nothing_is_pickled(folder):
    for file in folder.iterdir():
        assert b"\x80\x02" not in file.read_bytes()[:64]
        assert file.suffix in {".json", ".safetensors"}
