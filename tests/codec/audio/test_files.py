import os
import struct
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from loopwise.codec.audio.files import read_audio
from loopwise.errors import ConfigError, DataError

from .signals import data, needs_data, noise, tone

FORMATS = ["wav", "flac", "ogg", "mp3", "aiff", "au", "w64", "caf"]


def write(folder, samples, suffix="wav", rate=16_000, **options):
    path = folder / f"a.{suffix}"
    soundfile.write(path, samples, rate, **options)
    return path


def error_of(path, *part):
    with pytest.raises(DataError) as error:
        read_audio(path, *part)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(str(path))
    return str(error.value)


@pytest.mark.parametrize("suffix", FORMATS)
def test_formats_and_channels(tmp_path, suffix):
    left, right = tone(400), tone(900)
    samples, rate = read_audio(write(tmp_path, np.stack([left, right], 1), suffix))
    assert rate == 16_000
    assert samples.dtype == np.float32
    assert samples.shape == (8000,)
    tolerance = {"ogg": 0.05, "mp3": 0.05}.get(suffix, 2.0**-15)
    np.testing.assert_allclose(samples[800:-800], ((left + right) / 2)[800:-800], atol=tolerance)


def test_floats_are_kept_as_they_are(tmp_path):
    samples, rate = read_audio(write(tmp_path, noise(900, 3), rate=44_100, subtype="FLOAT"))
    assert rate == 44_100
    np.testing.assert_array_equal(samples, noise(900, 3).mean(1, dtype=np.float64).astype("f4"))


def test_long_recordings_are_read_in_blocks(tmp_path):
    many = noise(300_000, 5)
    samples, _ = read_audio(write(tmp_path, many, subtype="FLOAT"))
    np.testing.assert_array_equal(samples, many.mean(1, dtype=np.float64).astype("f4"))


@pytest.mark.parametrize("suffix", FORMATS)
def test_parts(tmp_path, suffix):
    path = write(tmp_path, noise(16_000), suffix)
    whole, _ = read_audio(path)
    for start, end in ((None, 0.5), (0.25, 0.5), (0.25, None), (0.0, 1.0), (0.9, 1.09)):
        part, _ = read_audio(path, start, end)
        wanted = whole[round((start or 0) * 16_000) : round((end or 1) * 16_000)]
        np.testing.assert_allclose(part, wanted, atol=1e-6)


def test_parts_that_are_none(tmp_path):
    path = write(tmp_path, noise(16_000))
    for start, end in ((-0.1, None), (0.5, 0.5), (0.5, 0.2), (None, 0.0), (float("nan"), None)):
        with pytest.raises(ConfigError, match="must begin at 0 or later and before its end"):
            read_audio(path, start, end)
    assert "holds 1 s of audio, wanted is 0.5 to 1.2 s" in error_of(path, 0.5, 1.2)
    assert "holds 1 s of audio, wanted is 1" in error_of(path, 1.0)


def test_missing_empty_and_foreign_files(tmp_path):
    assert "cannot be read (No such file" in error_of(tmp_path / "missing.wav")
    assert "is no file" in error_of(tmp_path)
    path = tmp_path / "a.wav"
    path.write_bytes(b"")
    assert "is empty" in error_of(path)
    path.write_text("this is no recording, whatever its name says")
    assert "no audio that can be read" in error_of(path)
    raw = tmp_path / "a.raw"
    raw.write_bytes(bytes(100))
    assert "without a header" in error_of(raw)
    assert "holds 0 s of audio" in error_of(write(tmp_path, noise(0)))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.wav")
    assert "is no file" in error_of(tmp_path / "a.wav")


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("share", [0.001, 0.5, 0.9])
def test_truncated_files(tmp_path, suffix, share):
    path = write(tmp_path, noise(16_000), suffix)
    content = path.read_bytes()
    path.write_bytes(content[: round(len(content) * share)])
    error_of(path)


def test_a_size_that_lies(tmp_path):
    path = write(tmp_path, noise(16_000))
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = struct.pack("<I", 1 << 30)
    path.write_bytes(content)
    assert "its header says 1,073,741,824 bytes, 32,000 are there" in error_of(path)
    content[at : at + 4] = b"\xff" * 4  # what a program writes that cannot go back
    path.write_bytes(content)
    assert len(read_audio(path)[0]) == 16_000


def test_a_rate_that_lies(tmp_path):
    path = write(tmp_path, noise(1000))
    content = bytearray(path.read_bytes())
    content[24:28] = struct.pack("<I", 3)
    path.write_bytes(content)
    assert "its header says 3 Hz; allowed are 1,000 to 1,000,000" in error_of(path)


@pytest.mark.parametrize(
    ("offset", "kind", "value"),
    [
        (22, "<H", 2),  # channels
        (24, "<I", 8000),  # rate
        (28, "<I", 5),  # bytes a second
        (32, "<H", 9),  # bytes a sample
        (34, "<H", 24),  # bits
        (34, "<H", 7),
    ],
)
def test_a_header_that_contradicts_itself(tmp_path, offset, kind, value):
    path = write(tmp_path, noise(1000))
    content = bytearray(path.read_bytes())
    struct.pack_into(kind, content, offset, value)
    path.write_bytes(content)
    assert "its header contradicts itself" in error_of(path)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "PCM_32", "DOUBLE", "ULAW", "MS_ADPCM"])
@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64", "W64"])
def test_headers_that_do_not(tmp_path, subtype, kind):
    samples = noise(2000, 2)
    if soundfile.check_format(kind, subtype):
        assert len(read_audio(write(tmp_path, samples, subtype=subtype, format=kind))[0]) >= 2000


LIMITED = """
import resource, sys
from loopwise.codec.audio.files import read_audio
from loopwise.errors import DataError
read_audio(sys.argv[1])
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
try:
    read_audio(sys.argv[2])
except DataError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory can be limited on Linux")
def test_a_length_that_lies_takes_no_memory(tmp_path):
    path = write(tmp_path, noise(16_000), "flac")
    content = bytearray(path.read_bytes())
    # in STREAMINFO, the last 36 bits before the checksum are the number of samples
    content[21] |= 0x0F
    content[22:26] = b"\xff" * 4
    lying = tmp_path / "lying.flac"
    lying.write_bytes(content)
    told = subprocess.run(
        [sys.executable, "-c", LIMITED, path, lying], capture_output=True, text=True, check=True
    ).stdout
    assert told.startswith(f"{lying}: ")


@pytest.mark.parametrize("suffix", FORMATS)
def test_damaged_files_are_read_or_refused(tmp_path, suffix):
    path = write(tmp_path, noise(2000, 2), suffix)
    whole, random = path.read_bytes(), np.random.default_rng(0)
    for _ in range(40):
        content = bytearray(whole)
        for at in random.integers(0, 100, 2):
            content[at] = random.choice([0, 127, 128, 255])
        path.write_bytes(content)
        told, samples = "", noise(1)
        try:
            samples, _ = read_audio(path)
        except DataError as error:
            told = str(error)
        assert told.startswith(str(path)) or not told
        assert 0 < len(samples) < 20_000


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_samples_that_are_not_finite(tmp_path, wrong):
    samples = noise(300)
    samples[7] = wrong
    assert "number 7 is" in error_of(write(tmp_path, samples, subtype="FLOAT"))


@needs_data
def test_recorded_digits():
    samples, rate = read_audio(data("fsdd", "recordings", "0_george_0.wav"))
    assert rate == 8000
    assert len(samples) == 2384
    assert 0.1 < np.abs(samples).max() <= 1
