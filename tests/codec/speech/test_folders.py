"""Folders as manifests: Kaldi's tables, and texts beside their audio."""

import pytest

from loopwise.codec.speech.files import read_utterances
from loopwise.codec.speech.utterances import Dropped
from loopwise.errors import DataError


@pytest.fixture
def kaldi(tmp_path):
    """Two recordings and their tables; the folder, and a function that writes another table."""
    for name in ("one.wav", "two words.wav"):
        (tmp_path / name).write_bytes(b"sound")

    def table(name, text):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path

    table("wav.scp", "r1 one.wav\nr2 \t two words.wav\n")
    table("text", "r2 KATZE\nr1 EIN  HUND\n")
    return table


def told(utterances):
    return [(u.id, u.audio.name, u.text, u.speaker, u.start, u.end) for u in utterances]


def test_two_tables_are_enough_and_texts_give_the_order(kaldi):
    folder = kaldi("text", "r2 KATZE\nr1 EIN  HUND\n")
    found = read_utterances(folder)
    assert told(found) == [
        ("r2", "two words.wav", "KATZE", "", None, None),
        ("r1", "one.wav", "EIN HUND", "", None, None),
    ]
    assert found[1].where == f"{folder / 'text'}, line 2"


@pytest.mark.parametrize("name", ["wav.scp", "text"])
def test_a_byte_order_mark_is_no_part_of_a_name(kaldi, tmp_path, name):
    kaldi(name, f"\ufeff{(tmp_path / name).read_text()}")
    assert [utterance.id for utterance in read_utterances(tmp_path)] == ["r2", "r1"]


def test_segments_and_speakers(kaldi):
    kaldi("segments", "a r1 0 1.25\nb r1 1.5 -1\n")
    kaldi("utt2spk", "a me\nb you\n")
    found = read_utterances(kaldi("text", "a EIN\nb HUND\n"))
    assert told(found) == [
        ("a", "one.wav", "EIN", "me", 0.0, 1.25),
        ("b", "one.wav", "HUND", "you", 1.5, None),
    ]


def test_audio_may_begin_elsewhere(kaldi, tmp_path):
    folder = kaldi("wav.scp", "r1 one.wav\nr2 one.wav\n")
    (tmp_path / "away").mkdir()
    (tmp_path / "one.wav").rename(tmp_path / "away" / "one.wav")
    with pytest.raises(DataError, match=r"line 1: the audio file .*one.wav' does not exist"):
        read_utterances(folder)
    assert len(read_utterances(folder, folder=tmp_path / "away")) == 2


@pytest.mark.parametrize(
    ("name", "text", "place", "message", "dropped"),
    [
        (
            "wav.scp",
            "r1 sox one.wav -t wav - |\nr2 one.wav\n",
            "wav.scp, line 1",
            "'sox one.wav -t wav - |' is a command, which is never run; write its audio",
            Dropped(malformed=1),
        ),
        ("wav.scp", "r2 one.wav\n", "text, line 2", "'r1' is not in", Dropped(malformed=1)),
        ("text", "r2 KATZE\n", "wav.scp, line 1", "'r1' is not in", Dropped(malformed=1)),
        ("text", "r2 KATZE\nr1\n", "text, line 2", "the text is empty", Dropped(empty=1)),
        ("text", "r2 A\nr2 B\nr1 C\n", "text, line 2", "'r2' was there", Dropped(malformed=1)),
        ("text", "r2 A\n\nr1 C\n", "text, line 2", "the line is empty", Dropped(malformed=1)),
        ("text", b"r2 A\nr1 \xff\n", "text, line 2", "not UTF-8", Dropped(undecodable=1)),
        ("wav.scp", b"r1 \xff\nr2 one.wav\n", "wav.scp, line 1", "not", Dropped(undecodable=1)),
        ("utt2spk", "r2 me\n", "text, line 2", "'r1' is not in", Dropped(malformed=1)),
        (
            "segments",
            "r2 r1 0 1\nr1 r3 0 1\n",
            "segments, line 2",
            "'r3' is not in",
            Dropped(malformed=1),
        ),
        (
            "segments",
            "r2 r1 0 1\nr1 r1 0\n",
            "segments, line 2",
            "'r1 0' is no recording, start and end in seconds",
            Dropped(malformed=1),
        ),
        (
            "segments",
            "r2 r1 0 1\nr1 r1 3 2\n",
            "text, line 2",
            "end=2 is not after start=3",
            Dropped(times=1),
        ),
    ],
)
def test_a_flaw_in_a_table_has_file_and_line_or_is_counted(
    kaldi, name, text, place, message, dropped
):
    folder = kaldi(name, text)
    with pytest.raises(DataError) as error:
        read_utterances(folder)
    assert str(error.value).startswith(f"{folder}/{place}: ")
    assert message in str(error.value)
    found = read_utterances(folder, invalid="skip")
    assert found.dropped == dropped
    assert len(found) == len({u.id for u in found}) >= 1


def test_a_folder_without_texts_is_named(kaldi):
    (kaldi("segments", "") / "text").unlink()
    with pytest.raises(DataError, match="text' does not exist"):
        read_utterances(kaldi("utt2spk", ""))


@pytest.fixture
def beside(tmp_path):
    """Writes files that need not hold sound."""

    def put(**files):
        for name, data in files.items():
            path = tmp_path / name.replace("__", "/").replace("_", ".")
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        return tmp_path

    return put


def test_texts_lie_beside_their_audio(beside):
    folder = beside(
        b_FLAC=b"", b_txt="\ufeffEINE\r\nKATZE\n".encode(), in__a_mfc=b"", in__a_txt=b"HUND",
        notes_pdf=b"", _hidden=b"",
    )  # fmt: skip
    found = read_utterances(folder)
    assert [(u.audio, u.text, u.id) for u in found] == [
        (folder / "b.FLAC", "EINE KATZE", "b"),
        (folder / "in" / "a.mfc", "HUND", "a"),
    ]
    assert found[0].where == str(folder / "b.txt")


@pytest.mark.parametrize(
    ("files", "place", "message", "dropped"),
    [
        ({"a_wav": b""}, "a.wav", "its text, 'a.txt', is not beside it", Dropped(malformed=1)),
        ({"a_txt": b"A"}, "a.txt", "no audio of the same name", Dropped(missing=1)),
        ({"a_wav": b"", "a_txt": b"\n"}, "a.txt", "the text is empty", Dropped(empty=1)),
        (
            {"a_wav": b"", "a_txt": b"A\n\xff"},
            "a.txt, line 2",
            "not UTF-8",
            Dropped(undecodable=1),
        ),
    ],
)
def test_a_flaw_in_a_folder_is_named_or_counted(beside, files, place, message, dropped):
    folder = beside(z_wav=b"", z_txt=b"Z", **files)
    with pytest.raises(DataError) as error:
        read_utterances(folder)
    assert str(error.value).startswith(f"{folder}/{place}: ")
    assert message in str(error.value)
    found = read_utterances(folder, invalid="skip")
    assert (found.texts, found.dropped) == (["Z"], dropped)


def test_a_folder_without_audio_is_named(beside):
    with pytest.raises(DataError, match=r"no audio in this folder \(.wav, .flac, .ogg, .mp3, .npy"):
        read_utterances(beside(a_txt=b"A"))
