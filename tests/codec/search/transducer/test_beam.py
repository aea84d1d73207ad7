import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.search.transducer.toy import Toy, encoded
from loopwise.codec.ngram.estimate import estimate
from loopwise.codec.ngram.scorer import NGramScorer
from loopwise.codec.search.lexicon import LexiconGrammar
from loopwise.codec.search.scorer import Blend
from loopwise.codec.search.transducer.beam import SWEEP, TransducerSearch
from loopwise.codec.search.transducer.greedy import GreedyTransducer
from loopwise.codec.search.transducer.options import TransducerOptions
from loopwise.codec.search.units import UnitGrammar
from loopwise.errors import ConfigError, DataError, ShapeError


def everything(**options):
    return TransducerOptions(
        beam_size=10**6, min_log_prob=-math.inf, max_distance=math.inf, **options
    )


def seek(predictor, frames, grammar, options, count=10**6):
    search = TransducerSearch(predictor, grammar, options)
    search.push(encoded(frames))
    return search.finish(count)


@pytest.mark.parametrize("one_a_frame", [False, True])
@pytest.mark.parametrize(("frames", "most"), [(1, 3), (2, 2), (3, 1), (3, 2)])
def test_a_beam_as_wide_as_the_space_gives_every_text_its_probability(frames, most, one_a_frame):
    toy = Toy(frames)
    longest = frames * (1 if one_a_frame else most)
    texts = [text for n in range(longest + 1) for text in product([1, 2], repeat=n)]
    expected = {text: toy.probability(text, frames, most, one_a_frame) for text in texts}
    options = everything(max_symbols=most, one_a_frame=one_a_frame)
    found = seek(toy, frames, UnitGrammar(3), options)
    assert {s.ids: math.exp(s.log_probability) for s in found} == pytest.approx(expected)
    assert [s.ids for s in found] == sorted(expected, key=lambda text: -expected[text])
    for spoken in found:
        assert all(a < frames for a in spoken.starts)
        bounds = [*spoken.starts, frames][1:]
        for start, end, bound in zip(spoken.starts, spoken.ends, bounds, strict=True):
            assert end == min(start + 1, bound)


def test_a_language_model_of_units_is_added():
    toy = Toy(1)
    model = estimate([["a", "b", "a"], ["b", "b"]], 2)
    grammar = UnitGrammar(3, Blend([(NGramScorer(model, "-ab"), 0.8)], bonus=0.5))
    for spoken in seek(toy, 2, grammar, everything(max_symbols=2)):
        heard = math.log(toy.probability(spoken.ids, 2, 2))
        language = 0.8 * model.log_probability(["-ab"[i] for i in spoken.ids])
        assert spoken.score == pytest.approx(heard + language + 0.5 * len(spoken.ids))


def test_words_of_a_lexicon():
    toy = Toy(2)
    lexicon = {"ab": [(1, 2)], "b": [(2,)]}
    found = seek(toy, 3, LexiconGrammar(lexicon, 3), everything(max_symbols=2))
    words = [text for n in range(7) for text in product(lexicon, repeat=n)]
    said = {text: sum((lexicon[word][0] for word in text), ()) for text in words}
    expected = {text: toy.probability(units, 3, 2) for text, units in said.items()}
    expected = {text: p for text, p in expected.items() if p}
    assert {s.words: math.exp(s.log_probability) for s in found} == pytest.approx(expected)


@given(st.integers(0, 10**6), st.integers(0, 12), st.integers(2, 4))
def test_a_beam_of_one_is_greedy_where_each_symbol_is_sure(seed, frames, size):
    toy = Toy(seed, size, sure=0.9)
    options = TransducerOptions(beam_size=1, max_symbols=8, max_distance=math.inf)
    greedy = GreedyTransducer(toy, max_symbols=8)
    greedy.push(encoded(frames))
    [expected] = greedy.finish()
    [found] = seek(toy, frames, UnitGrammar(size), options)
    alone = max(expected.starts.count(t) for t in range(frames)) if frames else 0
    if alone < 5:  # 0.9 ^ 5 is still far above what all others may have
        assert (found.ids, found.starts, found.ends) == (
            expected.ids,
            expected.starts,
            expected.ends,
        )
        assert found.confidences == pytest.approx(expected.confidences)


@settings(max_examples=15)
@given(st.integers(0, 99), st.lists(st.integers(0, SWEEP + 9), max_size=4), st.booleans())
def test_cuts_make_no_difference(seed, cuts, one_a_frame):
    frames = encoded(SWEEP + 9)
    searches = [
        TransducerSearch(
            Toy(seed, sure=0.5),
            UnitGrammar(3),
            TransducerOptions(beam_size=3, max_symbols=2, one_a_frame=one_a_frame),
        )
        for _ in range(2)
    ]
    searches[0].push(frames)
    for part in np.split(frames, sorted(cuts)):
        searches[1].push(part)
        searches[1].best()
    assert searches[0].n_best(3) == searches[1].n_best(3)
    assert searches[0].finish(2) == searches[1].finish(2)


def test_sure_frames_ask_little():
    toy = Toy(0, sure=0.999)
    search = TransducerSearch(toy, UnitGrammar(3), TransducerOptions(max_distance=3.0))
    search.push(encoded(20))
    assert toy.rows <= 2 * (20 + len(search.best().ids))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_symbols": 0}, "max_symbols=0: must be at least 1 and whole"),
        ({"beam_size": 0}, "beam_size=0"),
    ],
)
def test_options_that_are_not_allowed(options, message):
    with pytest.raises(ConfigError, match=message):
        TransducerOptions(**options)


class Wrong(Toy):
    def __init__(self, answer):
        super().__init__(0)
        self.answer = np.array(answer)

    def join(self, frame, states):
        return self.answer


@pytest.mark.parametrize("make", [TransducerSearch, lambda p, _: GreedyTransducer(p)])
@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        ([[0.0, 0.0]], ShapeError, r"must be \[1, 3\], not \[1, 2\]"),
        ([[0.0] * 3] * 2, ShapeError, r"must be \[1, 3\], not \[2, 3\]"),
        ([[0.0, math.nan, 0.0]], DataError, "frame 0: the largest log probability is nan"),
        ([[-math.inf] * 3], DataError, "frame 0: the largest log probability is -inf"),
    ],
)
def test_bad_answers(make, answer, error, message):
    with pytest.raises(error, match=message):
        make(Wrong(answer), UnitGrammar(3)).push(encoded(1))


def test_what_does_not_fit():
    with pytest.raises(ConfigError, match="transducer has 3 symbols and the grammar 4"):
        TransducerSearch(Toy(0), UnitGrammar(4))
    with pytest.raises(ShapeError, match=r"encoded: must be \[n, E\], not \[3\]"):
        TransducerSearch(Toy(0), UnitGrammar(3)).push(np.zeros(3))
    excluded = Wrong([[-math.inf, 0.0, -math.inf]])
    with pytest.raises(DataError, match=r"frame 0: .* exclude every text"):
        TransducerSearch(excluded, LexiconGrammar({"b": [(2,)]}, 3)).push(encoded(1))
