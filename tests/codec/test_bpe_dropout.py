"""BPE dropout against its definition (Provilkov et al., 2020, algorithm 1)."""

import random
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwise.codec.bpe_dropout import encode_with_dropout
from loopwise.codec.corpus import Source
from loopwise.codec.text import train_codec

CORPUS = " low lower lowest\n new newer newest wider widest\n aaaa aaa don't  3.14 été 🙂\n" * 20
CODEC = train_codec("bpe", [Source("corpus", CORPUS.encode())], vocab_size=330)


def encode(texts, dropout, seed=0):
    rows = encode_with_dropout(CODEC, texts, dropout, np.random.default_rng(seed))
    assert all(row.dtype == np.int32 for row in rows)
    return [row.tolist() for row in rows]


def defined(word, dropout, generator):
    """Algorithm 1, to the letter."""
    ranks = {(left, right): rank for rank, (left, right, _) in enumerate(CODEC.merges)}
    symbols = [CODEC.pieces.index(bytes([octet])) for octet in word.encode()]
    while True:
        pairs = list(pairwise(symbols))
        possible = [(ranks[pair], at) for at, pair in enumerate(pairs) if pair in ranks]
        left = [merge for merge in possible if generator.random() >= dropout]
        if not left:
            return tuple(symbols)
        rank, at = min(left)
        symbols[at : at + 2] = [CODEC.merges[rank][2]]


@given(st.text(st.characters(codec="utf-8", exclude_characters="\n")), st.floats(0, 1))
def test_other_tokens_of_the_same_text(text, dropout):
    (row,) = encode([text], dropout)
    assert CODEC.decode(row) == text


@given(st.text("lowernstaid '3.é 🙂"))
def test_without_dropping_a_chunk_is_merged_as_by_tokenizers(text):
    assert encode([text], 1e-300) == encode([text], 0) == [CODEC.encode_text(text).tolist()]
    for chunk in text.split():
        assert defined(chunk, 0, random) == tuple(CODEC.encode_text(chunk).tolist())


def test_with_all_dropped_the_bytes_are_left():
    text = " lowest été"
    assert [CODEC.pieces[i] for i in encode([text], 1)[0]] == [bytes([b]) for b in text.encode()]


@pytest.mark.parametrize("dropout", [0.1, 0.5])
@pytest.mark.parametrize("word", [" lowest", " aaaa"])
def test_segmentations_have_the_probabilities_of_the_definition(word, dropout):
    draws, generator = 4000, random.Random(1)
    expected = Counter(defined(word, dropout, generator) for _ in range(draws))
    found = Counter(tuple(row) for row in encode([word] * draws, dropout))
    assert len(expected) > 2
    for segmentation in expected | found:
        a, b = expected[segmentation], found[segmentation]
        assert abs(a - b) <= 4.5 * np.sqrt(a + b + 1)  # both counts are near Poisson's


def test_words_of_a_batch_are_drawn_apart():
    rows = encode([" lowest lowest lowest"] * 50, 0.5)
    assert len({tuple(row) for row in rows}) > 20


def test_a_draw_follows_its_generator():
    texts = CORPUS.split("\n")
    assert encode(texts, 0.3, seed=1) == encode(texts, 0.3, seed=1) != encode(texts, 0.3, seed=2)


def test_nothing_gives_nothing():
    assert encode([], 0.5) == []
    assert encode([""], 0.5) == [[]]
