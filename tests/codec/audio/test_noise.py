import numpy as np
import pytest
import soundfile

from loopwise.codec.audio.noise import read_noises
from loopwise.errors import DataError

from .signals import noise


def test_noises_of_a_folder_in_order_and_at_the_rate(tmp_path):
    (tmp_path / "b").mkdir()
    soundfile.write(tmp_path / "b" / "z.wav", noise(1600), 16_000, subtype="FLOAT")
    soundfile.write(tmp_path / "a.flac", noise(800, 2), 8000)
    (tmp_path / ".hidden").write_text("no audio")
    first, second = read_noises(tmp_path, 8000)
    assert (len(first), len(second)) == (800, 800)
    (alone,) = read_noises(tmp_path / "b" / "z.wav", 16_000)
    np.testing.assert_array_equal(alone, noise(1600))


def test_noises_that_are_none(tmp_path):
    with pytest.raises(DataError, match="without recordings"):
        read_noises(tmp_path, 8000)
    soundfile.write(tmp_path / "a.wav", np.zeros(100), 8000)
    with pytest.raises(DataError, match=r"a\.wav: is silent"):
        read_noises(tmp_path, 8000)
    with pytest.raises(DataError, match="missing: cannot be read"):
        read_noises(tmp_path / "missing", 8000)
