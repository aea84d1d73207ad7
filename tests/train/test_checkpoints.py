"""Checkpoints: what is saved comes back, and nothing damaged is ever loaded."""

import json
import os
from pathlib import Path

import pytest
import torch

from loopwise.errors import CheckpointError
from loopwise.train.checkpoints import Checkpoint, best, find, list_checkpoints, load, prune, save


def make(step: int, metric: float | None = None) -> Checkpoint:
    generator = torch.Generator().manual_seed(step)
    tensors = {"a.weight": torch.randn(4, 3, generator=generator), "step": torch.tensor(1.5)}
    state = {"best": None, "loss": 0.1 + 0.2, "rng": {"state": 2**127 + 1}, "shape": [0, [0, 0]]}
    return Checkpoint(step, metric, tensors, state)


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
    file = folder / f"step-00000300{suffix}"
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
    file = folder / f"step-00000300{suffix}"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=rf"step-00000300\{suffix}.*step-00000200"):
        load(folder / "step-00000300.json")


def test_only_a_sound_one_is_offered(folder):
    for step in (200, 300):
        (folder / f"step-00000{step}.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="--from-checkpoint step-00000100"):
        load(folder / "step-00000300.json")
    (folder / "step-00000100.json").write_bytes(b"{}")
    with pytest.raises(CheckpointError, match="no sound checkpoint before it"):
        load(folder / "step-00000300.json")


def test_a_newer_format_is_named(folder):
    file = folder / "step-00000300.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": 2}))
    with pytest.raises(CheckpointError, match="format 2; this loopwise reads format 1"):
        load(file)


@pytest.mark.parametrize("dies_at", [0, 1, 2, 3, 4, 5])
def test_a_kill_while_saving_leaves_the_older_one(tmp_path, monkeypatch, dies_at):
    """Stop at each write, sync and rename in turn: the latest checkpoint is always a sound one."""
    save(tmp_path, make(100))
    calls, unlink = 0, Path.unlink

    def unlink_while_alive(path, **options):
        if calls <= dies_at:
            unlink(path, **options)

    def count(original):
        def wrapped(*args):
            nonlocal calls
            calls += 1
            if calls > dies_at:
                raise KeyboardInterrupt  # as sudden as a kill: nothing works from here on
            return original(*args)

        return wrapped

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", count(os.fsync))
        patch.setattr(Path, "replace", count(Path.replace))
        patch.setattr(Path, "unlink", unlink_while_alive)
        try:
            save(tmp_path, make(200))
        except KeyboardInterrupt:
            assert calls == dies_at + 1
    latest = load(list_checkpoints(tmp_path)[-1])
    assert latest.step == (200 if dies_at >= 5 else 100)
    prune(tmp_path, 1)
    assert sorted(file.suffix for file in tmp_path.iterdir()) == [".json", ".safetensors"]


def test_saving_a_step_again_never_commits_mixed_files(tmp_path, monkeypatch):
    save(tmp_path, make(100))
    original = Path.replace

    def die_at_json(source, target):
        if target.suffix == ".json":
            raise KeyboardInterrupt
        return original(source, target)

    monkeypatch.setattr(Path, "replace", die_at_json)
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path, Checkpoint(100, None, {"a": torch.zeros(1)}, {}))
    assert list_checkpoints(tmp_path) == []


def test_best_and_last_are_kept(tmp_path):
    metrics = {10: 3.0, 20: 1.0, 30: None, 40: 1.0, 50: 2.0, 60: None}
    for step, metric in metrics.items():
        save(tmp_path, make(step, metric))
    assert best(tmp_path) == tmp_path / "step-00000020.json"
    prune(tmp_path, 2)
    assert [load(path).step for path in list_checkpoints(tmp_path)] == [20, 50, 60]
    assert len(list(tmp_path.iterdir())) == 6


def test_find_takes_name_number_and_path(folder):
    expected = folder / "step-00000200.json"
    for name in ("200", "step-00000200", "step-00000200.safetensors", str(expected)):
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
