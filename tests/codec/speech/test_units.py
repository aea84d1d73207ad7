"""Transcripts to units and back."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwise.codec.speech.lexicon import Lexicon
from loopwise.codec.speech.units import BLANK, NO_WORD, UNITS, train_units, units_from_json
from loopwise.errors import ConfigError, DataError

TEXTS = ["Der HUND bellt", "der  Hund schläft", "don't go, NO", "日本 é"]
LEXICON = Lexicon(
    (word, [tuple(word.upper()), ("X", *word.upper())])
    for text in TEXTS
    for word in text.lower().split()
)


def trained(unit, **options):
    return train_units(TEXTS, unit, lexicon=LEXICON if unit == "phones" else None, **options)


CODECS = {unit: trained(unit, case="lower") for unit in UNITS}
every_codec = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS.keys())
speaking = pytest.mark.parametrize(
    "codec", [CODECS[unit] for unit in ("chars", "words", "bpe")], ids=lambda codec: codec.unit
)
known = st.lists(st.sampled_from(" ".join(TEXTS).split()))


@speaking
@given(known)
def test_known_words_come_back_normalised(codec, words):
    ids = codec.encode("  ".join(words) + "\n")
    assert ids.dtype == np.int32
    assert codec.decode(ids) == " ".join(words).lower()


@pytest.mark.parametrize("unit", ["chars", "bpe"])
@given(data=st.data())
def test_new_words_of_known_characters_come_back(unit, data):
    text = data.draw(st.text("".join(TEXTS).lower()))
    assert CODECS[unit].decode(CODECS[unit].encode(text)) == " ".join(text.split())


@every_codec
@given(known)
def test_no_text_has_the_blank(codec, words):
    ids = codec.encode(" ".join(words))
    assert ((ids > BLANK) & (ids < codec.size)).all()


@every_codec
@given(st.data())
def test_words_are_those_of_the_decoded_text_whatever_follows(codec, data):
    ids = data.draw(st.lists(st.integers(1, codec.size - 1), max_size=12))
    words = codec.words(ids)
    spoken = codec.decode(ids).split(" ") if codec.decode(ids) else []
    assert words.shape == (len(ids),)
    inside = words[words != NO_WORD]
    assert sorted(set(inside.tolist())) == list(range(len(spoken)))
    assert (np.diff(inside) >= 0).all()
    for number, word in enumerate(spoken):
        own = [i for i, its in zip(ids, words, strict=True) if its == number]
        assert codec.decode(own) == word
    for length in range(len(ids)):
        np.testing.assert_array_equal(codec.words(ids[:length]), words[:length])


def test_spaces_belong_to_no_word():
    codec = CODECS["chars"]
    assert codec.words(codec.encode("go no")).tolist() == [0, 0, NO_WORD, 1, 1]


@every_codec
def test_no_units_are_no_text(codec):
    assert codec.encode(" ").tolist() == []
    assert codec.decode([]) == ""
    assert codec.words([]).tolist() == []


@every_codec
def test_a_codec_survives_json(codec):
    described = json.loads(json.dumps(codec.to_json()))
    again = units_from_json(described)
    assert again.to_json() == described
    assert (again.unit, again.size, again.symbols) == (codec.unit, codec.size, codec.symbols)
    for text in TEXTS:
        np.testing.assert_array_equal(again.encode(text), codec.encode(text))


@every_codec
def test_symbols_are_the_units_after_the_blank(codec):
    assert codec.symbols[0] == "<blank>"
    assert len(codec.symbols) == codec.size


def test_the_vocabularies():
    assert CODECS["chars"].symbols[1:] == tuple(sorted(set(" ".join(TEXTS).lower())))
    assert CODECS["words"].symbols[1:] == tuple(sorted(set(" ".join(TEXTS).lower().split())))
    assert CODECS["phones"].symbols[1:] == LEXICON.phones
    assert train_units(["BA", "A B"]).encode("AB B").tolist() == [2, 3, 1, 3]


@pytest.mark.parametrize("case", ["none", "lower", "upper"])
def test_case(case):
    codec = train_units(["Straße"], "words", case=case)
    spelled = {"none": "Straße", "lower": "straße", "upper": "STRASSE"}[case]
    assert codec.symbols == ("<blank>", spelled)
    if case != "none":
        assert codec.decode(codec.encode("STRAßE")) == spelled


def test_composed_and_decomposed_characters_are_the_same():
    codec = train_units(["é"])
    assert codec.size == 2
    assert codec.encode("e\u0301").tolist() == [1]


@pytest.mark.parametrize("size", [40, 50])
def test_pieces_are_merged_up_to_the_size(size):
    texts = ["THE CAT SAT ON THE MAT", "THE CATS SAT ON MATS AND THE RATS"] * 2
    codec = train_units(texts, "bpe", vocab_size=size)
    found = {byte for text in texts for byte in text}
    assert len(found) + 1 < codec.size <= size
    assert set(codec.symbols[1:]) >= found
    assert " THE" in codec.symbols
    assert len(codec.encode(texts[0])) < len(texts[0])


def test_a_piece_vocabulary_without_merges_is_the_bytes():
    codec = train_units(["ABAB"], "bpe", vocab_size=4)
    assert sorted(codec.symbols) == [" ", "<blank>", "A", "B"]
    with pytest.raises(ConfigError, match=r"vocab_size=3: the blank and the bytes .* are 4"):
        train_units(["ABAB"], "bpe", vocab_size=3)


def test_phones_take_the_preferred_pronunciation():
    lexicon = Lexicon([("A", [("AH",), ("EY",)]), ("BE", [("B", "IY")])])
    plain = train_units([], "phones", lexicon=lexicon)
    other = train_units([], "phones", lexicon=lexicon, case="lower", preferred={"A": 2})
    assert plain.decode(plain.encode("BE A")) == "B IY AH"
    assert other.decode(other.encode("be a")) == "B IY EY"
    assert units_from_json(other.to_json()).decode(other.encode("A")) == "EY"
    assert [other.decode(ids) for ids in other.pronunciations("A")] == ["EY", "AH"]
    assert [plain.decode(ids) for ids in plain.pronunciations("A")] == ["AH", "EY"]


@speaking
def test_a_word_of_letters_is_said_in_one_way(codec):
    (ids,) = codec.pronunciations("Hund")
    np.testing.assert_array_equal(ids, codec.encode("hund"))


@pytest.mark.parametrize(
    ("unit", "text", "message"),
    [
        ("chars", "der Quex, 7x", "characters that are not in the vocabulary: 'q', 'x', '7'"),
        ("words", "der Kater go", "words that are not in the vocabulary: 'kater'"),
        ("bpe", "der Quex", "characters that are not in the vocabulary: 'q', 'x'"),
        ("phones", "der Kater", "words that are not in the vocabulary of lexicon: 'kater'"),
        ("chars", "0123456789/:", "'0', '1', .* '9', ...$"),
    ],
)
def test_what_is_outside_the_vocabulary_is_named(unit, text, message):
    with pytest.raises(DataError, match=message):
        CODECS[unit].encode(text)


@every_codec
@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([1, 0], "unit 0 at position 1 is not in the vocabulary, which has 1 to"),
        ([10_000], "unit 10000 at position 0"),
        ([1.5], "a vector of integers, not float64"),
        ([[1]], r"a vector of integers, not int64 \[1, 1\]"),
    ],
)
def test_what_is_no_unit_is_refused(codec, ids, message):
    for call in (codec.decode, codec.words):
        with pytest.raises(DataError, match=message):
            call(ids)


@pytest.mark.parametrize(
    ("unit", "options", "message"),
    [
        ("syllables", {}, "unit 'syllables' is unknown; allowed are chars, words, bpe, phones"),
        ("chars", {"case": "title"}, "case='title': must be one of 'none', 'lower', 'upper'"),
        ("chars", {"vocab_size": 9}, "vocab_size=9: must be 0, or for unit 'bpe' more"),
        ("bpe", {"vocab_size": -1}, "vocab_size=-1"),
        ("phones", {}, "a lexicon is for 'phones' alone, which needs it"),
        ("chars", {"lexicon": LEXICON}, "a lexicon is for 'phones' alone"),
        ("words", {"preferred": {"A": 2}}, "a lexicon is for 'phones' alone"),
    ],
)
def test_options_are_checked(unit, options, message):
    with pytest.raises(ConfigError, match=message):
        train_units(TEXTS, unit, **options)


@pytest.mark.parametrize("unit", ["chars", "words", "bpe"])
def test_without_text_there_are_no_units(unit):
    with pytest.raises(DataError, match="transcripts: no text"):
        train_units([" ", ""], unit)


@pytest.mark.parametrize("number", [0, 3, 1.5])
def test_a_pronunciation_that_is_not_there_cannot_be_preferred(number):
    with pytest.raises(DataError, match=f"pronunciation {number} of 'hund' is not .* 1 to 2"):
        train_units([], "phones", lexicon=LEXICON, preferred={"hund": number})
    with pytest.raises(DataError, match="the word 'went' is not in it"):
        train_units([], "phones", lexicon=LEXICON, preferred={"went": 1})


HEAD = {"format": 1, "case": "none"}
BPE = CODECS["bpe"].to_json()


@pytest.mark.parametrize(
    ("described", "message"),
    [
        (None, "described by an object, not by NoneType"),
        ({"unit": "chars"}, "codec format None is unknown"),
        ({**HEAD, "unit": "tones"}, "codec unit 'tones' is unknown"),
        ({**HEAD, "unit": ["chars"]}, "is unknown"),
        ({**HEAD, "unit": "chars", "case": 3}, "case 3 is unknown"),
        ({**HEAD, "unit": "chars"}, "'characters' is missing"),
        ({**HEAD, "unit": "chars", "characters": ""}, "there must be at least one"),
        ({**HEAD, "unit": "chars", "characters": "aa"}, "one is repeated"),
        ({**HEAD, "unit": "chars", "characters": "\ud800"}, "lone surrogates"),
        ({**HEAD, "unit": "words", "words": []}, "there must be at least one"),
        ({**HEAD, "unit": "words", "words": ["a", 1]}, "1 is no word"),
        ({**HEAD, "unit": "words", "words": ["a b"]}, "'a b' is no word"),
        ({**HEAD, "unit": "words", "words": ["a", "a"]}, "one is repeated"),
        ({**HEAD, "unit": "phones", "preferred": {}}, "a lexicon is an object, not NoneType"),
        ({**HEAD, "unit": "phones", "lexicon": {"A": ["B"]}}, "'preferred' is missing"),
        (
            {**HEAD, "unit": "phones", "lexicon": {"A": ["B"]}, "preferred": {"A": True}},
            "pronunciation True",
        ),
        ({**BPE, "pieces": 0}, "pieces=0 must be 1 to"),
        ({**BPE, "pieces": True}, "pieces=True must be 1 to"),
        ({**BPE, "text": {"format": 1, "unit": "bytes"}}, "made of 'bytes'"),
        ({**BPE, "text": 3}, "described by an object, not by int"),
    ],
)
def test_a_damaged_codec_is_refused(described, message):
    with pytest.raises(DataError, match=message):
        units_from_json(described)
