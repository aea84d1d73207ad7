"""Transcripts as files."""

import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwise.codec.recognition import Recognition, Word
from loopwise.codec.speech.output import transcript, transcript_lines
from loopwise.errors import ConfigError, DataError


def heard(*words, score=-1.5):
    """A recognition of (text, start, end)."""
    said = tuple(Word(*word, confidence=0.875) for word in words)
    return Recognition(" ".join(word.text for word in said), said, said, score)


PARTS = [
    heard(("GUTEN", 0.5, 0.81234), ("<TAG>", 0.9, 1.2)),
    heard(),
    heard(("&", 3661.0, 3661.0)),
]


def test_text_has_a_line_for_each_part():
    assert transcript("text", "a.wav", PARTS) == "GUTEN <TAG>\n\n&\n"


def test_json_is_one_line_with_times():
    text = transcript("json", "ä.wav", PARTS)
    assert text.count("\n") == 1
    found = json.loads(text)
    assert (found["audio"], found["text"]) == ("ä.wav", "GUTEN <TAG> &")
    assert [part["text"] for part in found["parts"]] == ["GUTEN <TAG>", "", "&"]
    assert found["parts"][0]["score"] == -1.5
    word = {"text": "GUTEN", "start": 0.5, "end": 0.812, "confidence": 0.875}
    assert found["parts"][0]["words"][0] == word


def test_json_has_no_infinity():
    found = json.loads(transcript("json", "a", [heard(score=-math.inf)]))
    assert found["parts"][0]["score"] is None


def test_srt():
    assert transcript("srt", "a.wav", PARTS) == (
        "1\n00:00:00,500 --> 00:00:01,200\nGUTEN <TAG>\n\n2\n01:01:01,000 --> 01:01:01,001\n&\n\n"
    )


def test_vtt_escapes_what_would_be_markup():
    assert transcript("vtt", "a.wav", PARTS) == (
        "WEBVTT\n\n00:00:00.500 --> 00:00:01.200\nGUTEN &lt;TAG&gt;\n\n"
        "01:01:01.000 --> 01:01:01.001\n&amp;\n\n"
    )


def test_ctm():
    assert transcript("ctm", "my file", PARTS) == (
        "my_file 1 0.500 0.312 GUTEN 0.8750\n"
        "my_file 1 0.900 0.300 <TAG> 0.8750\n"
        "my_file 1 3661.000 0.000 & 0.8750\n"
    )


def test_nothing_heard():
    found = {kind: transcript(kind, "a", []) for kind in ("text", "srt", "vtt", "ctm")}
    assert found == {"text": "", "srt": "", "vtt": "WEBVTT\n\n", "ctm": ""}
    assert json.loads(transcript("json", "a", [])) == {"audio": "a", "text": "", "parts": []}


def cues(parts):
    """The texts of the subtitles."""
    return [block.split("\n", 2)[2] for block in transcript("srt", "a", parts).split("\n\n")[:-1]]


def test_a_subtitle_ends_at_a_pause_and_at_a_part():
    assert cues([heard(("A", 0, 1), ("B", 1.9, 2), ("C", 3, 4))]) == ["A B", "C"]
    assert cues([heard(("A", 0, 1)), heard(("B", 1, 2))]) == ["A", "B"]


def test_long_subtitles_have_two_lines_of_like_length():
    (cue,) = cues([heard(*((word, 0, 0) for word in ["AAAAAAAAA", "BBBBBBBBB"] * 4))])
    assert cue == "\n".join(["AAAAAAAAA BBBBBBBBB AAAAAAAAA BBBBBBBBB"] * 2)


words = st.lists(st.tuples(st.text("ab", min_size=1, max_size=99), st.floats(0, 3)), max_size=60)


@given(words)
def test_subtitles_hold_every_word_in_time(drawn):
    clock, said = 0.0, []
    for text, seconds in drawn:
        said.append((text, clock, clock + seconds))
        clock += seconds
    srt = transcript("srt", "a", [heard(*said)])
    blocks = srt.split("\n\n")[:-1]
    assert [word for cue in cues([heard(*said)]) for word in cue.split()] == [w for w, _ in drawn]
    last = 0.0
    for number, block in enumerate(blocks, 1):
        index, span, text = block.split("\n", 2)
        start, end = (_seconds(stamp) for stamp in span.split(" --> "))
        assert int(index) == number
        assert last - 0.0015 <= start < end
        if " " in text or "\n" in text:
            assert end - start <= 7.0011
            assert len(text) <= 84
        last = end


def _seconds(stamp):
    hours, minutes, seconds, thousandths = map(int, re.split("[:,]", stamp))
    return 3600 * hours + 60 * minutes + seconds + thousandths / 1000


def test_an_unknown_kind_is_refused():
    with pytest.raises(ConfigError, match="output 'ass' is unknown; allowed are text, json, srt"):
        transcript("ass", "a", [])


@pytest.mark.parametrize("kind", ["srt", "vtt", "ctm"])
def test_text_without_words_has_no_times(kind):
    with pytest.raises(DataError, match=f"a.wav: {kind} needs the times of words"):
        transcript(kind, "a.wav", [Recognition("A", (), (), 0.0)])


@pytest.mark.parametrize("kind", ["text", "srt", "vtt", "ctm"])
def test_lines_of_a_part_are_there_before_the_next_part(kind):
    asked = []

    def parts():
        for number, part in enumerate(PARTS):
            asked.append(number)
            yield part

    lines = transcript_lines(kind, "a", parts())
    first = []
    while len(asked) < 2:
        first.append(next(lines))
    text = "".join(f"{line}\n" for line in first[:-1])
    assert "TAG" in text
    assert transcript(kind, "a", PARTS) == "".join(f"{line}\n" for line in [*first, *lines])


def test_lines_of_json_are_an_object_a_part():
    lines = [f"{line}\n" for line in transcript_lines("json", "a", iter(PARTS))]
    assert lines == [transcript("json", "a", [part]) for part in PARTS]
