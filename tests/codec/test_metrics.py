import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwise.codec.metrics import TextScore, bits, perplexity

counts = st.integers(1, 10**9)
scores = st.builds(TextScore, st.floats(0, 1e6), counts, counts, counts, counts)


def test_a_uniform_model_has_the_perplexity_of_its_vocabulary():
    score = TextScore(nats=30 * math.log(50), tokens=30, characters=90, bytes=120, unknown=3)
    assert score.perplexity == pytest.approx(50)
    assert score.bits_per_character == pytest.approx(math.log2(50) / 3)
    assert score.bits_per_byte == pytest.approx(math.log2(50) / 4)
    assert score.unknown_rate == pytest.approx(0.1)


def test_definitions():
    assert perplexity(math.log(7)) == pytest.approx(7)
    assert bits(math.log(8)) == pytest.approx(3)
    assert perplexity(0) == 1
    assert perplexity(1e6) == math.inf
    assert math.isnan(perplexity(math.nan))


@given(scores, scores)
def test_a_sum_is_the_score_of_both_texts_together(a, b):
    both = a + b
    tokens = a.tokens + b.tokens
    expected = (math.log(a.perplexity) * a.tokens + math.log(b.perplexity) * b.tokens) / tokens
    if math.isfinite(expected):
        assert math.log(both.perplexity) == pytest.approx(expected, abs=1e-9)
    assert both.bits_per_byte == pytest.approx(bits(a.nats + b.nats) / (a.bytes + b.bytes))
    assert both.bits_per_character * both.characters == pytest.approx(bits(a.nats + b.nats))
    assert both.unknown_rate == pytest.approx((a.unknown + b.unknown) / tokens)


@given(scores)
def test_the_empty_score_adds_nothing_and_has_no_ratios(score):
    empty = TextScore()
    assert sum([score], empty) == score
    assert math.isnan(empty.perplexity)
    assert math.isnan(empty.bits_per_character)
    assert math.isnan(empty.bits_per_byte)
    assert math.isnan(empty.unknown_rate)
