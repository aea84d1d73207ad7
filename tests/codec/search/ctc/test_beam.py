import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.search.ctc.enumeration import best_path, collapsed, frames, probabilities
from loopwise.codec.ngram.estimate import estimate
from loopwise.codec.ngram.scorer import NGramScorer
from loopwise.codec.search.ctc.beam import SWEEP, CtcSearch
from loopwise.codec.search.ctc.greedy import GreedySearch
from loopwise.codec.search.ctc.options import CtcOptions
from loopwise.codec.search.lexicon import LexiconGrammar
from loopwise.codec.search.scorer import Blend
from loopwise.codec.search.units import UnitGrammar
from loopwise.errors import DataError, ShapeError

ALL = CtcOptions(beam_size=10**6, min_log_prob=-math.inf, max_distance=math.inf, sure_blank=1.0)
LEXICON = {"ab": [(1, 2)], "a": [(1,), (1, 2)], "b": [(2,)], "c": [(3, 1), (3,)], "see": [(3,)]}
SENTENCES = [["a", "b"], ["see", "a"], ["c", "b", "a"], ["ab", "see"], ["ab", "ab"]]


def seek(log_probs, grammar, options=ALL, count=10**6):
    search = CtcSearch(grammar, options)
    search.push(log_probs)
    return search.finish(count)


@pytest.mark.parametrize("seed", range(6))
def test_a_beam_as_wide_as_the_space_gives_every_text_its_probability(seed):
    log_probs = frames(seed, 5, 4)
    expected = probabilities(log_probs)
    found = seek(log_probs, UnitGrammar(4))
    assert {s.ids: s.log_probability for s in found} == pytest.approx(
        {ids: math.log(p) for ids, p in expected.items()}, abs=1e-9
    )
    assert [s.ids for s in found] == sorted(expected, key=lambda ids: -expected[ids])
    assert all(s.score == s.log_probability for s in found)


@pytest.mark.parametrize("seed", range(6))
def test_times_are_those_of_the_best_path(seed):
    log_probs = frames(seed, 5, 3)
    for found in seek(log_probs, UnitGrammar(3)):
        path = best_path(log_probs, found.ids)
        covered = [0] * len(path)
        for unit, start, end, confidence in zip(
            found.ids, found.starts, found.ends, found.confidences, strict=True
        ):
            covered[start:end] = [unit] * (end - start)
            assert confidence == pytest.approx(np.exp(log_probs[start:end, unit].max()))
        assert tuple(covered) == path


def lexicon_grammar(model):
    scorer = NGramScorer(model, list(LEXICON))
    return LexiconGrammar(LEXICON, 4, Blend([(scorer, 0.6)], bonus=1.5))


def pronounced(words):
    """All ways to say the words, as units."""
    return [sum(parts, ()) for parts in product(*[LEXICON[word] for word in words])]


def texts(log_probs):
    """The probability of each text, summed over its pronunciations and their paths."""
    units = probabilities(log_probs)
    every = [ws for n in range(len(log_probs) + 1) for ws in product(LEXICON, repeat=n)]
    found = {words: sum(units.get(said, 0.0) for said in pronounced(words)) for words in every}
    return {words: p for words, p in found.items() if p}


@pytest.mark.parametrize("smoothing", ["kneser-ney", "witten-bell"])
@pytest.mark.parametrize("seed", range(3))
def test_a_lexicon_and_a_language_model_rank_texts_by_their_definition(seed, smoothing):
    log_probs = frames(seed, 4, 4)
    model = estimate(SENTENCES, 3, smoothing=smoothing)
    grammar = lexicon_grammar(model)
    found = {s.words: s for s in seek(log_probs, grammar)}
    expected = texts(log_probs)
    assert found.keys() == expected.keys()
    for words, spoken in found.items():
        heard = math.log(expected[words])
        assert spoken.log_probability == pytest.approx(heard, abs=1e-9)
        language = 0.6 * model.log_probability(words) + 1.5 * len(words)
        assert spoken.score == pytest.approx(heard + language, abs=1e-9)
        assert spoken.ids in pronounced(words)
        said = [tuple(i for i, n in zip(spoken.ids, spoken.numbers, strict=True) if n == word)
                for word in range(len(words))]  # fmt: skip
        assert all(units in LEXICON[word] for units, word in zip(said, words, strict=True))


def test_words_with_a_separator_between_them():
    lexicon = {"ab": [(1, 2)], "a": [(1,)], "b": [(2,)]}
    log_probs = frames(3, 5, 4)
    units = probabilities(log_probs)
    found = seek(log_probs, LexiconGrammar(lexicon, 4, separator=3))
    expected = {}
    for words in [ws for n in range(4) for ws in product(lexicon, repeat=n)]:
        said = sum(((*lexicon[word][0], 3) for word in words), ())[:-1]
        if said in units:
            expected[words] = math.log(units[said])
    whole = {s.words: s.log_probability for s in found if s.ids[-1:] != (3,)}
    assert whole.keys() == expected.keys()
    best = max(found, key=lambda s: s.score)
    assert all((n == -1) == (i == 3) for i, n in zip(best.ids, best.numbers, strict=True))


