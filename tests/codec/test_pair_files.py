"""Pairs from files: kinds, encodings, and mistakes with their places."""

import gzip
import io
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from loopwise.codec.pair_files import read_pairs, read_parallel
from loopwise.codec.pairs import Dropped, PairFilter
from loopwise.errors import ConfigError, DataError

SKIP = PairFilter("skip")
TABS = b"ein Hund\ta dog\tCC-BY\nKatze\tcat\n"
OBJECTS = b'{"source": "ein Hund", "target": "a dog", "id": 1}\n{"source":"Katze","target":"cat"}\n'


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def written(name, data):
        packed = gzip.compress(data) if name.endswith(".gz") else data
        Path(name).write_bytes(packed)
        return name

    return written


@pytest.fixture
def stdin(monkeypatch):
    def given(data):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))

    return given


def listed(pairs):
    return list(zip(pairs.sources, pairs.targets, pairs.lines, strict=True))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        *((name, TABS) for name in ("a.tsv", "a.txt", "a.TSV", "a.tsv.gz", "a.txt.gz", "a.deu")),
        *((name, OBJECTS) for name in ("a.jsonl", "a.json", "a.jsonl.gz", "a.json.gz", "a.deu")),
    ],
)
def test_every_kind_of_file_has_the_same_pairs(write, name, data):
    pairs = read_pairs(write(name, data))
    assert listed(pairs) == [("ein Hund", "a dog", 1), ("Katze", "cat", 2)]
    assert pairs.names == [name, name]


@pytest.mark.parametrize("data", [TABS, OBJECTS, b"\xef\xbb\xbf" + TABS, b"\xef\xbb\xbf" + OBJECTS])
def test_standard_input_tells_its_kind_by_its_first_line(stdin, data):
    stdin(data)
    pairs = read_pairs("-")
    assert listed(pairs) == [("ein Hund", "a dog", 1), ("Katze", "cat", 2)]
    assert pairs.where(1) == "standard input, line 2"


def test_a_name_says_more_than_the_first_line(write):
    assert read_pairs(write("a.tsv", b'{"a": 1}\tb\n')).sources == ['{"a": 1}']


def test_several_files_follow_each_other_with_lines_of_their_own(write):
    names = [write("b.tsv", TABS), write("a.jsonl", OBJECTS)]
    pairs = read_pairs(names)
    assert pairs.lines == [1, 2, 1, 2]
    assert pairs.name == "b.tsv, a.jsonl"
    assert pairs.where(3) == "a.jsonl, line 2"


@pytest.mark.parametrize("columns", [(1, 0), (2, 0)])
def test_columns_may_be_chosen_and_swapped(write, columns):
    row = ["ein Hund", "a dog", "un chien"]
    pairs = read_pairs(write("a.tsv", "\t".join(row).encode()), columns=columns)
    assert (pairs.sources[0], pairs.targets[0]) == (row[columns[0]], row[columns[1]])


def test_keys_may_be_chosen(write):
    pairs = read_pairs(write("a.jsonl", b'{"en": "dog", "de": "Hund"}'), keys=("de", "en"))
    assert listed(pairs) == [("Hund", "dog", 1)]


@pytest.mark.parametrize("columns", [(0, 0), (0,), (-1, 0)])
def test_columns_must_be_two(columns):
    with pytest.raises(ConfigError, match=r"columns=.*two different"):
        read_pairs("a.tsv", columns=columns)


def test_keys_must_be_two():
    with pytest.raises(ConfigError, match=r"keys=.*two different"):
        read_pairs("a.jsonl", keys=("a", "a"))


def test_only_a_newline_ends_a_line(write):
    text = "\ufeffa\u2028b\x85c\td\x0ce\r\nf\r\tg\r\n"
    pairs = read_pairs(write("a.tsv", text.encode()))
    assert listed(pairs) == [("a\u2028b\x85c", "d\x0ce", 1), ("f", "g", 2)]
    lines = json.dumps({"source": "a\u2028b", "target": "c"}, ensure_ascii=False)
    assert read_pairs(write("a.jsonl", lines.encode())).sources == ["a\u2028b"]


def test_files_side_by_side(write):
    pairs = read_parallel(
        write("a.de", b"\xef\xbb\xbfein Hund\r\nKatze"), write("a.en.gz", b"a dog\ncat\n")
    )
    assert listed(pairs) == [("ein Hund", "a dog", 1), ("Katze", "cat", 2)]
    assert pairs.where(1) == "a.de and a.en.gz, line 2"


def test_several_files_side_by_side(write):
    sources = [write("1.de", b"eins\n"), write("2.de", b"zwei\n")]
    targets = [write("1.en", b"one\n"), write("2.en", b"two\n")]
    assert read_parallel(sources, targets).targets == ["one", "two"]
    with pytest.raises(DataError, match="2 files of sources and 1 of targets"):
        read_parallel(sources, targets[:1])


