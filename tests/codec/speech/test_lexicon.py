"""Pronunciations from dictionaries in CMU's format."""

import json
import os
from pathlib import Path

import pytest

from loopwise.codec.speech.lexicon import Lexicon, read_lexicon
from loopwise.errors import DataError

TEXT = """;;; a comment
A                    AH0
A(2)  EY1
'BOUT  B AW1 T  # clipped
C#  S IY1 SH AA1 R P
(2)  T UW1

TO T UW1
TO T AH0
TO(3) T UW1
"""


@pytest.fixture
def dictionary(tmp_path):
    def written(text):
        path = tmp_path / "words.dic"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return written


def test_words_variants_and_comments(dictionary):
    lexicon = read_lexicon(dictionary(TEXT))
    assert lexicon.words == ("A", "'BOUT", "C#", "(2)", "TO")
    assert lexicon.pronunciations("A") == (("AH0",), ("EY1",))
    assert lexicon.pronunciations("TO") == (("T", "UW1"), ("T", "AH0"))
    assert lexicon.pronunciations("'BOUT") == (("B", "AW1", "T"),)
    assert ("A" in lexicon, "B" in lexicon, len(lexicon)) == (True, False, 5)
    assert " ".join(lexicon.phones) == "AA1 AH0 AW1 B EY1 IY1 P R S SH T UW1"


def test_stress_may_be_left_out(dictionary):
    lexicon = read_lexicon(dictionary(TEXT + "X  1 AH2\n"), stress=False)
    assert lexicon.pronunciations("A") == (("AH",), ("EY",))
    assert lexicon.pronunciations("X") == (("1", "AH"),)


def test_missing_words_are_told_once():
    lexicon = Lexicon([("A", [("AH",)])])
    assert lexicon.missing(["B", "A", "C", "B"]) == ["B", "C"]
    with pytest.raises(DataError, match="lexicon: the word 'B' is not in it"):
        lexicon.pronunciations("B")


def test_words_that_become_the_same_share_their_pronunciations():
    lexicon = Lexicon([("polish", [("P", "AA")]), ("Polish", [("P", "OW"), ("P", "AA")])])
    assert lexicon.normalised("upper").to_json() == {"POLISH": ["P AA", "P OW"]}
    assert lexicon.normalised("none").words == lexicon.words


def test_a_lexicon_survives_json(dictionary):
    lexicon = read_lexicon(dictionary(TEXT))
    described = json.loads(json.dumps(lexicon.to_json()))
    again = Lexicon.from_json(described)
    assert (again.to_json(), again.words, again.phones) == (
        described, lexicon.words, lexicon.phones,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A AH\nB\n", "words.dic, line 2: the word 'B' has no phones"),
        ("A AH\nB # B IY\n", "line 2: the word 'B' has no phones"),
        (";;; nothing\n", "words.dic: there is no word in it"),
        (b"A AH\nB\xe9 B\n", r"line 2\) is not UTF-8; convert it"),
    ],
)
def test_a_broken_dictionary_is_named(dictionary, text, message):
    with pytest.raises(DataError, match=message):
        read_lexicon(dictionary(text))


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ([], "a lexicon is an object, not list"),
        ({}, "there is no word"),
        ({"A": "AH"}, "'A' has no list of strings"),
        ({"A": [1]}, "'A' has no list of strings"),
        ({"A": []}, "'A' has no phones"),
        ({"A": ["AH", ""]}, "'A' has no phones"),
        ({"A B": ["AH"]}, "'A B', of 'A B', is no word"),
        ({"": ["AH"]}, "'', of '', is no word"),
    ],
)
def test_what_is_no_lexicon_is_refused(described, message):
    with pytest.raises(DataError, match=message):
        Lexicon.from_json(described)


def test_the_dictionary_of_an4():
    path = Path(os.environ.get("LOOPWISE_DATA") or "nowhere", "an4", "etc", "an4.dic")
    if not path.exists():
        pytest.skip("LOOPWISE_DATA does not name a folder with an4/etc/an4.dic")
    lexicon = read_lexicon(path)
    lines = path.read_text().splitlines()
    assert sum(len(lexicon.pronunciations(word)) for word in lexicon.words) == len(lines)
    assert lexicon.pronunciations("A") == (("AH",), ("EY",))
    phones = path.with_suffix(".phone").read_text().split()
    assert set(lexicon.phones) | {"SIL"} == set(phones)
