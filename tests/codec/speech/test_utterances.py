"""Which utterances are fit to be used, and what is said of those that are not."""

from dataclasses import fields
from pathlib import Path

import pytest

from loopwise.codec.speech.utterances import (
    Dropped,
    Flaw,
    Utterance,
    Utterances,
    list_utterances,
    select_utterances,
)
from loopwise.errors import ConfigError, DataError


@pytest.fixture(autouse=True)
def audio(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.wav", "b.wav"):
        Path(name).write_bytes(b"RIFF")


def test_pairs_mappings_and_utterances_are_the_same():
    known = Utterance(Path("a.wav"), "ONE TWO", id="a", where="list[0]")
    for given in (
        ("a.wav", " ONE\t TWO\n"),
        [Path("a.wav"), "ONE TWO"],
        {"audio": "a.wav", "text": "ONE TWO", "start": None, "loudness": 3},
        Utterance(Path("a.wav"), "ONE  TWO"),
    ):
        (found,) = list_utterances([given], name="list")
        assert found == known


def test_every_field_is_taken():
    entries = {"audio": "a.wav", "text": "X", "speaker": 19, "start": 1, "end": 2.5, "id": "u"}
    (found,) = list_utterances([entries])
    assert found == Utterance(Path("a.wav"), "X", "19", 1.0, 2.5, "u", "utterances[0]")


def test_utterances_are_a_sequence_that_is_taken_as_it_is():
    both = list_utterances([("a.wav", "A"), ("b.wav", "B")], name="list")
    assert list_utterances(both) is both
    assert (len(both), both[1].text, both.texts) == (2, "B", ["A", "B"])
    chosen = both.choose([1, 0, 1])
    assert (chosen.texts, chosen.name, chosen.dropped) == (["B", "A", "B"], "list", Dropped())


def test_speakers_come_once_in_their_order():
    items = tuple(Utterance(Path("a"), "A", speaker) for speaker in "babc")
    assert Utterances(items).speakers == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("entries", "reason", "message"),
    [
        ({"text": "X"}, "malformed", "no 'audio'"),
        ({"audio": "", "text": "X"}, "malformed", "audio='': must be the path of a file"),
        ({"audio": "a.wav"}, "malformed", "no 'text'"),
        ({"audio": "a.wav", "text": 3}, "malformed", "text=3: must be a string"),
        ({"audio": "a.wav", "text": "\ud800"}, "malformed", "a lone surrogate"),
        ({"audio": "a.wav", "text": " \n"}, "empty", "the text is empty"),
        ({"audio": "c.wav", "text": "X"}, "missing", "the audio file 'c.wav' does not exist"),
        ({"audio": "x\0y", "text": "X"}, "missing", "the audio file .* does not exist"),
        ({"audio": "n" * 5000, "text": "X"}, "missing", "the audio file .* does not exist"),
        ({"audio": "a.wav", "text": "X", "speaker": [1]}, "malformed", r"speaker=\[1\]: must be"),
        ({"audio": "a.wav", "text": "X", "start": -1}, "malformed", "start=-1: must be seconds"),
        ({"audio": "a.wav", "text": "X", "end": "2"}, "malformed", "end='2': must be seconds"),
        ({"audio": "a.wav", "text": "X", "end": float("nan")}, "malformed", "end=nan"),
        ({"audio": "a.wav", "text": "X", "start": True}, "malformed", "start=True"),
        ({"audio": "a.wav", "text": "X", "end": 0}, "times", "end=0 is not after start=0"),
        (
            {"audio": "a.wav", "text": "X", "start": 2, "end": 2},
            "times",
            "end=2 is not after start=2",
        ),
        (3, "malformed", r"int is no \(audio, text\) and no mapping"),
        (("a.wav", "X", "me"), "malformed", "tuple is no"),
    ],
)
def test_a_flaw_is_named_or_skipped_and_counted(entries, reason, message):
    given = [("a.wav", "A"), entries]
    with pytest.raises(DataError, match=rf"^train\[1\]: {message}.*; mend it, or .*invalid=skip$"):
        list_utterances(given, name="train")
    kept = list_utterances(given, invalid="skip")
    assert kept.texts == ["A"]
    assert kept.dropped == Dropped(**{reason: 1})


def test_what_is_dropped_is_told_in_one_line():
    assert str(Dropped()) == "no utterance dropped"
    assert str(Dropped(short=1)) == "1 utterance dropped: 1 too short for their text"
    assert str(Dropped(missing=1200, empty=1)) == (
        "1,201 utterances dropped: 1,200 without their audio, 1 without text"
    )
    assert Dropped(*range(1, 1 + len(fields(Dropped)))).total == 45


def test_a_later_selection_counts_on():
    first = select_utterances(
        [Utterance(Path("a"), "A"), Utterance(Path("b"), "B"), Flaw("m, line 3", "empty", "e")],
        invalid="skip",
    )
    later = (Flaw(u.where, "short", "1 frame") if u.text == "B" else u for u in first)
    second = select_utterances(later, invalid="skip", dropped=first.dropped)
    assert second.texts == ["A"]
    assert second.dropped == Dropped(empty=1, short=1)


def test_nothing_to_use_is_an_error():
    with pytest.raises(DataError, match=r"^train: there is no utterance to use \(1 utterance drop"):
        list_utterances([("a.wav", "")], invalid="skip", name="train")
    with pytest.raises(DataError, match="no utterance to use"):
        list_utterances([])


@pytest.mark.parametrize("given", ["a.wav", b"a.wav", {"audio": "a.wav", "text": "A"}, 3, None])
def test_what_is_no_sequence_is_refused(given):
    with pytest.raises(DataError, match=f"train: must be a sequence .*{type(given).__name__}"):
        list_utterances(given, name="train")


def test_what_becomes_of_flaws_is_checked():
    with pytest.raises(ConfigError, match="invalid='drop': must be 'error' or 'skip'"):
        list_utterances([("a.wav", "A")], invalid="drop")
