import pytest

from loopwise.codec.recognition import Recognition, Word
from loopwise.codec.search.spoken import Spoken, recognition


class Letters:
    """Units that are letters, 5 the space."""

    def decode(self, ids):
        return "".join("-abcd "[i] for i in ids)

    def token(self, unit):
        return "-abcd "[unit]

    def words(self, ids):
        numbers, word = [], 0
        for i in ids:
            numbers.append(-1 if i == 5 else word)
            word += i == 5
        return numbers


IDS, STARTS, ENDS, SURE = (1, 2, 5, 3), (0, 3, 4, 9), (2, 4, 5, 11), (0.5, 0.125, 1.0, 0.75)
TOKENS = (
    Word("a", 0.0, 0.5, 0.5),
    Word("b", 0.75, 1.0, 0.125),
    Word(" ", 1.0, 1.25, 1.0),
    Word("c", 2.25, 2.6, 0.75),
)


def test_words_of_units():
    spoken = Spoken(IDS, STARTS, ENDS, SURE, None, (-1,) * 4, -3.0, -2.0)
    words = (Word("ab", 0.0, 1.0, pytest.approx(0.25)), Word("c", 2.25, 2.6, 0.75))
    assert recognition(spoken, Letters(), 0.25, duration=2.6) == Recognition(
        "ab c", words, TOKENS, -2.0
    )


def test_words_of_a_lexicon_without_the_unfinished_one():
    spoken = Spoken(IDS, STARTS, ENDS, SURE, ("Ab",), (0, 0, -1, 1), -3.0, -2.0)
    words = (Word("Ab", 0.0, 1.0, pytest.approx(0.25)),)
    assert recognition(spoken, Letters(), 0.25, duration=2.6) == Recognition(
        "Ab", words, TOKENS, -2.0
    )


def test_a_unit_without_any_probability_gives_its_word_none():
    spoken = Spoken((1, 2), (0, 1), (1, 2), (0.0, 1.0), None, (-1, -1), -3.0, -2.0)
    assert recognition(spoken, Letters(), 1.0).words == (Word("ab", 0.0, 2.0, 0.0),)
