import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.search.toy import END, Toy, attention, forced, log_probs, score, sequences
from loopwise.codec.search.options import Sampling, Search
from loopwise.codec.search.prediction import Prediction
from loopwise.codec.search.sequences import search
from loopwise.errors import ConfigError, DataError, ShapeError

WIDE = 200  # more hypotheses than the toy has with 3 tokens and 5 steps


def seek(seeds, options, limit=5, **toy):
    model = Toy(seeds, **toy)
    return search(
        model,
        options,
        end=END,
        limits=[limit] * len(model.seeds),
        source_lengths=model.positions,
    )


def listed(hypotheses):
    return [tuple(h.ids.tolist()) for h in hypotheses]


def same(a, b):
    assert listed(a) == listed(b)
    for x, y in zip(a, b, strict=True):
        assert (x.score, x.log_probability, x.cut) == (y.score, y.log_probability, y.cut)
        np.testing.assert_array_equal(x.log_probs, y.log_probs)
        assert (x.attention is None) == (y.attention is None)
        if x.attention is not None:
            np.testing.assert_array_equal(x.attention, y.attention)


@pytest.mark.parametrize("min_length", [0, 2])
@pytest.mark.parametrize("coverage_penalty", [0.0, 0.3])
@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.0, 3.0])
def test_a_beam_as_wide_as_the_space_finds_the_best_of_all(
    length_penalty, coverage_penalty, min_length
):
    options = Search(
        beam_size=WIDE,
        n_best=4,
        length_penalty=length_penalty,
        coverage_penalty=coverage_penalty,
        min_length=min_length,
    )
    positions = [3, 1, 4, 2, 2]
    for seed, found in enumerate(seek(range(5), options, positions=positions)):
        everything = sequences(3, 5, least=min_length)
        scores = {ids: score(seed, ids, options, positions=positions[seed]) for ids in everything}
        best = sorted(everything, key=lambda ids: -scores[ids])[:4]
        assert listed(found) == best
        np.testing.assert_allclose([h.score for h in found], [scores[i] for i in best], rtol=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_a_beam_of_one_is_greedy(seed):
    ids = []
    while len(ids) < 6 and (t := int(log_probs(seed, tuple(ids), 5).argmax())) != END:
        ids.append(t)
    [[found]] = seek([seed], Search(length_penalty=1.0), limit=6, vocabulary=5)
    assert found.ids.tolist() == ids
    assert found.ids.dtype == np.int32
    assert found.cut == (log_probs(seed, tuple(ids), 5).argmax() != END)


options_ = st.builds(
    lambda beam, best, **rest: Search(beam_size=beam, n_best=min(beam, best), **rest),
    st.integers(1, 6),
    st.integers(1, 6),
    length_penalty=st.sampled_from([0.0, 0.6, 1.5]),
    coverage_penalty=st.sampled_from([0.0, 0.2]),
    block_ngram=st.integers(0, 3),
    min_length=st.integers(0, 3),
) | st.builds(
    lambda best, sampling, **rest: Search(n_best=best, sampling=sampling, **rest),
    st.integers(1, 3),
    st.builds(
        Sampling,
        temperature=st.sampled_from([0.0, 0.7, 1.0]),
        top_k=st.integers(0, 3),
        top_p=st.sampled_from([0.8, 1.0]),
        seed=st.integers(0, 9),
    ),
    block_ngram=st.integers(0, 3),
    min_length=st.integers(0, 3),
)


@given(options_, st.integers(2, 6), st.integers(0, 2), st.integers(0, 1000))
def test_scores_are_those_of_the_forced_output(options, vocabulary, excluded, seed):
    excluded = min(excluded, vocabulary - 1)
    toy = {"vocabulary": vocabulary, "excluded": excluded}
    [found] = seek([seed], options, positions=[3], **toy)
    assert 1 <= len(found) <= options.n_best
    assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)
    if options.sampling is None:
        assert len(set(listed(found))) == len(found)
    for h in found:
        ids = tuple(h.ids.tolist())
        np.testing.assert_array_equal(h.log_probs, forced(seed, ids, **toy))
        assert h.log_probability == pytest.approx(h.log_probs.sum(dtype=np.float64), rel=1e-9)
        assert h.score == pytest.approx(score(seed, ids, options, positions=3, **toy), rel=1e-6)
        assert h.attention.shape == (len(ids), 3)
        for t, weights in enumerate(h.attention):
            np.testing.assert_array_equal(weights, attention(seed, ids[:t], 3))
        assert len(ids) <= 5
        n = options.block_ngram
        grams = [ids[i : i + n] for i in range(len(ids) - n + 1)] if n else []
        assert len(set(grams)) == len(grams)
        assert h.cut or len(ids) >= options.min_length


sentences = st.lists(
    st.tuples(st.integers(0, 1000), st.integers(0, 6), st.integers(1, 4)), max_size=6
)


@given(options_, sentences, st.integers(2, 6), st.integers(0, 3), st.randoms())
def test_neighbours_order_and_padding_never_matter(options, given, vocabulary, padding, random):
    def run(chosen, padding):
        seeds, limits, positions = zip(*[given[i] for i in chosen], strict=True)
        return search(
            Toy(seeds, vocabulary, positions, padding),
            options,
            end=END,
            limits=limits,
            source_lengths=positions,
            numbers=chosen,
        )

    order = list(range(len(given)))
    random.shuffle(order)
    if not order:
        assert search(Toy([]), options, end=END, limits=[]) == []
        return
    for i, together in zip(order, run(order, padding), strict=True):
        same(together, run([i], 0)[0])
