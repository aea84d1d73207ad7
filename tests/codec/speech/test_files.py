"""Manifests of every kind: the same utterances, and mistakes with their places."""

import gzip
import io
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwise.codec.speech.files import manifest_lines, read_utterances
from loopwise.codec.speech.utterances import Dropped, Utterance, Utterances
from loopwise.errors import ConfigError, DataError

OBJECTS = (
    '{"audio": "wav/a.wav", "text": "EIN HUND", "speaker": "s", "start": 0.5, "end": 2}\n'
    '{"audio": "wav/ä b.flac", "text": "KATZE", "id": "k"}\n'
)
COLUMNS = "wav/a.wav\tEIN HUND\ts\t0.5\t2\nwav/ä b.flac\tKATZE\t\t\t\tk\n"
HEADED = (
    "id\tend\tage\ttext\tspeaker\taudio\tstart\n"
    "\t2\t9\tEIN HUND\ts\twav/a.wav\t0.5\nk\t\t9\tKATZE\t\twav/ä b.flac\t\n"
)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A folder with the audio of the manifests, but not the working directory."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    folder = tmp_path / "data"
    (folder / "wav").mkdir(parents=True)
    for name in ("a.wav", "ä b.flac"):
        (folder / "wav" / name).write_bytes(b"sound")
    return folder


def write(folder, name, text):
    raw = text.encode() if isinstance(text, str) else text
    path = folder / name
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return path


def told(utterances):
    return [(u.audio.name, u.text, u.speaker, u.start, u.end, u.id) for u in utterances]


BOTH = [("a.wav", "EIN HUND", "s", 0.5, 2.0, "a"), ("ä b.flac", "KATZE", "", None, None, "k")]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *((name, OBJECTS) for name in ("m.jsonl", "m.json", "m.jsonl.gz", "m.manifest")),
        *((name, COLUMNS) for name in ("m.tsv", "m.txt", "m.tsv.gz", "m.manifest")),
        *((name, HEADED) for name in ("m.tsv", "m.manifest")),
        ("m.tsv", "\ufeff" + HEADED.replace("\n", "\r\n")),
    ],
)
def test_every_kind_of_file_has_the_same_utterances(data, name, text):
    path = write(data, name, text)
    found = read_utterances(path)
    assert told(found) == BOTH
    assert (found.name, found.dropped) == (str(path), Dropped())
    assert found[0].audio == data / "wav" / "a.wav"
    first = 2 if text.lstrip("\ufeff").startswith("id") else 1
    assert [u.where for u in found] == [f"{path}, line {first + i}" for i in range(2)]


def test_standard_input_begins_in_the_working_directory(data, monkeypatch):
    monkeypatch.chdir(data)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(OBJECTS.encode())))
    assert told(read_utterances("-")) == BOTH


def test_several_manifests_follow_each_other(data):
    paths = [write(data, "m.tsv", COLUMNS), write(data, "n.jsonl", OBJECTS)]
    found = read_utterances(paths)
    assert told(found) == BOTH * 2
    assert found[3].where == f"{paths[1]}, line 2"
    assert found.name == f"{paths[0]}, {paths[1]}"


def test_names_and_folder_may_be_others(data):
    names = {"audio": "path", "text": "sentence", "speaker": "client_id"}
    rows = write(data, "m.tsv", "client_id\tpath\tsentence\tage\nme\ta.wav\tHund\t9\n")
    found = read_utterances(rows, names=names, folder=data / "wav")
    assert told(found) == [("a.wav", "Hund", "me", None, None, "a")]
    lines = write(data, "m.jsonl", '{"path": "a.wav", "sentence": "Hund", "audio": 3}')
    assert told(read_utterances(lines, names=names, folder=data / "wav"))[0][1] == "Hund"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"sound": "x"}, "names has 'sound'; fields are audio, text, speaker, start, end, id"),
        ({"audio": ""}, r"names\['audio'\]='': must be a name"),
        ({"audio": "text"}, "two fields would have the same name"),
    ],
)
def test_names_are_checked(data, names, message):
    with pytest.raises(ConfigError, match=message):
        read_utterances(write(data, "m.jsonl", OBJECTS), names=names)


