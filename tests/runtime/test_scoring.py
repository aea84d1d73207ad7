"""Scores: every token counts once, whatever the batch, the chunk or the way in."""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loopwise.codec.corpus import Source
from loopwise.errors import DataError
from loopwise.runtime.cache import CacheMemory, NeuralCache
from loopwise.runtime.modules import CHUNK
from runtime.tiny import CODECS, loaded

MODELS = {codec: loaded(codec) for codec in CODECS}
LONG = "the cat sat\nthe mat é漢\n" * 60


def by_steps(model, text):
    """The log-probabilities of the tokens of a text, by one session step for each."""
    ids = model.codec.encode_text(text).tolist()
    session, scores = model.stream(), []
    for before, i in zip([model.codec.start, *ids], ids, strict=False):
        logits = session.push(before)
        scores.append(float(logits[i] - np.logaddexp.reduce(logits)))
    return scores


@pytest.mark.parametrize("codec", CODECS)
@settings(max_examples=15, deadline=None)
@given(texts=st.lists(st.text("abc the cat\n", max_size=12), max_size=40))
def test_score_is_the_sum_over_steps(codec, texts):
    model = MODELS[codec]
    expected = [math.fsum(by_steps(model, text)) for text in texts]
    np.testing.assert_allclose(model.score(texts), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("codec", CODECS)
def test_token_scores_sum_to_the_score(codec):
    model = MODELS[codec]
    scores = model.score_tokens(LONG)
    assert len(scores) > CHUNK // 2
    assert [s.token for s in scores] == [
        model.codec.token(i) for i in model.codec.encode_text(LONG)
    ]
    np.testing.assert_allclose([-s.nats for s in scores], by_steps(model, LONG), rtol=1e-8)
    [total] = model.score([LONG])
    assert math.isclose(total, -math.fsum(s.nats for s in scores), rel_tol=1e-10)


def test_long_and_short_texts_together():
    model = MODELS["bytes"]
    texts = [LONG, "", "a", LONG[:700], "the"] * 8
    alone = [model.score([text])[0] for text in texts]
    np.testing.assert_allclose(model.score(texts), alone, rtol=1e-10)
    assert model.score([]) == []
    assert model.score([""]) == [0.0]


@pytest.mark.parametrize("codec", CODECS)
def test_source_is_one_text(codec):
    model = MODELS[codec]
    score = model.score_source(Source("a file", LONG.encode()))
    ids = model.codec.encode_text(LONG)
    assert math.isclose(score.nats, -model.score([LONG])[0], rel_tol=1e-10)
    assert (score.tokens, score.characters, score.bytes) == (
        len(ids),
        len(LONG),
        len(LONG.encode()),
    )
    assert score.unknown == (0 if codec == "bytes" else (ids == 0).sum())
    assert codec == "bytes" or score.unknown > 0


def test_source_that_is_not_utf8():
    data = bytes(range(256)) * 3
    score = MODELS["bytes"].score_source(Source("binary", data))
    assert (score.tokens, score.bytes) == (768, 768)
    with pytest.raises(DataError, match="binary"):
        MODELS["chars"].score_source(Source("binary", data))


@pytest.mark.parametrize("codec", CODECS)
def test_texts_in_bytes_score_as_strings_do(codec):
    model, texts = MODELS[codec], ["the cat é\n", "the", ""]
    assert model.score([text.encode() for text in texts]) == model.score(texts)
    assert model.score_tokens(texts[0].encode()) == model.score_tokens(texts[0])
    assert model.perplexity(texts[0].encode()) == model.perplexity(texts[0])


def test_bytes_that_are_not_utf8_are_for_a_model_of_bytes():
    model, data = MODELS["bytes"], b"\xff\xfe"
    assert [t.token for t in model.score_tokens(data)] == [r"\xff", r"\xfe"]
    assert model.score(data) == pytest.approx([-sum(t.nats for t in model.score_tokens(data))])
    with pytest.raises(DataError, match="byte 0xff at offset 0"):
        MODELS["chars"].score(data)


def test_what_is_no_text_is_refused_at_the_door():
    model = MODELS["bytes"]
    for method in (model.score, model.perplexity):
        with pytest.raises(DataError, match=r"^texts: must be a string, bytes or a sequence"):
            method(None)
    with pytest.raises(DataError, match=r"^text: must be a string or bytes, not list"):
        model.score_tokens(["a"])


def test_source_with_a_cache():
    model, options = MODELS["chars"], NeuralCache(size=100, theta=0.7, interpolation=0.3)
    ids = model.codec.encode_text(LONG)
    inputs = np.concatenate([[model.codec.start], ids[:-1]])
    hidden, _ = model._model.hidden(inputs[:, None], model._model.initial_state())
    nats = -np.array(by_steps(model, LONG))
    expected = CacheMemory(options).mix(nats, hidden[:, 0], ids).sum()
    score = model.score_source(Source("a file", LONG.encode()), cache=options)
    assert math.isclose(score.nats, expected, rel_tol=1e-10)
    assert abs(score.nats - nats.sum()) > 1


def test_memory_does_not_grow_with_a_source():
    model = loaded("bytes", dtype=np.float32)

    def peak(length):
        source = Source("a file", b"a" * length)
        tracemalloc.start()
        model.score_source(source)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(10)
    few, many = 4 * CHUNK, 24 * CHUNK
    ids = 4 * 4 * (many - few)  # a handful of vectors of four-byte ids may
    assert peak(many) < peak(few) + ids


def test_perplexity():
    model = MODELS["words"]
    texts = ["the cat", "", "sat\nthe mat\n"]
    tokens = sum(len(model.codec.encode_text(text)) for text in texts)
    expected = math.exp(-sum(model.score(texts)) / tokens)
    assert math.isclose(model.perplexity(texts), expected)
    for nothing in ([], [""], ["", " "]):
        with pytest.raises(DataError, match="no tokens"):
            model.perplexity(nothing)
