import math
import os
from pathlib import Path

import pytest

from loopwise.codec.ngram.arpa import read_arpa, write_arpa
from loopwise.codec.ngram.estimate import estimate
from loopwise.errors import DataError

GOOD = r"""A comment, with \1-grams: in it

\data\
ngram 1=4
ngram 2=2

\1-grams:
-99 <s> -0.5
-1.0 </s>
-0.5 word -0.25
-1.5 <UNK>

\2-grams:
-0.25 <s> word
-0.125 word </s>

\end\
"""


def written(folder, text):
    path = folder / "model.arpa"
    path.write_text(text)
    return path


def test_what_the_format_says(tmp_path):
    model = read_arpa(written(tmp_path, GOOD))
    ten = math.log(10)
    assert model.order == 2
    assert set(model.words) == {"<s>", "</s>", "<unk>", "word"}
    assert model.log_probability(["word"]) == pytest.approx((-0.25 - 0.125) * ten)
    assert model.log_probability([]) == pytest.approx((-0.5 - 1.0) * ten)
    assert model.log_probability(["other"]) == pytest.approx((-0.5 - 1.5 - 1.0) * ten)


@pytest.mark.parametrize("order", [1, 3])
def test_what_was_written_is_read(tmp_path, order):
    model = estimate([["a", "ü"], ["a", "a", "ü"]], order)
    write_arpa(model, tmp_path / "x.arpa")
    again = read_arpa(tmp_path / "x.arpa")
    assert set(again.words) == set(model.words)
    for text in [["a"], ["ü", "a", "a"], ["never"], []]:
        assert again.log_probability(text) == pytest.approx(model.log_probability(text), abs=1e-6)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\\data\\", "data", r"has no line \\data\\"),
        ("\\end\\", "", r"has the sections .*, not .*\\end"),
        ("\\2-grams:", "\\3-grams:", r"has the sections .*\\3-grams"),
        ("ngram 2=2", "ngram 3=2", r":5: 'ngram 3=2' is not 'ngram 2=COUNT'"),
        ("ngram 2=2", "ngram 2=3", "has 2 different 2-grams, not 3"),
        ("-1.0 </s>", "-1.0", r":9: 1 fields; an entry of order 1"),
        ("-1.0 </s>", "one </s>", r":9: could not convert"),
        ("-0.25 <s> word", "-0.25 <s> words", r":14: 'words' is not among the 1-grams"),
        ("-0.25 <s> word", "0.25 <s> word", "'<s> word' has .* no logarithm of a probability"),
    ],
)
def test_what_is_no_model(tmp_path, old, new, message):
    assert GOOD.count(old) == 1
    path = written(tmp_path, GOOD.replace(old, new))
    with pytest.raises(DataError, match=message):
        read_arpa(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"none\.arpa: cannot be read"):
        read_arpa(tmp_path / "none.arpa")


@pytest.mark.skipif("LOOPWISE_DATA" not in os.environ, reason="LOOPWISE_DATA is not set")
def test_a_published_model():
    model = read_arpa(Path(os.environ["LOOPWISE_DATA"]) / "an4/etc/an4.ug.lm")
    assert model.order == 2
    assert math.exp(model.log((), model.number("ZERO"))) == pytest.approx(10**-2.0253)
