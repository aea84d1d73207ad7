import math
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loopwise.codec.ngram.estimate import SMOOTHINGS, estimate
from loopwise.errors import ConfigError, DataError

sentences = st.lists(st.lists(st.sampled_from("abcd"), max_size=6), min_size=1, max_size=12)


@settings(max_examples=40)
@given(sentences, st.integers(1, 4), st.sampled_from(SMOOTHINGS))
def test_probabilities_of_every_context_sum_to_one(texts, order, smoothing):
    model = estimate(texts, order, smoothing=smoothing, words=["never"])
    words = range(len(model.words))
    contexts = [c for n in range(min(order, 3)) for c in product(words, repeat=n)]
    for context in contexts:
        total = sum(math.exp(model.log(context, word)) for word in words)
        assert total == pytest.approx(1, abs=1e-9)


def test_witten_bell_by_its_definition():
    model = estimate([["a", "b"], ["a", "a"]], 2, smoothing="witten-bell")
    # a 3 times, b once, </s> twice: three kinds in six; <unk>, a, b and </s> share what is left
    one = {"a": 3 / 9 + 3 / 9 / 4, "b": 1 / 9 + 3 / 9 / 4, "<unk>": 3 / 9 / 4}
    for word, p in one.items():
        assert math.exp(model.log((), model.number(word))) == pytest.approx(p)
    a = model.number("a")  # b, a and </s> once each behind a: three kinds in three
    assert math.exp(model.log((a,), a)) == pytest.approx(1 / 6 + 3 / 6 * one["a"])
    assert math.exp(model.log((a,), 0)) == pytest.approx(3 / 6 * one["<unk>"])


def test_kneser_ney_by_its_definition():
    rng = np.random.default_rng(1)  # one with discounts that need no fallback
    texts = [[*map(str, rng.zipf(1.5, rng.integers(1, 9)) % 60)] for _ in range(80)]
    model = estimate(texts, 2)
    pairs = {}
    for text in texts:
        line = ["<s>", *text, "</s>"]
        for pair in pairwise(line):
            pairs[pair] = pairs.get(pair, 0) + 1
    contexts = {word: sum(after == word for _, after in pairs) for _, word in pairs}
    size = len(contexts) + 1  # and <unk>

    def discounted(counts):
        n = [sum(count == k for count in counts.values()) for k in (1, 2, 3, 4)]
        y = n[0] / (n[0] + 2 * n[1])
        found = [1 - 2 * y * n[1] / n[0], 2 - 3 * y * n[2] / n[1], 3 - 4 * y * n[3] / n[2]]
        assert all(0 < each < k for k, each in enumerate(found, 1))
        return found

    def interpolated(counts, discounts, word, below):
        total = sum(counts.values())
        taken = {w: discounts[min(c, 3) - 1] for w, c in counts.items()}
        left = sum(taken.values()) / total * below
        return left + (counts[word] - taken[word]) / total if word in counts else left

    low, high = discounted(contexts), discounted(pairs)
    for before in ["<s>", "1", "2", "3"]:
        following = {word: count for (first, word), count in pairs.items() if first == before}
        for word in [*contexts, "<unk>"]:
            expected = interpolated(
                following, high, word, interpolated(contexts, low, word, 1 / size)
            )
            found = model.log((model.number(before),), model.number(word))
            assert math.exp(found) == pytest.approx(expected)


def test_words_that_were_never_seen_share_alike():
    model = estimate([["a", "b"]], 2, words=["c", "a"])
    assert model.words == ("<unk>", "<s>", "</s>", "a", "b", "c")
    assert model.log((), model.number("c")) == model.log((), model.number("nowhere"))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([["a"]], 0), ConfigError, "order=0: must be at least 1 and whole"),
        (([],), DataError, "there are no sentences to count"),
        (([["a", "<s>"]],), DataError, "'<s>' is a word of every model"),
    ],
)
def test_bad_input(arguments, error, message):
    with pytest.raises(error, match=message):
        estimate(*arguments)


def test_an_unknown_smoothing():
    with pytest.raises(ConfigError, match="smoothing='none': must be one of kneser-ney, witten"):
        estimate([["a"]], smoothing="none")
