"""What holds for every unit, and what is particular to bytes and characters."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwise.codec.corpus import Source
from loopwise.codec.text import UNITS, codec_from_json, train_codec
from loopwise.errors import ConfigError, DataError

CORPUS = "the cat sat\non the mat\n\nça va ? 日本 🙂 the end\n"
SOURCES = [Source("corpus", CORPUS.encode())]
CODECS = {unit: train_codec(unit, SOURCES, vocab_size=0) for unit in UNITS}

every_codec = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS.keys())
utf8_codecs = pytest.mark.parametrize("unit", ["chars", "words", "bpe"])


def stream(codec, ids):
    decoder = codec.decoder()
    return "".join([decoder.push(i) for i in ids]) + decoder.finish()


@given(st.text())
@pytest.mark.parametrize("unit", ["bytes", "bpe"])
def test_any_text_comes_back_from_bytes_and_bpe(unit, text):
    codec = CODECS[unit]
    assert codec.unknown is None
    assert codec.decode(codec.encode(Source("x", text.encode()))) == text


@given(st.text(alphabet=CORPUS))
def test_text_of_known_characters_comes_back_from_chars(text):
    codec = CODECS["chars"]
    ids = codec.encode(Source("x", text.encode()))
    assert codec.decode(ids) == text
    assert codec.unknown not in ids


@given(st.lists(st.lists(st.sampled_from(CORPUS.split()), min_size=1)))
def test_lines_of_known_words_come_back_from_words(lines):
    codec = CODECS["words"]
    text = "".join(" ".join(line) + "\n" for line in lines)
    assert codec.decode(codec.encode(Source("x", text.encode()))) == text


@every_codec
@given(st.data())
def test_streamed_pieces_joined_are_the_decoded_text(codec, data):
    ids = data.draw(st.lists(st.integers(0, codec.size - 1)))
    assert stream(codec, ids) == codec.decode(ids) == codec.decode(np.array(ids, np.int32))


@every_codec
@given(st.text(), st.text())
def test_encoding_is_whole_after_a_line_end(codec, head, tail):
    whole = codec.encode_text(head + "\n" + tail)
    parts = [codec.encode_text(head + "\n"), codec.encode_text(tail)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


@every_codec
@given(st.text())
def test_a_text_in_bytes_is_the_same_text(codec, text):
    np.testing.assert_array_equal(codec.encode_bytes(text.encode()), codec.encode_text(text))


@every_codec
def test_ids_are_int32_within_the_vocabulary_and_nothing_gives_nothing(codec):
    ids = codec.encode(SOURCES[0])
    assert ids.dtype == np.int32
    assert ids.ndim == 1
    assert ids.min() >= 0
    assert ids.max() < codec.size
    assert codec.encode_text("").shape == (0,)
    assert codec.encode_text("").dtype == np.int32
    assert codec.decode([]) == stream(codec, []) == ""


@every_codec
def test_start_is_the_end_of_a_line(codec):
    assert codec.decode([codec.start]) == "\n"
    assert codec.encode_text("the\n")[-1] == codec.start


@every_codec
def test_a_codec_survives_json(codec):
    described = json.loads(json.dumps(codec.to_json()))
    again = codec_from_json(described)
    assert again.to_json() == described
    assert (again.unit, again.size, again.start, again.unknown) == (
        (codec.unit, codec.size, codec.start, codec.unknown)
    )
    np.testing.assert_array_equal(again.encode(SOURCES[0]), codec.encode(SOURCES[0]))
    assert all(again.token(i) == codec.token(i) for i in range(codec.size))


@pytest.mark.parametrize("unit", ["chars", "words", "bpe"])
@given(random=st.randoms())
def test_a_codec_with_other_ids_has_the_same_tokens(unit, random):
    codec = CODECS[unit]
    order = list(range(2, codec.size))
    random.shuffle(order)
    order = [0, 1, *order]
    again = codec.reordered(order)
    assert [again.token(i) for i in range(codec.size)] == [codec.token(i) for i in order]
    assert [order[i] for i in again.encode_text(CORPUS)] == codec.encode_text(CORPUS).tolist()
    assert codec_from_json(again.to_json()).to_json() == again.to_json()
    assert again.decode(again.encode_text("the cat\n")) == "the cat\n"


@pytest.mark.parametrize("unit", ["chars", "words", "bpe"])
def test_a_prefix_has_the_first_ids_and_no_others(unit):
    codec = CODECS[unit]
    size = codec.size - 2
    again = codec.prefix(size)
    assert again.size == size
    assert [again.token(i) for i in range(size)] == [codec.token(i) for i in range(size)]
    assert again.encode_text(CORPUS).max() < size
    assert codec.prefix(codec.size).to_json() == codec.to_json()


def test_ids_that_cannot_change():
    octets = CODECS["bytes"]
    assert octets.reordered(range(256)) is octets.prefix(256) is octets
    with pytest.raises(DataError, match="a byte is its own id"):
        octets.reordered([1, 0, *range(2, 256)])
    with pytest.raises(DataError, match="there are 256 bytes, not 255"):
        octets.prefix(255)
    with pytest.raises(DataError, match="the unknown character has the id 0"):
        CODECS["chars"].reordered(range(CODECS["chars"].size)[::-1])
    with pytest.raises(DataError, match="must begin with <unk> and <eos>"):
        CODECS["words"].reordered(range(CODECS["words"].size)[::-1])
    with pytest.raises(DataError, match="bytes have no token"):
        CODECS["bpe"].prefix(200)


@every_codec
@given(st.lists(st.text()))
def test_a_batch_is_its_texts(codec, texts):
    for row, text in zip(codec.encode_batch(texts), texts, strict=True):
        assert row.dtype == np.int32
        np.testing.assert_array_equal(row, codec.encode_text(text))


@every_codec
def test_every_token_can_be_printed(codec):
    tokens = [codec.token(i) for i in range(codec.size)]
    assert all(token and token.isprintable() for token in tokens)


@every_codec
def test_an_id_outside_the_vocabulary_is_named_with_its_position(codec):
    for wrong in (-1, codec.size):
        message = f"token id {wrong} at position 1 .* ids 0 to {codec.size - 1}$"
        with pytest.raises(DataError, match=message):
            codec.decode([0, wrong])
        with pytest.raises(DataError, match=f"token id {wrong} is not"):
            codec.token(wrong)
        with pytest.raises(DataError, match=f"token id {wrong} is not"):
            codec.decoder().push(wrong)
    with pytest.raises(DataError, match=r"vector of integers, not float64 \[1\]"):
        codec.decode(np.array([0.5]))
    with pytest.raises(DataError, match=r"vector of integers, not int64 \[1, 1\]"):
        codec.decode(np.zeros((1, 1), np.int64))


@utf8_codecs
def test_bytes_that_are_not_utf8_are_named_with_their_offset(unit):
    bad = Source("latin.txt", b"caf\xe9\n")
    with pytest.raises(DataError, match=r"latin.txt: byte 0xe9 at offset 3 .*data.unit=bytes"):
        CODECS[unit].encode(bad)
    with pytest.raises(DataError, match=r"text: byte 0xe9 at offset 3 .*data.unit=bytes"):
        CODECS[unit].encode_bytes(bad.data)
    with pytest.raises(DataError, match=r"latin.txt: byte 0xe9 at offset 3"):
        train_codec(unit, [*SOURCES, bad])


@pytest.mark.parametrize("unit", ["bytes", "bpe"])
def test_a_lone_surrogate_is_an_error_where_tokens_are_bytes(unit):
    with pytest.raises(DataError, match=r"character 2 is the lone surrogate U\+DCE9"):
        CODECS[unit].encode_text("ca\udce9")


def test_bytes_are_the_bytes_of_any_input():
    codec = CODECS["bytes"]
    data = bytes(range(256))
    assert codec.encode(Source("x", data)).tolist() == list(data)
    assert codec.encode_bytes(data).tolist() == list(data)
    assert (codec.size, codec.start) == (256, 10)
    assert codec.decode([0x61, 0xC3, 0x62]) == "a\ufffdb"
    assert [codec.token(i) for i in b"A \n\xc3"] == ["A", " ", "\\n", "\\xc3"]


@given(st.binary())
def test_decoding_broken_utf8_is_replacement_as_python_defines_it(data):
    codec = CODECS["bytes"]
    assert stream(codec, data) == codec.decode(list(data)) == data.decode("utf-8", "replace")


def test_a_character_split_over_bytes_is_held_back_until_it_is_complete():
    decoder = CODECS["bytes"].decoder()
    assert [decoder.push(i) for i in "é🙂".encode()] == ["", "é", "", "", "", "🙂"]
    assert decoder.push(0xC3) == ""
    assert decoder.finish() == "\ufffd"
    assert decoder.push(0x61) == "a"


def test_characters_are_numbered_by_code_point_after_the_unknown():
    codec = train_codec("chars", [Source("a", b"b\na"), Source("b", "é🙂".encode())])
    assert [codec.token(i) for i in range(codec.size)] == ["<unk>", "\\n", "a", "b", "é", "🙂"]
    assert (codec.unknown, codec.start) == (0, 1)
    assert codec.encode_text("🙂bz\U0010ffff\udce9").tolist() == [5, 3, 0, 0, 0]
    assert codec.decode([2, 0, 3]) == "a\ufffdb"


def test_without_a_newline_the_unknown_character_starts_a_text():
    codec = train_codec("chars", [Source("one line", b"abc")])
    assert codec.start == codec.unknown == 0


def test_a_replacement_character_in_the_text_is_a_known_character():
    codec = train_codec("chars", [Source("x", "a\ufffd".encode())])
    assert codec.encode_text("\ufffd").tolist() == [2]


def test_rare_characters_are_left_out_by_count_and_by_limit():
    sources = [Source("x", b"cccbbbaad")]
    assert train_codec("chars", sources, min_count=2).to_json()["characters"] == "abc"
    assert train_codec("chars", sources, vocab_size=3).to_json()["characters"] == "bc"
    assert train_codec("chars", sources, vocab_size=2).to_json()["characters"] == "b"
    assert train_codec("chars", sources, vocab_size=99).size == 5


@pytest.mark.parametrize("unit", ["chars", "words"])
def test_an_empty_vocabulary_is_an_error(unit):
    with pytest.raises(DataError, match="occurs 99 times in the text; lower min_count"):
        train_codec(unit, SOURCES, min_count=99)
    with pytest.raises(DataError, match="occurs 1 times"):
        train_codec(unit, [])


@pytest.mark.parametrize(
    ("unit", "options", "message"),
    [
        ("letters", {}, "unit 'letters' is unknown; allowed are bytes, chars, words, bpe"),
        ("words", {"min_count": 0}, "min_count=0: must be at least 1"),
        ("bytes", {"vocab_size": 100}, "always has all 256 bytes"),
        ("bytes", {"min_count": 2}, "always has all 256 bytes"),
        ("chars", {"vocab_size": 1}, r"vocab_size=1: unit 'chars' needs .* at least 2"),
        ("words", {"vocab_size": -1}, r"vocab_size=-1: unit 'words' needs .* at least 3"),
        ("bpe", {"vocab_size": 255}, r"vocab_size=255: unit 'bpe' needs .* at least 256"),
    ],
)
def test_options_that_do_not_fit_the_unit_are_errors(unit, options, message):
    with pytest.raises(ConfigError, match=message):
        train_codec(unit, SOURCES, **options)


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ([], "described by an object, not by list"),
        ({}, "codec format None is unknown"),
        ({"format": 2, "unit": "bytes"}, "codec format 2 is unknown; this version reads 1"),
        ({"format": 1}, "codec unit None is unknown; known are bytes, chars, words, bpe"),
        ({"format": 1, "unit": ["bytes"]}, r"codec unit \['bytes'\] is unknown"),
        ({"format": 1, "unit": "chars"}, "codec 'chars': 'characters' is missing; .* be a str"),
        ({"format": 1, "unit": "chars", "characters": ["a"]}, "'characters' is of type list"),
        ({"format": 1, "unit": "chars", "characters": "aba"}, "must be distinct"),
        ({"format": 1, "unit": "chars", "characters": ""}, "at least one"),
        ({"format": 1, "unit": "words", "words": "the"}, "'words' is of type str; .* be a list"),
        ({"format": 1, "unit": "words", "words": ["a"]}, "must begin with <unk> and <eos>"),
        ({"format": 1, "unit": "words", "words": ["<unk>", "<eos>", "a", "a"]}, "entry 3, 'a'"),
        ({"format": 1, "unit": "words", "words": ["<unk>", "<eos>", "a b"]}, "entry 2, 'a b'"),
        ({"format": 1, "unit": "words", "words": ["<unk>", "<eos>", [1]]}, r"entry 2, \[1\]"),
        ({"format": 1, "unit": "chars", "characters": "a\ud800"}, "lone surrogates"),
        ({"format": 1, "unit": "words", "words": ["<unk>", "<eos>", "a\udce9"]}, "entry 2"),
        ({"format": 1, "unit": "bpe", "tokenizer": 1}, "'tokenizer' is of type int"),
        ({"format": 1, "unit": "bpe", "tokenizer": "{}"}, "'tokenizer' is not a tokenizer"),
    ],
)
def test_a_damaged_or_foreign_description_is_an_error(described, message):
    with pytest.raises(DataError, match=message):
        codec_from_json(described)
