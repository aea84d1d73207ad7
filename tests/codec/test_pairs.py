"""Which pairs are kept, and what is said of those that are not."""

from dataclasses import fields

import numpy as np
import pytest

from loopwise.codec.pairs import Dropped, PairFilter, Pairs, list_pairs
from loopwise.errors import ConfigError, DataError

PAIRS = [
    ("ein Hund", "a dog"),
    ("", "nothing"),
    ("eins zwei drei vier fünf", "one two three four five"),
    ("ein Hund", "a dog"),
    ("nein", "no no no no"),
    ("Katze", " \t"),
]


def test_pairs_keep_their_order_and_lose_the_space_around_them():
    pairs = list_pairs([(" ein  Hund ", "a dog\r"), ["\u2028Katze", "cat"]])
    assert pairs.sources == ["ein  Hund", "Katze"]
    assert pairs.targets == ["a dog", "cat"]
    assert (pairs.lines, pairs.names, len(pairs)) == ([1, 2], ["pairs"] * 2, 2)
    assert (pairs.where(1), pairs.name) == ("pairs, line 2", "pairs")
    assert str(pairs.dropped) == "no pair dropped"
    assert list_pairs(pairs) is pairs


def test_every_reason_is_counted_apart_and_told_in_one_line():
    wanted = PairFilter("skip", max_words=4, max_ratio=2, duplicates="drop")
    pairs = list_pairs([*PAIRS, ("a\nb", "c"), ("a\ud800", "c")], wanted)
    assert (pairs.sources, pairs.lines) == (["ein Hund"], [1])
    assert pairs.dropped == Dropped(malformed=2, empty=2, long=1, ratio=1, duplicate=1)
    assert pairs.dropped.total == 7
    assert str(pairs.dropped) == (
        "7 pairs dropped: 2 malformed, 2 with an empty side, 1 too long, "
        "1 of too unequal lengths, 1 repeated"
    )


def test_the_total_counts_every_reason():
    assert Dropped(*range(1, 1 + len(fields(Dropped)))).total == 21


def test_limits_are_the_last_that_is_allowed():
    pair = [("a b c d", "a b")]
    assert len(list_pairs(pair, PairFilter(max_words=4, max_ratio=2))) == 1
    assert len(list_pairs([*pair, ("b", "b")], PairFilter(max_ratio=1.9))) == 1
    with pytest.raises(DataError, match="source has 4 words, more than max_words=3"):
        list_pairs(pair, PairFilter(max_words=3))


def test_ratio_and_duplicates_are_counted_even_where_flaws_are_errors():
    pairs = list_pairs(
        [("a", "b"), ("a", "b"), ("a", "b c d"), ("b c d", "a")],
        PairFilter(max_ratio=2, duplicates="drop"),
    )
    assert pairs.dropped == Dropped(ratio=2, duplicate=1)
    assert len(pairs) == 1


def test_a_source_with_two_translations_is_not_repeated():
    assert len(list_pairs([("a", "b"), ("a", "c")], PairFilter(duplicates="drop"))) == 2


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (("", "b"), r"^pairs, line 2: the source is empty; .* invalid=skip$"),
        (("a", " "), "line 2: the target is empty"),
        (("a", "b\nc"), "line 2: the target holds a line break or a lone surrogate"),
        (("a\udce9", "b"), "line 2: the source holds a line break or a lone surrogate"),
        (("a", "b c d e"), "line 2: the target has 4 words, more than max_words=3"),
        (("a", 1), r"line 2: \('a', 1\) is no \(source, target\) of strings"),
        ("ab", r"line 2: 'ab' is no \(source, target\)"),
        (("a", "b", "c"), r"line 2: \('a', 'b', 'c'\) is no"),
        (["x" * 99], r"line 2: .{60} is no \(source"),
    ],
)
def test_a_pair_that_cannot_be_used_is_named(pair, message):
    with pytest.raises(DataError, match=message):
        list_pairs([("a", "b"), pair], PairFilter(max_words=3))


@pytest.mark.parametrize("given", ["text", b"text", 3, None])
def test_what_is_no_sequence_is_refused(given):
    with pytest.raises(DataError, match=f"train: must be a sequence .*{type(given).__name__}"):
        list_pairs(given, name="train")


def test_nothing_to_use_is_an_error():
    with pytest.raises(DataError, match=r"train: there is no pair .*no pair dropped"):
        list_pairs([], name="train")
    with pytest.raises(DataError, match="1 pair dropped: 1 with an empty side"):
        list_pairs([("", "b")], PairFilter("skip"))


def test_chosen_pairs_are_in_the_order_asked_for():
    pairs = list_pairs([("a", "A"), ("b", "B"), ("c", "C")])
    assert pairs.choose(np.array([2, 0])) == Pairs(["c", "a"], ["C", "A"], [3, 1], ["pairs"] * 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"invalid": "ignore"}, "invalid='ignore': must be 'error' or 'skip'"),
        ({"duplicates": True}, "duplicates=True: must be 'keep' or 'drop'"),
        ({"max_words": -1}, "max_words=-1: must be 0"),
        ({"max_words": 1.5}, "max_words=1.5"),
        ({"max_ratio": 0.5}, "max_ratio=0.5: must be 0"),
        ({"max_ratio": float("nan")}, "max_ratio=nan"),
    ],
)
def test_a_filter_checks_its_options(options, message):
    with pytest.raises(ConfigError, match=message):
        PairFilter(**options)
