import struct

import numpy as np
import pytest

from loopwise.codec.audio.feature_files import read_features
from loopwise.errors import DataError

from .signals import data, needs_data, noise


def sphinx(path, frames, order=">", count=None):
    count = frames.size if count is None else count
    path.write_bytes(struct.pack(f"{order}i", count) + frames.astype(f"{order}f4").tobytes())
    return path


def error_of(path, size=13):
    with pytest.raises(DataError) as error:
        read_features(path, size)
    assert str(error.value).startswith(f"{path}: ")
    return str(error.value)


@pytest.mark.parametrize("order", [">", "<"])
def test_sphinx_in_both_orders(tmp_path, order):
    frames = noise(7, 13)
    found = read_features(sphinx(tmp_path / "a.mfc", frames, order), 13)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, frames)


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", ">f4", "i2", "u1"])
def test_numpy_of_any_type(tmp_path, kind):
    frames = np.asfortranarray(np.arange(26).reshape(2, 13).astype(kind))
    np.save(tmp_path / "a.npy", frames)
    found = read_features(str(tmp_path / "a.npy"), 13)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, frames)


def test_headers_that_lie(tmp_path):
    frames = noise(7, 13)
    path = sphinx(tmp_path / "a.mfc", frames, count=2**30)
    assert "says 1,073,741,824 values, 368 bytes are there" in error_of(path)
    assert "says 90 values" in error_of(sphinx(path, frames, count=90))
    assert "91 values, which are no frames of 12" in error_of(sphinx(path, frames), 12)
    for size in (0, 3, 4, 5, 367):
        path.write_bytes(sphinx(tmp_path / "b.mfc", frames).read_bytes()[:size])
        assert f"{size:,} bytes are there" in error_of(path)

    path = tmp_path / "a.npy"
    np.save(path, frames)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"(7, 13)", b"(9999999999999, 13)").replace(b" " * 12, b"", 1))
    error_of(path)
    for size in (0, 4, 20, len(whole) - 1):
        path.write_bytes(whole[:size])
        error_of(path)


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (noise(13, 7), r"\[13, 7\]; wanted are real numbers [T, 13]"),
        (noise(13), r"\[13\]; wanted"),
        (np.zeros((2, 13), complex), r"complex128 [2, 13]; wanted are real"),
        (np.zeros((2, 13), bool), "bool"),
        (np.array([["a"] * 13]), "<U1"),
        (np.array([[None] * 13]), "no array"),
        (np.full((2, 13), np.nan), "frame 0 holds a value that is not finite"),
        (np.vstack([np.zeros((3, 13)), np.full((1, 13), 1e300)]), "frame 3"),
    ],
)
def test_arrays_that_are_no_frames(tmp_path, array, told):
    np.save(tmp_path / "a.npy", array)
    assert told.replace("\\", "") in error_of(tmp_path / "a.npy")


def test_files_that_are_none(tmp_path):
    assert "cannot be read" in error_of(tmp_path / "missing.npy")
    assert "cannot be read" in error_of(tmp_path / "missing.mfc")
    (tmp_path / "folder.mfc").mkdir()
    assert "cannot be read" in error_of(tmp_path / "folder.mfc")
    (tmp_path / "a.txt").write_text("1 2 3")
    assert "end in .npy or .mfc" in error_of(tmp_path / "a.txt")
    np.savez(tmp_path / "a.npz", noise(2, 13))
    (tmp_path / "a.npz").rename(tmp_path / "z.npy")
    assert "no array of NumPy" in error_of(tmp_path / "z.npy")
    np.save(tmp_path / "none.npy", noise(0, 13))
    error_of(tmp_path / "none.npy")


@needs_data
def test_an4_is_read(tmp_path):
    files = sorted(data("an4", "feat", "an4test_clstk").rglob("*.mfc"))
    assert len(files) == 130
    frames = [read_features(file, 13) for file in files]
    seconds = sum(map(len, frames)) / 100
    assert 300 < seconds < 600
    # its first coefficient is the level of speech, by far the one that varies most
    assert np.concatenate(frames).std(0).argmax() == 0