def test_one_side_may_come_from_standard_input(write, stdin):
    stdin(b"Katze\n")
    assert read_parallel("-", write("a.en", b"cat\n")).sources == ["Katze"]
    with pytest.raises(DataError, match=r"standard input \(-\) can be read only once"):
        read_parallel("-", "-")


@pytest.mark.parametrize("wanted", [PairFilter(), SKIP])
def test_unequal_numbers_of_lines_cannot_be_mended(write, wanted):
    files = write("a.de", b"x\n" * 1200), write("a.en", b"x\n" * 1199)
    with pytest.raises(DataError, match=r"a.de has 1,200 lines, a.en has 1,199; line by line"):
        read_parallel(*files, wanted)


@pytest.mark.parametrize(
    ("name", "bad", "message", "dropped"),
    [
        ("a.tsv", b"no tab", "columns separated by tabs: 1, wanted: at least 2", "malformed"),
        ("a.tsv", b"", "columns separated by tabs: 1", "malformed"),
        ("a.tsv", b"\tb", "the source is empty", "empty"),
        ("a.tsv", b"a\t ", "the target is empty", "empty"),
        ("a.tsv", b"a\tb b b b", "the target has 4 words, more than max_words=3", "long"),
        ("a.jsonl", b"{", "no JSON object with strings as 'source' and 'target'", "malformed"),
        ("a.jsonl", b"[" * 99_999, "no JSON object", "malformed"),
        ("a.jsonl", b'["a", "b"]', "no JSON object", "malformed"),
        ("a.jsonl", b'{"source": "a"}', "no JSON object", "malformed"),
        ("a.jsonl", b'{"source": "a", "target": 1}', "no JSON object", "malformed"),
        ("a.jsonl", b'{"source": "a", "target": ""}', "the target is empty", "empty"),
        ("a.jsonl", b'{"source": "a\\nb", "target": "c"}', "holds a line break", "malformed"),
        ("a.jsonl", b'{"source": "\\ud800", "target": "c"}', "a lone surrogate", "malformed"),
    ],
)
def test_a_bad_line_is_named_or_counted(write, name, bad, message, dropped):
    good = TABS if name.endswith("tsv") else OBJECTS
    path = write(name, good + bad + b"\n" + good)
    with pytest.raises(DataError, match=f"^{name}, line 3: .*{message}.*invalid=skip$"):
        read_pairs(path, PairFilter(max_words=3))
    pairs = read_pairs(path, PairFilter("skip", max_words=3))
    assert pairs.dropped == Dropped(**{dropped: 1})
    assert pairs.lines == [1, 2, 4, 5]


@pytest.mark.parametrize("name", ["a.tsv", "a.jsonl"])
def test_a_line_that_is_not_utf8_is_named_or_counted(write, name):
    good = TABS if name.endswith("tsv") else OBJECTS
    path = write(name, good + good.replace(b"Hund", b"caf\xe9") + good)
    with pytest.raises(
        DataError, match=rf"{name}: byte 0xe9 at offset \d+ \(line 3\) .*invalid=skip"
    ):
        read_pairs(path)
    pairs = read_pairs(path, SKIP)
    assert pairs.dropped == Dropped(undecodable=1)
    assert pairs.lines == [1, 2, 4, 5, 6]


def test_flaws_in_files_side_by_side_name_the_side(write):
    files = write("a.de", b"x\n\nz\n"), write("a.en", b"x\ny\n\xff\n")
    with pytest.raises(DataError, match=r"a.en: byte 0xff at offset 4 \(line 3\) is not UTF-8"):
        read_parallel(*files)
    pairs = read_parallel(*files, SKIP)
    assert pairs.dropped == Dropped(undecodable=1, empty=1)
    assert pairs.lines == [1]
    write("a.en", b"x\ny\nz\n")
    with pytest.raises(DataError, match=r"a.de and a.en, line 2: the source is empty"):
        read_parallel(*files)


def test_a_file_of_which_nothing_is_left(write):
    with pytest.raises(DataError, match=r"a.tsv: there is no pair .*2 pairs dropped: 2 malformed"):
        read_pairs(write("a.tsv", b"x\ny\n"), SKIP)


def test_what_cannot_be_read_at_all(write):
    write("pairs.tsv", TABS)
    with pytest.raises(DataError, match=r"did you mean 'pairs.tsv'"):
        read_pairs("pairs.tvs")
    with pytest.raises(DataError, match=r"empty.tsv: empty"):
        read_pairs(write("empty.tsv", b""))
    Path("broken.tsv.gz").write_bytes(b"\x1f\x8bbroken")
    with pytest.raises(DataError, match=r"broken.tsv.gz: broken gzip file"):
        read_pairs("broken.tsv.gz")


def test_published_pairs_are_read_whole():
    data = os.environ.get("LOOPWISE_DATA")
    if not data:
        pytest.skip("LOOPWISE_DATA does not name a folder with multi30k/tok")
    test = Path(data, "multi30k", "tok", "test_2016_flickr.lc.norm.tok.de")
    pairs = read_parallel(test, test.with_suffix(".en"))
    assert len(pairs) == 1000
