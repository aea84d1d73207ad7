"""From files to tokens: nothing lost, nothing leaked from validation, lines kept whole."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from loopwise.codec.corpus import Source
from loopwise.errors import DataError
from loopwise.tasks.lm.config import DataConfig
from loopwise.tasks.lm.data import make_corpus, read_corpus


def corpus(*texts: str | bytes, valid=None, **options):
    sources = [
        Source(f"t{n}", text if isinstance(text, bytes) else text.encode())
        for n, text in enumerate(texts)
    ]
    held_out = None if valid is None else [Source("v", text.encode()) for text in valid]
    return make_corpus(sources, held_out, DataConfig(**options))


def parts(made) -> tuple[str, str]:
    return made.codec.decode(made.train), made.codec.decode(made.valid)


@given(
    st.text(st.sampled_from("ab é漢😀\n"), min_size=2, max_size=80),
    st.floats(0.05, 0.95),
    st.sampled_from(["bytes", "chars"]),
)
def test_holding_out_divides_a_text_without_loss(text, fraction, unit):
    assume(len(text) > 2 and round(len(text.encode()) * (1 - fraction)) >= 4)  # a character
    made = corpus(text, unit=unit, valid_fraction=fraction)
    if unit == "bytes":
        train, valid = (bytes(part.tolist()).decode() for part in (made.train, made.valid))
        assert train + valid == text
        assert made.valid_characters == len(valid)
    else:
        assert len(made.train) + len(made.valid) == len(text)
        assert made.valid_characters == len(made.valid)


def test_the_end_is_held_out_at_the_nearest_line():
    train, valid = parts(corpus("0123456\n" * 10, valid_fraction=0.27))
    assert (train, valid) == ("0123456\n" * 7, "0123456\n" * 3)
    train, valid = parts(corpus("0123456\n" * 10, valid_fraction=0.23))
    assert (train, valid) == ("0123456\n" * 8, "0123456\n" * 2)


def test_a_line_end_far_from_the_share_is_no_place_to_cut():
    text = "title\n" + "x" * 94
    train, valid = parts(corpus(text, valid_fraction=0.1))
    assert len(valid) == 10
    assert train + valid == text


def test_a_text_of_one_line_is_cut_between_characters():
    train, valid = parts(corpus("é" * 50, unit="chars", valid_fraction=0.33))
    assert train + valid == "é" * 50
    assert 16 <= len(valid) <= 17


def test_a_text_of_one_line_is_cut_between_words():
    made = corpus("one two three four five " * 5, unit="words", valid_fraction=0.3)
    train, valid = (part.split() for part in parts(made))
    assert train + valid == ["one", "two", "three", "four", "five"] * 5
    assert 6 <= len(valid) <= 9


@pytest.mark.parametrize(("text", "unit"), [("a", "bytes"), ("é", "chars"), ("word", "words")])
def test_what_cannot_be_divided_is_told(text, unit):
    with pytest.raises(DataError, match=r"t0: too short to hold out .* give more text, or --valid"):
        corpus(text, unit=unit)


def test_no_line_runs_on_into_the_next_file():
    train, valid = parts(corpus("a b", "c\n", "d", valid=["e", "f"]))
    assert (train, valid) == ("a b\nc\nd", "e\nf")
    assert corpus("a", valid=["é", "f"]).valid_characters == 3


def test_held_out_lines_of_many_files_are_the_last():
    train, valid = parts(corpus("a\n", "b", "c\n", "d\n", valid_fraction=0.3))
    assert (train, valid) == ("a\nb\nc\n", "d\n")


def test_the_vocabulary_is_of_the_training_part_alone():
    made = corpus("a b a b\n" * 9 + "z z\n", unit="words", valid_fraction=0.05)
    assert "z" not in made.codec.words
    assert (made.valid == made.codec.unknown).sum() == 2
    made = corpus("ab", valid=["abc"], unit="chars")
    assert made.valid.tolist() == [1, 2, made.codec.unknown]


def test_text_that_does_not_fit_the_unit_names_file_and_offset():
    for valid in (["a"], None):  # its own offset, not one in the text joined and divided
        with pytest.raises(DataError, match=r"t1: byte 0xff at offset 2 .*data\.unit=bytes"):
            corpus("abc" * 50, b"ab\xff", valid=valid, unit="chars")
    corpus("abc", b"ab\xff", valid=["a"])


def test_files_are_read_as_the_configuration_names_them(tmp_path):
    (tmp_path / "a.txt").write_text("a\n")
    (tmp_path / "b.txt").write_text("b\n")
    made = read_corpus(
        DataConfig(train=(str(tmp_path / "a.txt"),), valid=(str(tmp_path / "b.txt"),))
    )
    assert parts(made) == ("a\n", "b\n")
    with pytest.raises(DataError, match="no text to train on: give --data"):
        read_corpus(DataConfig())


def test_the_fingerprint_changes_with_tokens_and_with_their_meaning():
    one = corpus("ab ab", valid=["a"], unit="chars").fingerprint
    assert one == corpus("ab ab", valid=["b"], unit="chars").fingerprint
    assert one != corpus("ab aa", valid=["a"], unit="chars").fingerprint
    assert one != corpus("xy xy", valid=["a"], unit="chars").fingerprint


def test_the_validation_text_has_a_fingerprint_of_its_own():
    one = corpus("ab ab", valid=["a"], unit="chars").valid_fingerprint
    assert one == corpus("ab ba", valid=["a"], unit="chars").valid_fingerprint
    assert one != corpus("ab ab", valid=["b"], unit="chars").valid_fingerprint
