"""Atomic writing: the old file or the whole new one, and nothing beside it."""

import os
from pathlib import Path

import pytest

from loopwise.files import write_atomically


def test_a_file_is_made_and_replaced(tmp_path):
    for data in (b"old and long", b"new", b""):
        write_atomically(tmp_path / "file", data)
        assert (tmp_path / "file").read_bytes() == data
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize(("place", "name"), [(os, "fsync"), (Path, "replace")])
def test_a_failure_leaves_the_old_file_alone(tmp_path, monkeypatch, error, place, name):
    def fail(*_):
        raise error

    (tmp_path / "file").write_bytes(b"old")
    monkeypatch.setattr(place, name, fail)
    with pytest.raises(type(error)):
        write_atomically(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.skipif(os.name != "posix", reason="a folder can be opened on POSIX only")
def test_content_then_name_are_brought_to_the_disk(tmp_path, monkeypatch):
    path, synced, fsync = tmp_path / "file", [], os.fsync

    def note(descriptor):
        synced.append((os.fstat(descriptor).st_ino, path.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    write_atomically(path, b"data")
    assert synced == [(path.stat().st_ino, False), (tmp_path.stat().st_ino, True)]


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "none/file", b"data")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        write_atomically(tmp_path / "file/file", b"data")
