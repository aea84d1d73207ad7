import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.search.toy import END, Toy
from loopwise.codec.search.options import Search
from loopwise.codec.search.prediction import Ensemble
from loopwise.codec.search.sequences import search
from loopwise.errors import ConfigError, ShapeError

PARENTS, TOKENS = np.array([1, 0, 1], np.int32), np.array([0, 2, 2], np.int32)


@given(st.integers(1, 4), st.integers(0, 2), st.integers(0, 100))
def test_probabilities_and_attention_are_means(count, excluded, seed):
    seeds = [[seed + k, 7 * seed + k] for k in range(count)]

    def members():
        return [Toy(s, 4, positions=[2, 3], excluded=excluded) for s in seeds]

    alone, together = members(), Ensemble(members())
    for call in (lambda m: m.start(), lambda m: m.step(PARENTS, TOKENS)):
        each, mean = [call(m) for m in alone], call(together)
        expected = np.mean([np.exp(p.log_probs.astype(float)) for p in each], axis=0)
        np.testing.assert_allclose(np.exp(mean.log_probs), expected, rtol=1e-5)
        attention = np.mean([p.attention for p in each], axis=0)
        np.testing.assert_allclose(mean.attention, attention, rtol=1e-6)
        assert mean.log_probs.dtype == mean.attention.dtype == np.float32


def test_improbable_tokens_keep_their_probability():
    class Sure(Toy):
        def start(self):
            prediction = super().start()
            prediction.log_probs[:] = [0.0, -200.0, -np.inf]
            return prediction

    mean = Ensemble([Sure([0]), Sure([1])]).start()
    np.testing.assert_array_equal(mean.log_probs, [[0.0, -200.0, -np.inf]])


def test_a_model_beside_itself_is_itself():
    options = Search(beam_size=4, n_best=4, length_penalty=1.0)
    single, double = (
        search(model, options, end=END, limits=[6, 6])
        for model in (Toy([1, 2], 5), Ensemble([Toy([1, 2], 5), Toy([1, 2], 5)]))
    )
    for a, b in zip(single, double, strict=True):
        assert [h.ids.tolist() for h in a] == [h.ids.tolist() for h in b]
        np.testing.assert_allclose([h.score for h in a], [h.score for h in b], rtol=1e-6)


def test_attention_of_those_that_have_it():
    with_attention = Toy([0], 3, positions=[2])
    mean = Ensemble([Toy([0], 3), with_attention]).start()
    np.testing.assert_array_equal(mean.attention, with_attention.start().attention)
    assert Ensemble([Toy([0]), Toy([1])]).start().attention is None


def test_what_is_no_ensemble():
    with pytest.raises(ConfigError, match="at least one model"):
        Ensemble([])
    with pytest.raises(ShapeError, match=r"same vocabulary.*\[1, 3\], \[1, 4\]"):
        Ensemble([Toy([0], 3), Toy([0], 4)]).start()
