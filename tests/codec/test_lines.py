"""Lines and words of text as they come."""

import gzip
import io
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwise.codec.lines import read_lines, read_words
from loopwise.errors import DataError


class Pieces:
    """A pipe that gives what was written piece by piece."""

    def __init__(self, *pieces):
        self.pieces = list(pieces)

    def read1(self, _size):
        return self.pieces.pop(0) if self.pieces else b""


def words(*pieces):
    return list(read_words("a pipe", Pieces(*pieces)))


@given(st.text(st.sampled_from("aé日\n \t\r"), max_size=30), st.integers(1, 4))
def test_words_are_those_of_the_whole_however_it_comes(text, size):
    data = text.encode()
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    expected = []
    for line in text.split("\n"):
        expected += [*line.split(), "\n"]
    if not text.split("\n")[-1].split():
        expected.pop()  # nothing stands on the last line
    assert words(*pieces) == expected


def test_a_word_comes_before_the_next_is_there():
    pipe = Pieces(b"one ", b"two", b" three")
    found = read_words("a pipe", pipe)
    assert next(found) == "one"
    assert len(pipe.pieces) == 2
    assert next(found) == "two"
    assert not pipe.pieces
    assert list(found) == ["three", "\n"]


@pytest.mark.parametrize("pieces", [(b"a\nb c\xff d",), (b"a\nb c", b"\xff d"), (b"a\nb c\xc3",)])
def test_words_before_what_is_not_utf8(pieces):
    found = read_words("a pipe", Pieces(*pieces))
    assert [next(found) for _ in range(3)] == ["a", "\n", "b"]
    with pytest.raises(DataError, match=r"^a pipe, line 2: byte 0x(ff|c3) is not UTF-8"):
        next(found)


def test_lines_of_files_and_standard_input(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfone\r\n\ntwo")
    (tmp_path / "b.gz").write_bytes(gzip.compress(b"three\n"))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"four\n\n")))
    found = read_lines([str(tmp_path / "a"), str(tmp_path / "b.gz"), "-"])
    assert list(found) == ["one", "", "two", "three", "four", ""]


def test_mistakes(tmp_path):
    file = tmp_path / "lines.txt"
    file.write_bytes(b"one\n\xfe\n")
    found = read_lines([str(file)])
    assert next(found) == "one"
    with pytest.raises(DataError, match=r"lines\.txt, line 2: byte 0xfe is not UTF-8"):
        next(found)
    with pytest.raises(DataError, match=r"line\.txt' does not exist; did you mean .*lines\.txt"):
        read_lines([str(file), str(tmp_path / "line.txt")])
    (tmp_path / "b.gz").write_bytes(b"no gzip")
    with pytest.raises(DataError, match=r"b\.gz: broken gzip file"):
        list(read_lines([str(tmp_path / "b.gz")]))
    with pytest.raises(DataError, match="cannot be read"):
        list(read_lines([str(tmp_path)]))
