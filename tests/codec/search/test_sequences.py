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


class Same:
    """A `Predictor` that always says the same of each sentence."""

    def __init__(self, log_probs, attention=None):
        self.log_probs, self.attention = np.array(log_probs, np.float32), attention
        self.rows = np.arange(len(self.log_probs))
        self.counts = []

    def start(self):
        return self.step(self.rows, self.rows)

    def step(self, parents, tokens):
        self.rows = self.rows[parents]
        self.counts.append(len(parents))
        weights = None if self.attention is None else np.array(self.attention)[self.rows]
        return Prediction(self.log_probs[self.rows], weights)


def test_an_output_may_be_empty():
    [[found]] = search(Same(np.log([[0.1, 0.9]]), [[1.0]]), Search(), end=1, limits=[9])
    assert found.ids.tolist() == []
    assert found.attention.shape == (0, 1)
    assert found.log_probability == pytest.approx(np.log(0.9))
    assert not found.cut


def test_hypotheses_end_at_the_limit_with_the_end_token_s_probability():
    for options, limits in ((Search(), [3, 0]), (Search(max_length=3), [9, 9])):
        found = [h for [h] in search(Same(np.log([[0.9, 0.1]] * 2)), options, end=1, limits=limits)]
        lengths = [min(limit, 3) for limit in limits]
        assert [len(h.ids) for h in found] == lengths
        assert all(h.cut for h in found)
        expected = [n * np.log(0.9) + np.log(0.1) for n in lengths]
        np.testing.assert_allclose([h.log_probability for h in found], expected, rtol=1e-6)


def test_the_least_length_delays_the_end():
    model = Same(np.log([[0.1, 0.9]]))
    [[found]] = search(model, Search(min_length=2), end=1, limits=[9])
    assert found.ids.tolist() == [0, 0]
    assert not found.cut


@pytest.mark.parametrize(("n", "ids"), [(1, [0, 2]), (2, [0, 0, 2, 0]), (3, [0, 0, 0, 2, 0, 0])])
def test_no_n_gram_comes_twice(n, ids):
    # The likeliest of 0, 2 and the end that makes no n-gram of `ids` come again.
    model = Same(np.log([[0.6, 0.1, 0.3]]))
    [[found]] = search(model, Search(block_ngram=n), end=1, limits=[9])
    assert found.ids.tolist()[: len(ids)] == ids


def test_where_nothing_may_come_a_hypothesis_ends():
    # One token may come once, and the end not before five.
    model = Same(np.log([[0.7, 0.3]]))
    options = Search(block_ngram=1, min_length=5, beam_size=3)
    [[found]] = search(model, options, end=1, limits=[9])
    assert found.ids.tolist() == [0]
    assert found.cut
    assert found.log_probability == pytest.approx(np.log(0.7) + np.log(0.3))


def test_a_model_that_excludes_everything_ends_with_no_probability():
    with np.errstate(divide="ignore"):
        model = Same(np.log([[0.0, 0.0, 0.0], [0.0, 0.5, 0.5]]))
    [[nothing], [something]] = search(model, Search(), end=1, limits=[3, 3])
    assert (nothing.ids.tolist(), nothing.log_probability, nothing.cut) == ([], -np.inf, True)
    assert (something.ids.tolist(), something.cut) == ([], False)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_equal_hypotheses_are_ordered_by_their_ids(size):
    options = Search(beam_size=size, n_best=size, min_length=2)
    [found] = search(Same(np.full((1, 4), np.log(0.25))), options, end=1, limits=[2])
    assert listed(found) == [(a, b) for a in (0, 2, 3) for b in (0, 2, 3)][:size]


def test_sentences_that_are_done_leave():
    model = Same(np.log([[0.01, 0.98, 0.01], [0.5, 0.01, 0.49]]))
    search(model, Search(beam_size=2), end=1, limits=[9, 4])
    assert model.counts == [2, 2, 2, 2, 2]  # rows: two sentences, then both hypotheses of one


def test_a_search_ends_as_soon_as_nothing_can_win():
    # After the end with 0.9 at most 0.1 is left, divided by at most ((5 + 101) / 6)^penalty.
    model = Same(np.log([[0.1, 0.9]]))
    for penalty, goes_on in ((0.0, False), (1.0, False), (2.0, True)):
        model.counts.clear()
        search(model, Search(beam_size=2, length_penalty=penalty), end=1, limits=[100])
        bound = np.log(0.1) / ((5 + 101) / 6) ** penalty
        assert (bound > np.log(0.9)) == goes_on
        assert (len(model.counts) > 1) == goes_on


