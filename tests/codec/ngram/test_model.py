import json
import math

import numpy as np
import pytest

from loopwise.codec.ngram.estimate import estimate
from loopwise.codec.ngram.model import SPECIAL, Entry, NGram
from loopwise.codec.ngram.scorer import NGramScorer
from loopwise.errors import DataError

TEXTS = [["a", "b", "a"], ["b", "a", "a", "c"], ["a", "b"], []]


@pytest.fixture(scope="module")
def model():
    return estimate(TEXTS, 3)


def test_backing_off():
    unigrams = {(i,): Entry(math.log(0.1 * (i + 1)), -0.25 * i) for i in range(4)}
    model = NGram([*SPECIAL, "a"], [unigrams, {(3, 3): Entry(math.log(0.5), -0.75)}, {}])
    assert model.log((3,), 3) == math.log(0.5)
    assert model.log((0, 3), 3) == math.log(0.5)
    assert model.log((3, 3), 0) == pytest.approx(-0.75 - 0.75 + math.log(0.1))
    assert model.log((3, 1), 2) == pytest.approx(-0.25 + math.log(0.3))


def test_a_sentence_is_its_words_and_its_end(model):
    context, total = model.start(), 0.0
    for word in ["b", "elsewhere", "a"]:
        total += model.log(context, model.number(word))
        context = (*context, model.number(word))[-2:]
    total += model.end(context)
    assert model.log_probability(["b", "elsewhere", "a"]) == pytest.approx(total)
    assert model.perplexity([["b", "elsewhere", "a"]]) == pytest.approx(math.exp(-total / 4))


def test_the_scorer_says_the_same(model):
    scorer = NGramScorer(model, ["c", "elsewhere", "a", "b"])
    names = {"c": 0, "elsewhere": 1, "a": 2, "b": 3}
    for text in [["a", "b"], ["elsewhere", "c", "a"], []]:
        scored, total = scorer.start(), 0.0
        for word in text:
            assert scored.scores.shape == (5,)
            total += scored.scores[names[word]]
            [scored, _] = scorer.advance([scored.state] * 2, [names[word], 0])
        total += scored.scores[-1]
        assert total == pytest.approx(model.log_probability(text))


def test_all_words_at_once(model):
    words = range(len(model.words))
    for context in [(), *((i,) for i in words), *((i, j) for i in words for j in words)]:
        expected = [model.log(context, word) for word in words]
        np.testing.assert_allclose(model.logs(context), expected)


def test_json(model):
    again = NGram.from_json(json.loads(json.dumps(model.to_json())))
    assert (again.words, again.grams) == (model.words, model.grams)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"words": None}, "words"),
        ({"words": [1]}, "words must be strings"),
        ({"words": ["a", *SPECIAL]}, "must begin with <unk>, <s>, </s>"),
        ({"words": [*SPECIAL, "a", "a"]}, "the word 'a' comes twice"),
        ({"words": [*SPECIAL, "a", "b"]}, "the word 'b' has no probability"),
        ({"grams": []}, "the word '<unk>' has no probability"),
        ({"grams": [[[0, -1.0]]]}, r"order 1 has the row \[0, -1.0\]"),
        ({"grams": [[["0", -1.0, 0.0]]]}, r"order 1 has the row"),
        ({"grams": [7]}, "order 1 has the row 7"),
        ({"grams": [[[9, -1.0, 0.0]]]}, r"order 1 has \[9\]"),
        ({"grams": [[[0, 1.0, 0.0]]]}, "'<unk>' has .* no logarithm of a probability"),
        ({"grams": [[[0, math.nan, 0.0]]]}, "'<unk>' has .* no logarithm"),
    ],
)
def test_what_is_no_model(change, message):
    good = {"words": [*SPECIAL, "a"], "grams": [[[i, -1.0, 0.0] for i in range(4)]]}
    NGram.from_json(good)
    with pytest.raises(DataError, match=message):
        NGram.from_json(good | change)
