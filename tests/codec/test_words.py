import os
from pathlib import Path

import pytest

from loopwise.codec.corpus import Source, read_sources
from loopwise.codec.text import train_codec


def words(text, **options):
    return train_codec("words", [Source("text", text.encode())], **options)


def test_the_vocabulary_is_ordered_by_frequency_then_alphabet():
    codec = words("b c\na c\nc é\n")
    assert codec.to_json()["words"] == ["<unk>", "<eos>", "c", "a", "b", "é"]
    assert (codec.unknown, codec.start) == (0, 1)


def test_special_words_in_the_text_are_the_special_tokens():
    codec = words("a <unk> b <eos>\n")
    assert codec.to_json()["words"] == ["<unk>", "<eos>", "a", "b"]
    assert codec.encode_text("a <unk> <eos>").tolist() == [2, 0, 1]


def test_vocab_size_counts_the_special_words_and_min_count_drops_rare_ones():
    text = "a a a b b c c d\n"
    assert words(text, vocab_size=4).to_json()["words"] == ["<unk>", "<eos>", "a", "b"]
    assert words(text, vocab_size=3).size == 3
    assert words(text, min_count=2).to_json()["words"] == ["<unk>", "<eos>", "a", "b", "c"]


@pytest.mark.parametrize("text", ["a b\nc", "a b\nc\n", "\n  a\t b \r\n\n \nc\n\n"])
def test_a_source_has_one_end_of_line_for_each_line_with_words(text):
    codec = words("a b c\n")
    assert codec.encode(Source("x", text.encode())).tolist() == [2, 3, 1, 4, 1]


def test_a_prompt_ends_where_its_text_ends():
    codec = words("a b c\n")
    assert codec.encode_text("a b").tolist() == [2, 3]
    assert codec.encode_text("a b\n").tolist() == [2, 3, 1]
    assert codec.encode_text("a zebra").tolist() == [2, codec.unknown]


def test_decoding_puts_spaces_between_words_only():
    codec = words("a b c\n")
    assert codec.decode([1, 2, 3, 1, 1, 4, 0]) == "\na b\n\nc <unk>"


@pytest.mark.parametrize(
    ("after", "piece"),
    [("", "a"), ("b", " a"), ("b ", "a"), ("b\t", "a"), ("b\n", "a"), ("\nb", " a")],
)
def test_a_word_behind_a_text_gets_the_space_that_is_missing(after, piece):
    assert words("a b\n").decoder(after).push(2) == piece


def test_a_finished_decoder_starts_a_new_text():
    decoder = words("a b\n").decoder()
    assert [decoder.push(2), decoder.push(3)] == ["a", " b"]
    assert decoder.finish() == ""
    assert decoder.push(2) == "a"


def test_the_penn_treebank_has_the_counts_of_the_literature():
    data = os.environ.get("LOOPWISE_DATA")
    if not data:
        pytest.skip("LOOPWISE_DATA does not name a folder with ptb/ptb.{train,valid,test}.txt")
    splits = [read_sources([Path(data, "ptb", f"ptb.{s}.txt")]) for s in ("train", "valid", "test")]
    codec = train_codec("words", splits[0])
    assert codec.size == 10_000
    assert [len(codec.encode(source)) for (source,) in splits] == [929_589, 73_760, 82_430]


def test_the_unknown_mark_is_itself_no_unknown_word():
    codec = train_codec("words", [Source("t", b"a <unk> b\n")])
    source = Source("u", b"a <unk> c\n")
    assert codec.count_unknown(source, codec.encode(source)) == 1
