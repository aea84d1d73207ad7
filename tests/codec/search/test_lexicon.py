import pytest

from loopwise.codec.search.lexicon import LexiconGrammar
from loopwise.codec.search.trie import Trie
from loopwise.errors import ConfigError, DataError


def test_words_that_begin_alike_share_branches_and_words_that_sound_alike_a_leaf():
    root = Trie({"to": [(1, 2)], "two": [(1, 2)], "tea": [(1, 3), (1, 3)], "o": [(2,)]}, 4).root
    assert root.children.keys() == {1, 2}
    assert root.children[1].children.keys() == {2, 3}
    assert root.children[1].children[2].words == (0, 1)
    assert root.children[1].children[3].words == (2,)
    assert root.children[1].words == ()


@pytest.mark.parametrize(
    ("pronunciations", "message"),
    [
        ({}, "lexicon: has no words"),
        ({"a": []}, "lexicon: 'a' has no pronunciation"),
        ({"a": [()]}, "lexicon: 'a' has an empty pronunciation"),
        ({"a": [(1, 4)]}, "lexicon: 'a' has unit 4; units here are 1 to 3"),
        ({"a": [(0,)]}, "lexicon: 'a' has unit 0"),
    ],
)
def test_what_is_no_lexicon(pronunciations, message):
    with pytest.raises(DataError, match=message):
        LexiconGrammar(pronunciations, 4)


def test_separators_are_units_outside_words():
    with pytest.raises(DataError, match="'a' has the separator, unit 3, in it"):
        LexiconGrammar({"a": [(1, 3, 1)]}, 4, separator=3)
    with pytest.raises(ConfigError, match="separator=4: must be a unit, from 1 to 3"):
        LexiconGrammar({"a": [(1,)]}, 4, separator=4)


def test_equal_texts_are_one_state_however_they_were_pronounced():
    grammar = LexiconGrammar({"a": [(1,), (1, 2)], "b": [(3,)]}, 4)

    def follow(*units):
        states = [start]
        for unit in units:
            grammar.expand([(state, unit) for state in states])
            states = [longer for state in states for longer in state.moves[unit]]
        return states

    start = grammar.start()
    assert follow(1, 3) == follow(1, 2, 3) != follow(1, 3, 3)
    assert follow(3, 2) == []
    [reading] = grammar.read(follow(1, 2, 3), final=True)[0]
    assert reading.words == ("a", "b")


def test_forgetting_keeps_what_leads_to_the_living():
    grammar = LexiconGrammar({"a": [(1,)], "b": [(2, 3)]}, 4)
    start = grammar.start()
    grammar.expand([(start, 1), (start, 2)])
    [a], [_] = start.moves[1], start.moves[2]
    grammar.expand([(a, 1), (a, 2)])
    [aa], [ab] = a.moves[1], a.moves[2]
    assert aa.history is ab.history
    grammar.forget([ab])
    assert start.history.states == {}
    assert ab.history.states == {ab.node: ab}
    assert start.history.longer == {0: ab.history}
    grammar.expand([(a, 2)])
    assert a.moves[2] == (ab,)