def test_coverage_penalty_prefers_what_covers_the_source():
    options = Search(beam_size=WIDE, n_best=9, coverage_penalty=0.5)
    [found] = seek([3], options, positions=[4])
    for h in found:
        covered = np.log(np.minimum(np.maximum(h.attention.sum(0), 1e-38), 1)).sum()
        assert h.score == pytest.approx(h.log_probability + 0.5 * covered, rel=1e-5)
    [plain] = seek([3], Search(beam_size=WIDE), positions=[4])
    assert plain[0].attention.sum(0).clip(max=1).sum() < found[0].attention.sum(0).clip(max=1).sum()


def test_samples_follow_the_model():
    draws = 4000
    options = Search(n_best=draws, sampling=Sampling(seed=0))
    [found] = seek([0], options, limit=2)
    drawn = listed(found)
    space = sequences(3, 2)
    expected = np.array(
        [np.exp(forced(0, ids)[: 2 if len(ids) == 2 else None].sum()) for ids in space]
    )
    assert expected.sum() == pytest.approx(1, rel=1e-5)  # at the limit the end is certain
    observed = np.array([drawn.count(ids) for ids in space]) / draws
    # five standard deviations of a binomial share
    np.testing.assert_array_less(
        np.abs(observed - expected), 5 * np.sqrt(expected * (1 - expected) / draws)
    )


def test_the_seed_decides_alone_and_more_samples_change_none():
    def draw(seed, n_best):
        options = Search(n_best=n_best, sampling=Sampling(seed=seed), min_length=5)
        return set(listed(seek([0], options, limit=8, vocabulary=6)[0]))

    assert draw(1, 3) == draw(1, 3)
    assert draw(1, 3) < draw(1, 5)
    assert not draw(1, 3) & draw(2, 3)
    assert draw(None, 3) != draw(None, 3)


@pytest.mark.parametrize("sampling", [None, Sampling()])
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("vocabulary", [3, 300])
def test_what_is_no_probability_is_an_error(value, sampling, vocabulary):
    log_probs = np.full((2, vocabulary), -9.0)
    log_probs[1, 2] = value
    with pytest.raises(DataError, match=rf"row 1, column 2: {value}; must be finite or -inf"):
        search(Same(log_probs), Search(sampling=sampling), end=1, limits=[3, 3])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"limits": [3]}, ShapeError, "predictions of 2 sequences, limits of 1"),
        ({"limits": [[3, 3]]}, ShapeError, r"limits: must be \[B\], not \[1, 2\]"),
        ({"limits": [3, -1]}, ShapeError, "limits: must be whole numbers of at least 0"),
        ({"limits": [3.5, 1]}, ShapeError, "limits: must be whole numbers of at least 0"),
        ({"source_lengths": [1]}, ShapeError, r"source_lengths: must be \[2\], not \[1\]"),
        ({"source_lengths": [1, 3]}, ShapeError, "source_lengths: must be at most 2, .* not 3"),
        ({"numbers": [1]}, ShapeError, r"numbers: must be \[2\], not \[1\]"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_an_error(arguments, error, message):
    model = Same(np.log(np.full((2, 3), 1 / 3)), np.full((2, 2), 0.5))
    with pytest.raises(error, match=message):
        search(model, Search(), end=1, **{"limits": [3, 3], **arguments})


@pytest.mark.parametrize(
    ("prediction", "message"),
    [
        (Prediction(np.zeros((1, 3))), r"log_probs: must be \[2, V\], not \[1, 3\]"),
        (Prediction(np.zeros(2)), r"log_probs: must be \[2, V\], not \[2\]"),
        (
            Prediction(np.zeros((2, 3)), np.ones((1, 2))),
            r"attention: must be \[2, S\], not \[1, 2\]",
        ),
    ],
    ids=["rows", "vector", "attention"],
)
def test_predictions_that_do_not_fit_are_errors(prediction, message):
    model = Same(np.log([[0.6, 0.1, 0.3]] * 2), np.ones((2, 1)))
    model.step = lambda parents, tokens: prediction
    model.start = lambda: Prediction(model.log_probs.copy(), np.ones((2, 2)))
    with pytest.raises(ShapeError, match=message):
        search(model, Search(), end=1, limits=[3, 3])


def test_coverage_needs_attention():
    with pytest.raises(ConfigError, match=r"coverage_penalty=0.1: must be 0 for a model without"):
        seek([0], Search(coverage_penalty=0.1))
