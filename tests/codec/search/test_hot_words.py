import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwise.codec.search.hot_words import HotWords
from loopwise.errors import DataError

units = st.integers(0, 2)
phrases = st.dictionaries(
    st.lists(units, min_size=1, max_size=4).map(tuple), st.floats(0, 5), max_size=5
)


@given(phrases, st.lists(units, max_size=12))
def test_the_sum_is_a_bonus_for_each_time_a_phrase_is_said(phrases, text):
    scored, total = (scorer := HotWords(phrases, 3)).start(), 0.0
    for unit in text:
        total += scored.scores[unit]
        [scored] = scorer.advance([scored.state], [unit])
    expected = sum(
        bonus
        for phrase, bonus in phrases.items()
        for start in range(len(text))
        if tuple(text[start : start + len(phrase)]) == phrase
    )
    assert total + scored.scores[-1] == pytest.approx(expected, abs=1e-9)


def test_shares_are_granted_on_the_way_and_taken_back():
    scorer = HotWords({(0, 1, 2): 6.0}, 3)
    scored, given = scorer.start(), []
    for unit in [0, 1, 1, 0, 1, 2, 2]:
        given.append(float(scored.scores[unit]))
        [scored] = scorer.advance([scored.state], [unit])
    assert given == [2.0, 2.0, -4.0, 2.0, 2.0, 2.0, 0.0]


@pytest.mark.parametrize(
    ("phrases", "message"),
    [
        ({(): 1.0}, r"a phrase is \[\]; must be units of 0 to 2"),
        ({(3,): 1.0}, r"a phrase is \[3\]"),
        ({(1,): float("inf")}, r"the bonus of \[1\] is inf; must be finite"),
    ],
)
def test_bad_phrases(phrases, message):
    with pytest.raises(DataError, match=message):
        HotWords(phrases, 3)
