"""The data of the speech benchmarks as manifests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from loopwise.codec.speech.files import read_utterances

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "speech_data.py"


@pytest.mark.parametrize(
    ("name", "part", "count", "speakers", "first"),
    [
        ("an4", "train", 948, 74, ("an251-fash-b", "fash", "YES")),
        ("an4", "test", 130, 10, ("an406-fcaw-b", "fcaw", "RUBOUT G M E F THREE NINE")),
        ("fsdd", "train", 2700, 6, ("0_george_5", "george", "ZERO")),
        ("fsdd", "test", 300, 6, ("0_george_0", "george", "ZERO")),
    ],
)
def test_official_parts_are_manifests(tmp_path, name, part, count, speakers, first):
    if not Path(os.environ.get("LOOPWISE_DATA") or "nowhere", name).exists():
        pytest.skip(f"LOOPWISE_DATA does not name a folder with {name}")
    command = [sys.executable, str(SCRIPT), name, part]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    manifest = tmp_path / "m.jsonl"
    manifest.write_text(done.stdout)
    found = read_utterances(manifest)
    assert (len(found), len(found.speakers)) == (count, speakers)
    assert (found[0].id, found[0].speaker, found[0].text) == first
    assert len({utterance.audio for utterance in found}) == count