def test_named_columns_must_be_there(data):
    with pytest.raises(DataError, match=r"m.tsv, line 1: no columns 'path' and 'text' are named"):
        read_utterances(write(data, "m.tsv", COLUMNS), names={"audio": "path"})


@pytest.mark.parametrize(
    ("name", "line", "reason", "message"),
    [
        ("m.jsonl", b"", "malformed", "no JSON object"),
        ("m.jsonl", b"[1]", "malformed", "no JSON object"),
        ("m.jsonl", b'{"audio": "wav/a.wav"', "malformed", "no JSON object"),
        ("m.jsonl", b"[" * 100_000, "malformed", "no JSON object"),
        ("m.jsonl", b'{"audio": "wav/a.wav"}', "malformed", "no 'text'"),
        ("m.jsonl", b'{"audio": "wav/a.wav", "text": ""}', "empty", "the text is empty"),
        ("m.jsonl", b'{"audio": "a.wav", "text": "X"}', "missing", "does not exist"),
        ("m.tsv", b"wav/a.wav", "malformed", "columns separated by tabs: 1, audio and text are"),
        ("m.tsv", b"wav/a.wav\tX\t\tsoon", "malformed", "start='soon': must be seconds"),
        ("m.tsv", b"wav/a.wav\tX\t\tnan", "malformed", "start=nan: must be seconds"),
        ("m.tsv", b"wav/a.wav\tX\t\t3\t2", "times", "end=2 is not after start=3"),
    ],
)
def test_a_flaw_has_file_and_line_or_is_counted(data, name, line, reason, message):
    good = (OBJECTS if name == "m.jsonl" else COLUMNS).encode()
    path = write(data, name, good + line + b"\n" + good)
    with pytest.raises(DataError, match=rf"{name}, line 3: .*{message}"):
        read_utterances(path)
    found = read_utterances(path, invalid="skip")
    assert told(found) == BOTH * 2
    assert found.dropped == Dropped(**{reason: 1})


def test_a_line_that_is_not_utf8_is_named_or_counted(data):
    path = write(data, "m.tsv", COLUMNS.encode() + b"wav/a.wav\t\xff\n")
    with pytest.raises(DataError, match=r"0xff .*line 3.* is not UTF-8; .*invalid=skip"):
        read_utterances(path)
    assert read_utterances(path, invalid="skip").dropped == Dropped(undecodable=1)


def test_audio_is_no_manifest(data):
    path = write(data, "sound.wav", b"RIFF\0\0\0\0WAVEfmt ")
    with pytest.raises(DataError, match=r"sound.wav: no text; a manifest is JSON lines, columns"):
        read_utterances(path)


def test_a_missing_manifest_is_named_with_what_resembles_it(data):
    write(data, "train.jsonl", OBJECTS)
    with pytest.raises(DataError, match=r"trian.jsonl' does not exist; did you mean .*train.jsonl"):
        read_utterances(data / "trian.jsonl")


def test_what_is_written_is_read_again(data):
    found = read_utterances(write(data, "m.tsv", COLUMNS))
    lines = [*manifest_lines(found, data)]
    assert json.loads(lines[1]) == {"audio": "wav/ä b.flac", "text": "KATZE", "id": "k"}
    assert told(read_utterances(write(data, "n.jsonl", "\n".join(lines)))) == BOTH
    away = Path("n.jsonl")
    away.write_text("\n".join(manifest_lines(found)), encoding="utf-8")
    assert [u.audio for u in read_utterances(away)] == [u.audio for u in found]


utterances = st.builds(
    Utterance,
    audio=st.just(Path("wav/a.wav")),
    text=st.text(st.characters(codec="utf-8"), min_size=1)
    .map(lambda text: " ".join(text.split()))
    .filter(bool),
    speaker=st.text(st.characters(codec="utf-8")).map(str.strip),
    start=st.none() | st.floats(0, 9),
    end=st.none() | st.floats(10, 99),
)


@given(utterances)
def test_a_line_holds_any_utterance(utterance):
    (line,) = manifest_lines(Utterances((utterance,)), os.getcwd())
    assert "\n" not in line
    found = json.loads(line)
    assert found.pop("audio") == os.path.join("wav", "a.wav")
    assert found.get("speaker", "") == utterance.speaker
    for key in ("text", "start", "end"):
        assert found.get(key) == getattr(utterance, key)
