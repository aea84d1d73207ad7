"""Rates of errors: closed cases, and jiwer's own figures."""

import sys

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwise.codec.speech.metrics import Confusion, speech_score
from loopwise.errors import DataError, MissingExtraError


def test_a_case_counted_by_hand():
    said = ["THE CAT SAT", "ON THE MAT", "YES"]
    found = speech_score(["THE RAT SAT", "THE MAT", "YES SIR"], said)
    assert (found.substitutions, found.deletions, found.insertions, found.hits) == (1, 1, 1, 5)
    assert (found.words, found.sentences, found.characters) == (7, 3, 24)
    assert found.wer == pytest.approx(3 / 7)
    assert found.sentence_error_rate == 1
    assert found.cer == pytest.approx((1 + 3 + 4) / 24)
    assert found.confusions == (
        Confusion("", "SIR", 1),
        Confusion("CAT", "RAT", 1),
        Confusion("ON", "", 1),
    )


def test_the_most_frequent_errors_come_first():
    found = speech_score(["X B", "X B", "A Y", "A B C"], ["A B", "A B", "A B", "A B"])
    assert [(c.said, c.heard, c.count) for c in found.confusions] == [
        ("A", "X", 2), ("", "C", 1), ("B", "Y", 1),
    ]  # fmt: skip
    assert len(speech_score(["X Y"], ["A B"], confusions=1).confusions) == 1


def test_neighbouring_errors_are_counted_word_by_word():
    assert speech_score(["X Y"], ["A B"]).confusions == (
        Confusion("A", "X", 1),
        Confusion("B", "Y", 1),
    )


def test_without_an_error():
    found = speech_score(["a  b\t", ""], [" a b", " "])
    assert (found.wer, found.cer, found.sentence_error_rate, found.confusions) == (0, 0, 0, ())


def test_silence_in_which_words_are_heard():
    found = speech_score(["A B"], [""])
    assert (found.wer, found.insertions, found.words, found.sentence_error_rate) == (2, 2, 0, 1)


texts = st.lists(st.sampled_from(["A", "B", "AB", "BA", "É"]), max_size=6).map(" ".join)


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=6))
def test_every_figure_is_that_of_jiwer(pairs):
    hypotheses, references = [list(side) for side in zip(*pairs, strict=True)]
    found = speech_score(hypotheses, references, confusions=1000)
    words = jiwer.process_words(references, hypotheses)
    for name in ("wer", "substitutions", "deletions", "insertions", "hits"):
        assert getattr(found, name) == getattr(words, name)
    assert found.wer == jiwer.wer(references, hypotheses)
    assert found.cer == jiwer.cer(references, hypotheses)
    wrong = sum(confusion.count for confusion in found.confusions)
    assert wrong == found.substitutions + found.deletions + found.insertions


@pytest.mark.parametrize(
    ("hypotheses", "references", "message"),
    [
        (["a"], ["a", "b"], "1 hypotheses and 2 references; each needs one"),
        ([], [], "there is no recognised text to measure"),
        ("a", ["a"], "hypotheses: must be a sequence of strings, not one string"),
        (["a"], [None], r"references\[0\]: must be a string, not NoneType"),
    ],
)
def test_what_cannot_be_measured(hypotheses, references, message):
    with pytest.raises(DataError, match=message):
        speech_score(hypotheses, references)


def test_without_jiwer_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "jiwer", None)
    with pytest.raises(MissingExtraError, match=r"Measuring .* pip install 'loopwise\[speech\]'"):
        speech_score(["a"], ["a"])
