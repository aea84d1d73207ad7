"""Sentences to tokens and back, for every unit."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwise.codec.corpus import Source
from loopwise.codec.sentences import SentenceCodec
from loopwise.codec.text import UNITS, train_codec
from loopwise.errors import ConfigError, DataError

TEXT = " the cat sat\n on the mat\n ça va ? e\u0301 日本 👩‍👩‍👧 🙂 don't 3.14 the end\n" * 3
CODECS = {unit: SentenceCodec(train_codec(unit, [Source("t", TEXT.encode())])) for unit in UNITS}

every_codec = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS.keys())
byte_codecs = pytest.mark.parametrize(
    "codec", [CODECS["bytes"], CODECS["bpe"]], ids=lambda c: c.unit
)
lines = st.text(st.characters(codec="utf-8", exclude_characters="\n"))
words = st.lists(st.text(st.characters(codec="utf-8"), min_size=1).map(str.split)).map(
    lambda split: [word for several in split for word in several]
)


@byte_codecs
@given(lines)
def test_any_sentence_comes_back_from_bytes_and_bpe(codec, sentence):
    assert codec.decode(codec.encode(sentence)) == sentence


@given(st.text(TEXT.replace("\n", "")))
def test_a_sentence_of_known_characters_comes_back_from_chars(sentence):
    codec = CODECS["chars"]
    assert codec.decode(codec.encode(sentence)) == sentence


@given(st.lists(st.sampled_from(TEXT.split())))
def test_known_words_come_back_from_words_with_single_spaces(sentence):
    codec = CODECS["words"]
    assert codec.decode(codec.encode("  ".join(sentence))) == " ".join(sentence)


@every_codec
@given(words)
def test_a_word_has_the_same_tokens_wherever_it_stands(codec, sentence):
    whole = codec.encode(" ".join(sentence))
    parts = codec.encode_all(sentence)
    np.testing.assert_array_equal(whole, np.concatenate([*parts, np.zeros(0, np.int32)]))


@every_codec
@given(st.lists(lines))
def test_a_batch_is_its_sentences_and_none_has_the_end(codec, sentences):
    rows = codec.encode_all(sentences)
    assert len(rows) == len(sentences)
    for row, sentence in zip(rows, sentences, strict=True):
        assert row.dtype == np.int32
        np.testing.assert_array_equal(row, codec.encode(sentence))
        assert codec.end not in row
        assert codec.decode(row) == codec.decode([*row, codec.end, *row])


@every_codec
def test_an_empty_sentence_has_no_tokens(codec):
    assert codec.encode("").tolist() == []
    assert codec.decode([]) == codec.decode([codec.end]) == ""


@every_codec
def test_a_codec_survives_json(codec):
    described = json.loads(json.dumps(codec.to_json()))
    again = SentenceCodec.from_json(described)
    assert again.to_json() == described
    for name in ("unit", "size", "end", "unknown"):
        assert getattr(again, name) == getattr(codec, name)


@every_codec
@given(st.lists(st.text("abc.é'1", min_size=1)), st.data())
def test_each_token_belongs_to_a_word(codec, sentence, data):
    ids = codec.encode(" ".join(sentence))
    groups = codec.words(ids)
    assert groups.dtype == np.int32
    for index, word in enumerate(sentence):
        assert codec.decode(ids[groups == index]) == codec.decode(codec.encode(word))
    assert len(groups) == 0 or groups.max() == len(sentence) - 1
    np.testing.assert_array_equal(codec.words([*ids, codec.end])[:-1], groups)
    assert codec.words([*ids, codec.end])[-1] == len(sentence)
    if sentence:  # a part of a sentence is numbered like the whole
        length = data.draw(st.integers(0, len(ids)))
        np.testing.assert_array_equal(codec.words(ids[:length]), groups[:length])


@every_codec
@given(st.text("ab "))
def test_several_spaces_make_no_words(codec, sentence):
    groups = codec.words(codec.encode(sentence.rstrip()))
    assert groups.max(initial=-1) + 1 == len(sentence.split())


def test_spaces_belong_to_the_word_that_follows():
    codec = CODECS["chars"]
    ids = codec.encode("a  bc ")
    assert codec.words(ids).tolist() == [0, 0, 1, 1, 1, 1, 2]
    assert codec.words(ids[1:]).tolist() == [0, 1, 1, 1, 1, 2]
    assert codec.words([*ids, codec.end])[-1] == 2


@pytest.mark.parametrize("unit", ["bytes", "chars", "bpe"])
def test_tokens_that_begin_with_a_space_begin_a_word(unit):
    codec = CODECS[unit]
    begin = {i for i in range(codec.size) if codec.text.decode([i]).startswith(" ")}
    assert begin
    assert {*np.flatnonzero(codec.starts).tolist()} == begin | {codec.end}


def test_every_word_begins_a_word():
    assert CODECS["words"].starts.all()
    assert CODECS["words"].starts.shape == (CODECS["words"].size,)


def test_special_words_in_a_sentence_are_unknown():
    codec = CODECS["words"]
    ids = codec.encode("the <eos> zebra <unk>")
    assert ids.tolist() == [codec.encode("the")[0], *[codec.unknown] * 3]


@every_codec
@pytest.mark.parametrize(
    ("sentences", "message"),
    [
        (["a", "b\nc"], "sentence 1: a sentence is one line, character 1 ends it"),
        (["a\udce9"], "sentence 0: holds a lone surrogate"),
        (["a", None], "sentence 1: must be a string, not NoneType"),
        ("text", "sentences: must be a sequence of strings, not one string"),
    ],
)
def test_what_is_no_sentence_is_refused(codec, sentences, message):
    with pytest.raises(DataError, match=message):
        codec.encode_all(sentences)


@every_codec
def test_ids_outside_the_vocabulary_are_errors(codec):
    for call in (codec.decode, codec.words):
        with pytest.raises(DataError, match=f"token id {codec.size} at position 0"):
            call([codec.size])
    with pytest.raises(DataError, match=f"token id {codec.size} is not"):
        codec.token(codec.size)


@pytest.mark.parametrize("characters", ["abc\n", "abc "])
def test_characters_must_hold_the_space_and_the_newline(characters):
    described = {"format": 1, "unit": "chars", "characters": characters}
    with pytest.raises(DataError, match="must have the space and the newline; raise vocab_size"):
        SentenceCodec.from_json(described)


@pytest.mark.parametrize("unit", ["bytes", "chars", "words"])
def test_only_bpe_has_merges_to_drop(unit):
    CODECS[unit].encode_all(["a"], dropout=0)
    with pytest.raises(ConfigError, match=rf"dropout=0.1: only unit 'bpe' .* unit '{unit}'"):
        CODECS[unit].encode_all(["a"], dropout=0.1)


@pytest.mark.parametrize("dropout", [-0.1, 1.1, float("nan")])
def test_dropout_is_a_probability(dropout):
    with pytest.raises(ConfigError, match=f"dropout={dropout}: must be in 0 to 1"):
        CODECS["bpe"].encode_all(["a"], dropout=dropout)


def test_dropout_follows_its_seed():
    codec, sentences = CODECS["bpe"], TEXT.split("\n")

    def drawn(seed):
        return [row.tolist() for row in codec.encode_all(sentences, dropout=0.3, seed=seed)]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
