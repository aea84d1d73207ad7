"""The two vocabularies of a translation: shared or apart, and which tokens come first."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwise.codec.corpus import Source
from loopwise.codec.sentences import SentenceCodec, TranslationCodec, train_translation_codec
from loopwise.codec.text import UNITS, train_codec
from loopwise.errors import ConfigError, DataError

SOURCES = ["der Hund schläft", "die Katze schläft nicht", "", "zwölf Boxkämpfer jagen Viktor"] * 9
TARGETS = ["the dog sleeps", "the cat does not sleep", "rather late", "twelve boxers hunt V."] * 9
SHARED = {unit: train_translation_codec(SOURCES, TARGETS, unit=unit) for unit in UNITS}
APART = {unit: train_translation_codec(SOURCES, TARGETS, unit=unit, joint=False) for unit in UNITS}

every_unit = pytest.mark.parametrize("unit", UNITS)
shared_and_apart = pytest.mark.parametrize(
    "codec",
    [*SHARED.values(), *APART.values()],
    ids=[f"{unit}-{kind}" for kind in ("shared", "apart") for unit in UNITS],
)


def ids_of(codec, sentences):
    return {i for row in codec.encode_all(sentences) for i in row.tolist()}


def special(codec):
    return {codec.end} | ({codec.unknown} - {None})


@every_unit
def test_both_sides_share_ids(unit):
    codec = SHARED[unit]
    assert codec.shared
    assert (codec.target.end, codec.target.unknown) == (codec.source.end, codec.source.unknown)
    assert codec.outputs == codec.target.size <= codec.source.size
    for i in range(codec.outputs):
        assert codec.source.token(i) == codec.target.token(i)
    for row, target in zip(codec.target.encode_all(TARGETS), TARGETS, strict=True):
        np.testing.assert_array_equal(row, codec.source.encode(target))


@pytest.mark.parametrize("unit", ["chars", "words"])
def test_what_targets_hold_comes_first_and_nothing_else_does(unit):
    codec = SHARED[unit]
    used = ids_of(codec.source, TARGETS) | special(codec.source)
    assert used == set(range(codec.outputs))
    assert codec.outputs < codec.source.size
    assert special(codec.source) == set(range(len(special(codec.source))))


def test_with_bpe_bytes_and_the_parts_of_what_targets_hold_come_first_too():
    codec = SHARED["bpe"]
    pieces = codec.source.text.pieces
    first = set(range(codec.outputs))
    used = ids_of(codec.source, TARGETS) | special(codec.source)
    octets = {i for i, piece in enumerate(pieces) if len(piece) == 1}
    assert used | octets <= first < set(range(codec.source.size))
    assert codec.source.end == 0
    merged = {merge[2]: set(merge[:2]) for merge in codec.source.text.merges}
    reached = used | octets
    while grown := {part for i in reached - octets for part in merged[i]} - reached:
        reached |= grown
    assert reached == first
    assert all(set(merged[i]) <= first for i in first - octets)


def test_bytes_are_all_shared():
    codec = SHARED["bytes"]
    assert codec.outputs == codec.source.size == 256
    assert codec.source is codec.target


@given(st.text(st.characters(codec="utf-8", exclude_characters="\n")))
@pytest.mark.parametrize("unit", ["bytes", "bpe"])
def test_any_text_can_stand_in_a_translation(unit, text):
    codec = SHARED[unit]
    ids = codec.target.encode(text)
    assert codec.target.decode(ids) == text
    assert codec.source.decode(ids) == text
    dropped = codec.target.encode_all([text], dropout=0.5 if unit == "bpe" else 0)[0]
    assert dropped.max(initial=0) < codec.outputs


def test_a_word_of_the_source_alone_is_unknown_in_a_translation():
    codec = SHARED["words"]
    assert codec.target.encode("the Hund").tolist()[1] == codec.target.unknown < codec.outputs
    assert codec.source.unknown not in codec.source.encode("the Hund")


@every_unit
def test_an_end_mark_in_the_text_does_not_hide_the_end(unit):
    codec = train_translation_codec(["a <eos> b"], ["<unk> c"], unit=unit)
    assert codec.source.end not in codec.source.encode("a <eos> b")
    assert codec.target.end < codec.outputs


@every_unit
def test_apart_each_side_has_its_own_vocabulary(unit):
    codec = APART[unit]
    assert not codec.shared
    assert codec.outputs == codec.target.size
    for side, lines in ((codec.source, SOURCES), (codec.target, TARGETS)):
        text = "".join(f" {line}\n" for line in lines)
        alone = SentenceCodec(train_codec(unit, [Source("text", text.encode())]))
        assert side.to_json() == alone.to_json()


@shared_and_apart
def test_a_codec_survives_json(codec):
    described = json.loads(json.dumps(codec.to_json()))
    again = TranslationCodec.from_json(described)
    assert again.to_json() == described
    assert (again.shared, again.outputs, again.unit) == (codec.shared, codec.outputs, codec.unit)
    for ours, theirs in ((codec.source, again.source), (codec.target, again.target)):
        assert ours.to_json() == theirs.to_json()


@every_unit
def test_a_shared_vocabulary_is_written_once(unit):
    both = json.dumps(SHARED[unit].to_json())
    assert len(both) < len(json.dumps(SHARED[unit].source.to_json())) + 100


@every_unit
def test_training_again_gives_the_same_codec(unit):
    again = train_translation_codec(SOURCES, TARGETS, unit=unit)
    assert again.to_json() == SHARED[unit].to_json()


def test_vocab_size_bounds_the_shared_vocabulary_or_each():
    for joint in (True, False):
        codec = train_translation_codec(SOURCES, TARGETS, vocab_size=270, joint=joint)
        assert codec.source.size == 270
        assert codec.target.size <= 270


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((["a"], ["b"]), {"unit": "syllables"}, ConfigError, "unit 'syllables' is unknown"),
        ((["a"], ["b"]), {"vocab_size": 100}, ConfigError, "vocab_size=100: unit 'bpe'"),
        ((["a\nb"], ["b"]), {}, DataError, "source 0: a sentence is one line"),
        ((["a"], ["b", "\ud800"]), {}, DataError, "target 1: holds a lone surrogate"),
        ((["a"], "b"), {}, DataError, "targets: must be a sequence of strings"),
        ((["a"], ["b"]), {"unit": "words", "min_count": 2}, DataError, "lower min_count"),
        ((["abab"], ["abab"]), {"unit": "chars", "vocab_size": 3}, DataError, "raise vocab_size"),
    ],
)
def test_mistakes_in_training(arguments, options, error, message):
    with pytest.raises(error, match=message):
        train_translation_codec(*arguments, **options)


WORDS = SHARED["words"].to_json()
BPE = SHARED["bpe"].to_json()


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ([], "described by an object, not by list"),
        ({}, "codec format None, unit None: translation needs 1 and 'translation'"),
        ({**WORDS, "format": 2}, "codec format 2"),
        ({**WORDS, "unit": "words"}, "unit 'words'"),
        ({**WORDS, "shared": 1}, "described by an object, not by int"),
        ({**WORDS, "shared": WORDS}, "codec unit 'translation' is unknown"),
        ({**WORDS, "outputs": None}, "outputs=None: must be in 1 to"),
        ({**WORDS, "outputs": True}, "outputs=True"),
        ({**WORDS, "outputs": 3.0}, "outputs=3.0"),
        ({**WORDS, "outputs": 0}, "outputs=0"),
        ({**WORDS, "outputs": 10**9}, "outputs=1000000000"),
        ({**WORDS, "outputs": 1}, "must begin with <unk> and <eos>"),
        ({**BPE, "outputs": 255}, "bytes have no token"),
        ({**SHARED["bytes"].to_json(), "outputs": 255}, "there are 256 bytes, not 255"),
        ({**SHARED["chars"].to_json(), "outputs": 1}, "at least one"),
        ({**SHARED["chars"].to_json(), "outputs": 2}, "must have the space and the newline"),
        ({"format": 1, "unit": "translation"}, "described by an object, not by NoneType"),
        ({**APART["words"].to_json(), "target": {}}, "codec format None"),
    ],
)
def test_a_damaged_or_foreign_description_is_an_error(described, message):
    with pytest.raises(DataError, match=message):
        TranslationCodec.from_json(described)
