import gzip
import io
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from loopwise.codec.corpus import Source, read_sources
from loopwise.errors import DataError
from loopwise.runs import Run


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A folder with texts at two depths and with everything that a folder skips."""
    monkeypatch.chdir(tmp_path)
    for name, data in {
        "books/b.txt": b"bee",
        "books/a.txt": b"ay",
        "books/deep/c.md": b"see",
        "books/deep/z.txt.gz": gzip.compress(b"zed"),
        "books/.hidden": b"no",
        "books/.git/config": b"no",
        "books/empty.txt": b"",
        "books/image.png": b"\x89PNG\0",
        "void/empty.txt": b"",
        "books/packed.bin.gz": gzip.compress(b"\0\1"),
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path


def read(*paths):
    return [(source.name, source.data) for source in read_sources(paths)]


def test_a_folder_gives_its_texts_sorted_and_skips_hidden_empty_and_binary_files(tree):
    assert read("books") == [
        ("books/a.txt", b"ay"),
        ("books/b.txt", b"bee"),
        ("books/deep/c.md", b"see"),
        ("books/deep/z.txt.gz", b"zed"),
    ]


def test_files_named_directly_keep_their_order_and_may_be_hidden_or_binary(tree):
    assert read("books/b.txt", tree / "books/.hidden", "books/image.png") == [
        ("books/b.txt", b"bee"),
        (str(tree / "books/.hidden"), b"no"),
        ("books/image.png", b"\x89PNG\0"),
    ]


def test_nul_after_the_first_8_kib_does_not_make_a_file_binary(tree):
    (tree / "edge").mkdir()
    (tree / "edge/binary").write_bytes(b"x" * 8191 + b"\0")
    (tree / "edge/text").write_bytes(b"x" * 8192 + b"\0")
    assert [name for name, _ in read("edge")] == ["edge/text"]


def test_globs_are_sorted_and_double_star_has_any_depth(tree):
    assert [name for name, _ in read("books/*.txt")] == ["books/a.txt", "books/b.txt"]
    assert [name for name, _ in read("**/*.md")] == ["books/deep/c.md"]


def test_an_existing_path_is_not_taken_for_a_glob(tree):
    (tree / "part[1].txt").write_bytes(b"one")
    (tree / "part1.txt").write_bytes(b"other")
    assert read("part[1].txt") == [("part[1].txt", b"one")]


def test_a_single_string_is_one_path_and_not_its_letters(tree):
    assert read_sources("books/a.txt") == [Source("books/a.txt", b"ay")]


def test_pipes_and_dangling_links_in_a_folder_are_skipped(tree):
    os.mkfifo(tree / "books/deep/pipe")
    (tree / "books/deep/link").symlink_to("nowhere")
    assert [name for name, _ in read("books/deep")] == ["books/deep/c.md", "books/deep/z.txt.gz"]


def test_dash_is_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"typed")))
    assert read("-") == [("standard input", b"typed")]
    with pytest.raises(DataError, match="standard input: empty"):
        read("-")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("books/a.tx", r"'books/a.tx' does not exist; did you mean 'books/a.txt'\?"),
        ("boks/a.txt", r"'boks/a.txt' does not exist; did you mean 'books'\?"),
        ("books/a.txt/x", r"'books/a.txt/x' does not exist; did you mean 'books/a.txt'\?"),
        ("nothing-like-it", "'nothing-like-it' does not exist$"),
        ("", "'' does not exist$"),
        ("books/*.csv", r"no file matches 'books/\*.csv'"),
        ("books/dee*", r"no file matches 'books/dee\*'"),
        ("books/e*.txt", r"every file that matches 'books/e\*.txt' is empty"),
        ("books/empty.txt", "books/empty.txt: empty"),
        ("void", "void: no text in this folder"),
    ],
)
def test_what_cannot_be_read_is_named(tree, path, message):
    with pytest.raises(DataError, match=message):
        read(path)


@pytest.mark.parametrize(
    "data",
    [b"plain text", gzip.compress(b"x" * 999, mtime=0)[:-9], b"", b"\x1f\x8b\x08\x00garbage" * 3],
)
def test_a_broken_or_empty_gzip_file_is_named(tree, data):
    (tree / "bad.gz").write_bytes(data)
    with pytest.raises(DataError, match=r"bad.gz: (broken gzip file|empty)"):
        read("bad.gz")


def test_no_path_at_all_is_an_error():
    with pytest.raises(DataError, match="no input was given"):
        read_sources([])


def test_a_file_that_cannot_be_opened_is_named(tree, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)
    with pytest.raises(DataError, match=r"books/a.txt: cannot be read \(Permission denied\)"):
        read("books/a.txt")


def test_text_names_source_offset_and_line_of_the_first_bad_byte():
    assert Source("a", "\ufeffé\r\n".encode()).text() == "\ufeffé\r\n"
    with pytest.raises(DataError, match=r"a\.txt: byte 0xe9 at offset 6 \(line 2\).*data.unit=byt"):
        Source("a.txt", b"one\nca\xe9 \xff").text()
    with pytest.raises(DataError, match=r"byte 0xc3 at offset 1 \(line 1\)"):
        Source("cut", b"x\xc3").text()


def test_a_run_inside_a_folder_is_no_text(tmp_path):
    (tmp_path / "a.txt").write_text("text\n")
    run = Run.create(tmp_path / "runs" / "one")
    run.write_config('task = "lm"\n')
    run.log({"step": 1})
    assert [Path(source.name).name for source in read_sources([tmp_path])] == ["a.txt"]