def test_fusion_with_a_model_of_units():
    log_probs = frames(1, 4, 3)
    model = estimate([["a", "b", "a"], ["b", "b"]], 2)
    scorer = NGramScorer(model, ["-", "a", "b"])
    grammar = UnitGrammar(3, Blend([(scorer, 0.8)], bonus=-0.4))
    expected = probabilities(log_probs)
    for spoken in seek(log_probs, grammar):
        language = 0.8 * model.log_probability(["-ab"[i] for i in spoken.ids])
        total = math.log(expected[spoken.ids]) + language - 0.4 * len(spoken.ids)
        assert spoken.score == pytest.approx(total, abs=1e-9)


def trigram_grammar():
    return lexicon_grammar(estimate(SENTENCES, 3))


@settings(max_examples=20)
@given(
    st.integers(0, 99),
    st.lists(st.integers(0, SWEEP + 30), max_size=4),
    st.booleans(),
    st.sampled_from([0.9, 1.0]),
)
def test_cuts_make_no_difference(seed, cuts, lexicon, sure):
    log_probs = frames(seed, SWEEP + 30, 4, sharp=4.0, dtype=np.float32)
    grammar = trigram_grammar() if lexicon else UnitGrammar(4)
    options = CtcOptions(beam_size=6, sure_blank=sure)
    whole, cut = CtcSearch(grammar, options), CtcSearch(grammar, options)
    whole.push(log_probs)
    for part in np.split(log_probs, sorted(cuts)):
        cut.push(part)
        cut.best()
    assert cut.frames == whole.frames == len(log_probs)
    assert cut.n_best(5) == whole.n_best(5)
    assert cut.finish(5) == whole.finish(5)


@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(2, 6))
def test_a_beam_of_one_is_greedy_where_each_frame_has_a_sure_symbol(seed, count, size):
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.ones(size), count) * 0.24
    probs[np.arange(count), rng.integers(0, size, count)] += 0.76
    one = seek(np.log(probs), UnitGrammar(size), CtcOptions(beam_size=1, min_log_prob=-math.inf))
    greedy = GreedySearch(size)
    greedy.push(np.log(probs))
    [expected] = greedy.finish()
    assert one[0].ids == expected.ids == collapsed(probs.argmax(axis=1).tolist())


def test_long_utterances_leave_nothing_behind():
    search = CtcSearch(trigram_grammar(), CtcOptions(beam_size=4))
    log_probs = frames(0, 20 * SWEEP, 4, sharp=4.0)
    sizes = []
    for part in np.split(log_probs, 20):
        search.push(part)
        sizes.append(explored(next(iter(search._live)).history))
    words = len(search.best().words)
    assert words > 200
    assert max(sizes) < words + 30


def explored(history):
    """How many histories can be reached from the root of this one."""
    while history.parent is not None:
        history = history.parent
    count, rest = 0, [history]
    while rest:
        rest.extend(rest.pop().longer.values())
        count += 1
    return count


@pytest.mark.parametrize("sure", [0.6, 0.9])
@pytest.mark.parametrize("grammar", [UnitGrammar(4), LexiconGrammar(LEXICON, 4)])
def test_frames_that_are_blank_almost_surely_cost_no_more_than_stated(grammar, sure):
    log_probs = frames(2, 6, 4)
    log_probs[[0, 2, 3], 0] += 6.0
    log_probs -= np.logaddexp.reduce(log_probs, axis=1, keepdims=True)
    exact = {s.words or s.ids: s.log_probability for s in seek(log_probs, grammar)}
    blanks = np.exp(log_probs[:, 0])
    bound = (1 - blanks[blanks >= sure]).sum()
    assert 0 < bound < 1
    found = seek(log_probs, grammar, replace(ALL, sure_blank=sure))
    assert 1 < len(found) < len(exact)
    for spoken in found:
        lost = math.exp(exact[spoken.words or spoken.ids]) - math.exp(spoken.log_probability)
        assert -1e-12 < lost <= bound


def test_nothing_heard():
    search = CtcSearch(UnitGrammar(3))
    assert search.best().ids == ()
    assert search.finish()[0].log_probability == 0.0
    search.push(np.zeros((0, 3)))
    assert search.frames == 0


def test_a_word_that_is_cut_off_is_left_out():
    log_probs = np.log(np.full((3, 4), 0.01))
    for frame, unit in enumerate([2, 3, 1]):
        log_probs[frame, unit] = math.log(0.97)
    options = CtcOptions(beam_size=1)
    grammar = LexiconGrammar({"b": [(2,)], "long": [(3, 1, 2, 1)]}, 4)
    [spoken] = seek(log_probs, grammar, options)
    assert spoken.words == ("b",)
    assert spoken.ids == (2, 3, 1)


@pytest.mark.parametrize(
    ("log_probs", "error", "message"),
    [
        (np.zeros((2, 3)), ShapeError, r"log_probs: must be \[n, 4\], not \[2, 3\]"),
        (np.zeros(4), ShapeError, r"must be \[n, 4\], not \[4\]"),
        ([[0, 0, 0, 0], [0, 0, math.nan, 0]], DataError, "frame 1: .* nan"),
        ([[0, math.inf, 0, 0]], DataError, "frame 0: .* inf"),
        ([[-math.inf] * 4], DataError, "frame 0: .* -inf"),
        ([[-math.inf, -math.inf, -math.inf, 0]], DataError, "frame 0: .* exclude every text"),
    ],
)
def test_bad_frames(log_probs, error, message):
    search = CtcSearch(LexiconGrammar({"a": [(1,)]}, 4))
    with pytest.raises(error, match=message):
        search.push(log_probs)
